// Pure. Where the names of programs in the base system lead, once looked up.

import AegixPlan
import AegixSystem

/// Nothing in the sandbox can change the base system's directories and links, so a name in it that leads into it leads there
/// for the whole run.
struct SystemNames {
    private var targets: [Bytes: Bytes] = [:]
    /// The policy's own, maybe mounted over the base system.
    private let views: [Bytes]
    private static let most = 256

    init(beside views: [Bytes]) { self.views = views }

    func name(of path: Bytes) -> Bytes? { targets[path] }

    mutating func learn(_ path: Bytes, _ target: Bytes?) {
        guard let target, targets.count < SystemNames.most, isFixed(path), isFixed(target) else { return }
        targets[path] = target
    }

    private func isFixed(_ path: Bytes) -> Bool {
        path == Path.normalized(path) && BaseView.rootPaths.contains { Path.contains($0, path) }
            && !views.contains { Path.contains($0, path) }
    }
}
