import Glibc

/// What libFuzzer calls for every input. `POSTERN_FUZZ_PARSER` names the parser; `POSTERN_FUZZ_SEEDS` names a folder to
/// write the seeds of all parsers to, which are taken from live machines, and ends the program.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    parser(unsafe Array(UnsafeBufferPointer(start: start, count: count)))
    return 0
}

private let parser: @Sendable ([UInt8]) -> Void = {
    if let folder = variable("POSTERN_FUZZ_SEEDS") {
        writeSeeds(to: folder)
        _exit(0)
    }
    guard let name = variable("POSTERN_FUZZ_PARSER"), let parser = parsers[name] else {
        print("POSTERN_FUZZ_PARSER must be one of: \(parsers.keys.sorted().joined(separator: " "))")
        _exit(2)
    }
    return parser
}()

private func variable(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
}

/// The parsers by name. A parser traps, or breaks one of its `precondition`s, and libFuzzer keeps the input.
let parsers: [String: @Sendable ([UInt8]) -> Void] = [
    "stun": fuzzSTUN,
    "turn": fuzzTURN,
    "proxy": fuzzHTTPTunnel,
    "sdp": fuzzSDP,
    "candidate": fuzzCandidate,
    "address": fuzzAddress,
    "rtp": fuzzRTP,
    "rtcp": fuzzRTCP,
    "vp8": fuzzVP8,
    "opus": fuzzOpus,
    "telephone-event": fuzzTelephoneEvent,
    "mdns": fuzzMulticastDNS,
    "srtp": fuzzSRTP,
    "dtls": fuzzDTLS,
    "engine": fuzzEngine,
    "negotiation": fuzzNegotiation,
    "signaling": fuzzSignaling,
    "network": fuzzNetworkSpecification,
    "expectation": fuzzExpectation,
]
