// Side effects: reads and writes one file beside a layer.

import AegixSystem
import Glibc

/// What a run deleted, where the layer's file system takes no whiteouts: overlayfs refuses to make them, and a layer that was taken out
/// of a copy may lie on one. Paths from the workspace's top, each ended by a NUL, in `deleted` beside `upper`, out of the run's view.
public struct DeletedNames {
    public static let name = "deleted"
    private static let longest = 256 << 20
    private var byDirectory: [Bytes: [Bytes]] = [:]

    init(_ layer: Layer) throws(SystemError) {
        let parent = try Tree(at: Path.parent(layer.upper))
        guard try parent.facts(name: Bytes(DeletedNames.name)) != nil else { return }
        let text = try parent.file(Bytes(DeletedNames.name)).readAll(limit: DeletedNames.longest)
        for path in text.split(separator: 0).map(Bytes.init) {
            byDirectory[Path.relativeParent(path), default: []].append(Path.name(path))
        }
    }

    func names(in directory: Bytes) -> [Bytes] { byDirectory[directory] ?? [] }

    static func write(_ paths: [Bytes], beside upper: Bytes) throws(SystemError) {
        let place = Path.join(Path.parent(upper), Bytes(name))
        let file = try Descriptor.open(place, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o600)
        try file.writeAll(Bytes(paths.joined(separator: [0])) + [0])
    }
}
