import CFFmpeg
import Primitives

/// Brings decoded sound of any format, layout and rate to interleaved floats of one rate.
///
/// The resampler looks ahead, so what comes out lags what goes in; times are therefore counted from the start of a run of
/// unbroken input. Where the input's times jump by more than `tolerance` or its shape changes, the run is emptied and a
/// new one begins.
@safe final class InputResampler {
    let sampleRate: Int
    let channels: Int
    private var resampler: UnsafeMutableRawPointer?
    private var shape: (format: Int32, rate: Int32, channels: Int32)?
    private var runStart: TimeDelta = .zero
    private var taken: Int64 = 0
    private var given: Int64 = 0
    private static let tolerance = TimeDelta.milliseconds(30)
    /// Samples a second that sound can have; outside, the file is damaged, and a ratio could ask for any amount of memory.
    static let rates = 1_000...768_000

    init(sampleRate: Int, channels: Int) {
        self.sampleRate = sampleRate
        self.channels = channels
    }

    deinit { unsafe postern_av_free_resampler(resampler) }

    /// What a frame makes ready, with the time of its first sample; often less or more than the frame.
    func convert(_ frame: InputFrame) -> [(time: TimeDelta, samples: [Float])] {
        let source = unsafe frame.pointer.pointee
        let found = unsafe (source.format, source.sample_rate, source.ch_layout.nb_channels)
        guard InputResampler.rates.contains(Int(found.1)), found.2 > 0, unsafe source.nb_samples > 0 else { return [] }
        var output: [(time: TimeDelta, samples: [Float])] = []
        let isSame = shape.map { $0.format == found.0 && $0.rate == found.1 && $0.channels == found.2 } ?? false
        let expected = expectedTime
        let time = frame.time ?? expected ?? .zero
        let step = (expected.map { time - $0 } ?? .zero).nanoseconds.magnitude
        if !isSame || step > InputResampler.tolerance.nanoseconds.magnitude {
            output = drain()
            unsafe postern_av_free_resampler(resampler)
            unsafe resampler = postern_av_resampler(frame.pointer, Int32(channels), Int32(sampleRate))
            shape = found
            runStart = time
            taken = 0
            given = 0
        }
        taken += Int64(unsafe source.nb_samples)
        if let samples = run(frame) { output.append(samples) }
        return output
    }

    /// What is still inside at the end of the input.
    func drain() -> [(time: TimeDelta, samples: [Float])] {
        defer { shape = nil }
        guard shape != nil, let rest = run(nil) else { return [] }
        return [rest]
    }

    private var expectedTime: TimeDelta? {
        shape.map { runStart + .nanoseconds(nanoseconds(ofSample: taken, rate: Int($0.rate))) }
    }

    private func run(_ frame: InputFrame?) -> (time: TimeDelta, samples: [Float])? {
        guard let resampler = unsafe resampler else { return nil }
        let source = unsafe frame?.pointer
        let room = Int(unsafe postern_av_resampler_room(resampler, source?.pointee.nb_samples ?? 0))
        guard room > 0 else { return nil }
        let samples = unsafe [Float](unsafeUninitializedCapacity: room * channels) { buffer, used in
            guard let base = buffer.baseAddress else { return }
            let count = unsafe postern_av_resample(resampler, source, base, Int32(room))
            used = Swift.max(0, Int(count)) * channels
        }
        guard !samples.isEmpty else { return nil }
        let time = runStart + .nanoseconds(nanoseconds(ofSample: given, rate: sampleRate))
        given += Int64(samples.count / channels)
        return (time, samples)
    }
}
