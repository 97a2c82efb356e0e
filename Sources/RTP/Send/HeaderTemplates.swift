import Primitives

/// The headers that packets of one stream begin with. What is not in every packet has a header of its own: the media
/// section's name goes only until the far end knows it, a level only with sound whose level is known, the capture time
/// once a second.
///
/// Made once for a configuration and never changed, so it is shared: a stream, which is reached for every packet, is
/// smaller by half a kilobyte.
final class HeaderTemplates: Sendable {
    /// With the media section's name, for packets that must be placed without having been reported on.
    let full: HeaderTemplate
    let lean: HeaderTemplate
    /// As `full`, without a level: telephone events, and sound of which it is not known.
    let unlevelled: HeaderTemplate
    /// As `full` and `unlevelled`, with a capture time; `nil` where that was not agreed.
    let timed: HeaderTemplate?
    let timedUnlevelled: HeaderTemplate?
    /// As `full`, with the orientation of the picture; `nil` where that was not agreed.
    let oriented: HeaderTemplate?
    let retransmission: HeaderTemplate

    init(_ configuration: SendStreamConfiguration) {
        let isAudio = configuration.codec.kind == .audio
        let map = configuration.extensions
        // Where the two forms may not be mixed, an element that needs the long one decides for all packets.
        let needsTwoByte =
            HeaderExtension.allCases.contains { map[$0].map { $0 > 14 } ?? false }
            || (configuration.mid.map { $0.utf8.count > 16 } ?? false)
        let forcesTwoByte = needsTwoByte && !configuration.allowsMixedExtensions
        func template(
            mid: String?, hasAudioLevel: Bool = isAudio, hasCaptureTime: Bool = false, hasOrientation: Bool = false,
            retransmits: Bool = false
        ) -> HeaderTemplate {
            let rtx = retransmits ? configuration.retransmission : nil
            return HeaderTemplate(
                ssrc: rtx?.ssrc ?? configuration.ssrc, payloadType: rtx?.payloadType ?? configuration.payloadType,
                extensions: map, mid: mid, hasAudioLevel: hasAudioLevel, hasCaptureTime: hasCaptureTime,
                hasOrientation: hasOrientation, forcesTwoByte: forcesTwoByte)
        }
        full = template(mid: configuration.mid)
        lean = template(mid: nil)
        unlevelled = template(mid: configuration.mid, hasAudioLevel: false)
        let isTimed = map[.absoluteCaptureTime] != nil
        timed = isTimed ? template(mid: configuration.mid, hasCaptureTime: true) : nil
        timedUnlevelled =
            isTimed ? template(mid: configuration.mid, hasAudioLevel: false, hasCaptureTime: true) : nil
        oriented =
            isAudio || map[.videoOrientation] == nil ? nil : template(mid: configuration.mid, hasOrientation: true)
        // What is sent again brings its orientation with it: it may be the packet that was lost.
        retransmission = template(mid: configuration.mid, hasOrientation: !isAudio, retransmits: true)
    }
}
