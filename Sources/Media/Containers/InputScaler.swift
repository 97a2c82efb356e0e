import CFFmpeg
import Primitives

/// Brings decoded pictures of any format, size and orientation to I420 of one size: scaled to fit inside,
/// turned upright, with black bars where the shape differs. What fits already is copied as it is.
@safe final class InputScaler {
    let size: VideoSize
    private let rotation: Int
    private let pixelAspect: Double
    private var scaler: UnsafeMutableRawPointer?

    init(size: VideoSize, rotation: Int, pixelAspect: Double) {
        self.size = size
        self.rotation = rotation
        self.pixelAspect = pixelAspect
    }

    deinit { unsafe postern_av_free_scaler(scaler) }

    /// The size in which a stream is displayed: pixels made square, turned upright.
    static func displaySize(of stream: InputContainer.Stream) -> VideoSize {
        displaySize(coded: stream.size, pixelAspect: stream.pixelAspect, rotation: stream.rotation)
    }

    /// `nil` where FFmpeg cannot convert the frame.
    func convert(_ frame: InputFrame, time: TimeDelta) -> VideoFrame? {
        let coded = VideoSize(Int(unsafe frame.pointer.pointee.width), Int(unsafe frame.pointer.pointee.height))
        guard coded.width > 0, coded.height > 0 else { return nil }
        let displayed = InputScaler.displaySize(coded: coded, pixelAspect: pixelAspect, rotation: rotation)
        let upright = displayed.stretched(to: size)
        let turned = rotation % 180 == 0 ? upright : VideoSize(upright.height, upright.width)
        guard let picture = scale(frame, to: turned) else { return nil }
        let content = Picture(size: turned, bytes: picture).turned(by: rotation)
        let bytes = content.size == size ? content.bytes : content.centred(in: size)
        return VideoFrame(width: size.width, height: size.height, bytes: bytes, time: time)
    }

    private static func displaySize(coded: VideoSize, pixelAspect: Double, rotation: Int) -> VideoSize {
        let aspect = pixelAspect > 0.05 && pixelAspect < 20 ? pixelAspect : 1
        let width = Swift.max(1, Int((Double(coded.width) * aspect).rounded()))
        return rotation % 180 == 0 ? VideoSize(width, coded.height) : VideoSize(coded.height, width)
    }

    private func scale(_ frame: InputFrame, to target: VideoSize) -> [UInt8]? {
        let source = unsafe frame.pointer
        let copies =
            unsafe postern_av_is_i420(source) != 0 && Int(source.pointee.width) & ~1 == target.width
            && Int(source.pointee.height) & ~1 == target.height
        if !copies {
            unsafe scaler = postern_av_scaler(scaler, source, Int32(target.width), Int32(target.height))
            guard unsafe scaler != nil else { return nil }
        }
        let count = VideoFrame.byteCount(width: target.width, height: target.height)
        var done = false
        let bytes = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, used in
            guard let base = buffer.baseAddress else { return }
            let luma = target.width * target.height
            let strides = [Int32(target.width), Int32(target.width / 2), Int32(target.width / 2)]
            let planes: [UnsafeMutablePointer<UInt8>?] = unsafe [base, base + luma, base + luma + luma / 4]
            if copies {
                unsafe postern_av_copy_i420(source, planes, strides, Int32(target.width), Int32(target.height))
                done = true
            } else {
                done =
                    unsafe postern_av_scale(
                        scaler, source, planes, strides, Int32(target.width), Int32(target.height)) > 0
            }
            used = count
        }
        return done ? bytes : nil
    }
}

/// I420 bytes with their size, to be turned and framed.
struct Picture {
    var size: VideoSize
    var bytes: [UInt8]

    /// Turned clockwise by a multiple of 90 degrees.
    func turned(by degrees: Int) -> Picture {
        guard degrees % 360 != 0 else { return self }
        let result = degrees % 180 == 0 ? size : VideoSize(size.height, size.width)
        var turned: [UInt8] = []
        turned.reserveCapacity(bytes.count)
        var start = 0
        for plane in 0..<3 {
            let width = plane == 0 ? size.width : size.width / 2
            let height = plane == 0 ? size.height : size.height / 2
            switch degrees % 360 {
            case 90:
                for x in 0..<width {
                    for y in stride(from: height - 1, through: 0, by: -1) {
                        turned.append(bytes[start + y * width + x])
                    }
                }
            case 180:
                turned.append(contentsOf: bytes[start..<start + width * height].reversed())
            default:
                for x in stride(from: width - 1, through: 0, by: -1) {
                    for y in 0..<height { turned.append(bytes[start + y * width + x]) }
                }
            }
            start += width * height
        }
        return Picture(size: result, bytes: turned)
    }

    /// In the middle of a larger black picture.
    func centred(in frame: VideoSize) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(VideoFrame.byteCount(width: frame.width, height: frame.height))
        // Multiples of two pixels, so that chroma stays in place.
        let left = (frame.width - size.width) / 4 * 2
        let top = (frame.height - size.height) / 4 * 2
        var start = 0
        for plane in 0..<3 {
            let shift = plane == 0 ? 0 : 1
            let black: UInt8 = plane == 0 ? 16 : 128
            let (width, height) = (size.width >> shift, size.height >> shift)
            let (outerWidth, outerHeight) = (frame.width >> shift, frame.height >> shift)
            let (x, y) = (left >> shift, top >> shift)
            result.append(contentsOf: repeatElement(black, count: y * outerWidth))
            for row in 0..<height {
                result.append(contentsOf: repeatElement(black, count: x))
                result.append(contentsOf: bytes[start + row * width..<start + (row + 1) * width])
                result.append(contentsOf: repeatElement(black, count: outerWidth - width - x))
            }
            result.append(contentsOf: repeatElement(black, count: (outerHeight - height - y) * outerWidth))
            start += width * height
        }
        return result
    }
}
