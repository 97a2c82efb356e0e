// swift-tools-version: 6.2
import PackageDescription

/// What every target is compiled with. One loop at the end of this file applies it.
/// `POSTERN_STRICT=1`, which the checks set, turns warnings into errors.
let settings: [SwiftSetting] =
    [
        .swiftLanguageMode(.v6),
        .strictMemorySafety(),
        .enableUpcomingFeature("ExistentialAny"),
    ] + (Context.environment["POSTERN_STRICT"] == "1" ? [.treatAllWarnings(as: .error)] : [])

// The module graph is the table in ARCHITECTURE.md; Scripts/check-boundaries holds the imports to it.
let package = Package(
    name: "postern",
    products: [
        .executable(name: "postern", targets: ["PosternCommand"]),
        .library(name: "Postern", targets: ["Endpoint", "Peer", "PeerIO", "Media", "SimulatedNetwork"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.5.0"),
        // Signalling and whatever else speaks TCP or TLS; media sockets are PeerIO's own.
        .package(url: "https://github.com/apple/swift-nio", from: "2.86.0"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.30.0"),
    ],
    targets: [
        .target(name: "Primitives"),
        .target(name: "SDP", dependencies: ["Primitives"]),
        .target(name: "ICE", dependencies: ["Primitives"]),
        .target(name: "RTP", dependencies: ["Primitives"]),
        .target(name: "Congestion", dependencies: ["Primitives"]),
        .target(name: "DTLSSRTP", dependencies: ["Primitives", "COpenSSL", "CSRTP"]),
        .target(name: "Peer", dependencies: ["Primitives", "SDP", "ICE", "RTP", "Congestion", "DTLSSRTP"]),
        .target(
            name: "PeerIO", dependencies: ["Primitives", "SDP", "ICE", "DTLSSRTP", "Peer", "CLinuxIO", "Locks"]),
        .target(name: "Media", dependencies: ["Primitives", "Locks", "COpus", "CVPX", "CFFmpeg"]),
        .target(
            name: "Signaling",
            dependencies: [
                "Primitives",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOWebSocket", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            // The page is part of the program: `PackageResources.index_html`.
            resources: [.embedInCode("Page/index.html")]),
        .target(
            name: "Endpoint",
            dependencies: [
                "Primitives", "SDP", "ICE", "RTP", "DTLSSRTP", "Peer", "PeerIO", "Media", "Signaling",
                "SimulatedNetwork", "Locks",
            ]),
        .executableTarget(
            name: "PosternCommand",
            dependencies: [
                "Primitives", "Locks", "Endpoint", "SimulatedNetwork",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ]),
        .executableTarget(
            name: "PosternBench",
            dependencies: [
                "Primitives", "SDP", "ICE", "RTP", "DTLSSRTP", "Peer", "PeerIO", "SimulatedNetwork", "SimulatedTURN",
                "CMeasure", "Locks",
            ]),
        .target(name: "SimulatedNetwork", dependencies: ["Primitives"]),
        .target(name: "SimulatedTURN", dependencies: ["Primitives", "ICE", "SimulatedNetwork"]),
        .target(name: "FixtureSupport", dependencies: ["Primitives"]),

        .systemLibrary(
            name: "COpenSSL", path: "Sources/System/COpenSSL", pkgConfig: "openssl",
            providers: [.apt(["libssl-dev"])]),
        .systemLibrary(
            name: "CSRTP", path: "Sources/System/CSRTP", pkgConfig: "libsrtp2",
            providers: [.apt(["libsrtp2-dev"])]),
        .systemLibrary(
            name: "COpus", path: "Sources/System/COpus", pkgConfig: "opus",
            providers: [.apt(["libopus-dev"])]),
        .systemLibrary(
            name: "CVPX", path: "Sources/System/CVPX", pkgConfig: "vpx",
            providers: [.apt(["libvpx-dev"])]),
        .systemLibrary(
            name: "CFFmpeg", path: "Sources/System/CFFmpeg",
            pkgConfig: "libavformat libavcodec libswscale libswresample libavutil",
            providers: [
                .apt(["libavformat-dev", "libavcodec-dev", "libswscale-dev", "libswresample-dev"])
            ]),
        .systemLibrary(name: "CLinuxIO", path: "Sources/System/CLinuxIO"),
        .target(name: "Locks", path: "Sources/System/Locks"),
        .target(name: "CMeasure", dependencies: ["COpenSSL", "CSRTP"], path: "Sources/System/CMeasure"),

        .testTarget(
            name: "CostTests", dependencies: ["PosternBench", "Primitives", "RTP", "Peer", "CMeasure"]),
        .testTarget(name: "PrimitivesTests", dependencies: ["Primitives"]),
        .testTarget(name: "SDPTests", dependencies: ["SDP", "FixtureSupport"]),
        .testTarget(name: "ICETests", dependencies: ["ICE", "SimulatedNetwork", "SimulatedTURN", "FixtureSupport"]),
        .testTarget(name: "RTPTests", dependencies: ["RTP", "FixtureSupport"]),
        .testTarget(name: "CongestionTests", dependencies: ["Congestion", "SimulatedNetwork"]),
        .testTarget(name: "DTLSSRTPTests", dependencies: ["DTLSSRTP", "FixtureSupport"]),
        .testTarget(
            name: "PeerTests",
            dependencies: [
                "Peer", "SDP", "ICE", "RTP", "DTLSSRTP", "SimulatedNetwork", "SimulatedTURN", "FixtureSupport",
            ]),
        .testTarget(name: "PeerIOTests", dependencies: ["PeerIO", "ICE", "CLinuxIO", "Locks"]),
        .testTarget(
            name: "SignalingTests",
            dependencies: [
                "Signaling", "FixtureSupport",
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOEmbedded", package: "swift-nio"),
            ]),
        .testTarget(name: "MediaTests", dependencies: ["Media", "FixtureSupport"]),
        .testTarget(
            name: "EndpointTests",
            dependencies: ["Endpoint", "Peer", "Media", "SimulatedNetwork", "FixtureSupport"]),
        // Runs the built program; everything else it needs it finds on the PATH.
        .testTarget(name: "CommandTests"),
        .testTarget(name: "SimulatedNetworkTests", dependencies: ["SimulatedNetwork", "FixtureSupport"]),
    ]
)

// Scripts/fuzz sets this: the program only links with libFuzzer.
if Context.environment["POSTERN_FUZZ"] == "1" {
    package.targets += [
        .target(name: "FuzzDriver", path: "Fuzz/Driver"),
        .executableTarget(
            name: "PosternFuzz",
            dependencies: [
                "FuzzDriver", "Primitives", "SDP", "ICE", "RTP", "DTLSSRTP", "Peer", "PeerIO", "Endpoint",
                "SimulatedNetwork",
            ],
            path: "Fuzz/Sources"),
    ]
}

for target in package.targets where target.type != .system {
    target.swiftSettings = settings
}
