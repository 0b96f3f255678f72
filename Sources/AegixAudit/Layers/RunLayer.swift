// Side effects: makes and clears `layer/` of a run directory.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

/// The writable directories of a run's overlay. What the run changed stays in `layer/upper`.
public enum RunLayer {
    public enum State: Equatable, Sendable {
        /// The run had none, or it stayed empty.
        case none
        /// It holds changes.
        case kept
    }

    /// Paths for mount(2).
    public struct Paths: Equatable, Sendable {
        public let upper: Bytes
        public let work: Bytes
    }

    /// In the run's directory.
    static let name = "layer"

    /// What overlay makes in the work directory, mode 0, from the outside in; the last is its mark that nothing was synced.
    private static let overlays = ["layer/work/work", "layer/work/work/incompat", "layer/work/work/incompat/volatile"]

    /// The upper's own mode and owner are those of the workspace's top as the command sees it.
    static func make(in run: borrowing Descriptor, mode: mode_t, owner: (uid: uid_t, gid: gid_t)?) throws(SystemError) {
        for name in ["layer", "layer/upper", "layer/work"] { try StateFile.makeDirectory(name, in: run) }
        if let owner {
            for name in ["layer", "layer/upper", "layer/work"]
            where fchownat(run.raw, name, owner.uid, owner.gid, 0) < 0 {
                throw SystemError.last("chown", Bytes(name))
            }
        }
        // After the chown, which clears bits; by chmod, since mkdir takes the umask off.
        if mode != 0o700, aegix_fchmodat(run.raw, "layer/upper", mode) < 0 {
            throw SystemError.last("chmod", Bytes("layer/upper"))
        }
    }

    /// Whether the run changed anything. An empty layer stays as it is: where a file system discards freed blocks at once,
    /// each directory that is removed costs as much as a process. `mode` is what `make` was given; nil where it isn't known
    /// any more.
    /// - keepsWork: the layer is mounted again: overlay's index of hard links stays.
    static func finish(
        in run: borrowing Descriptor, mode: mode_t?, keepsWork: Bool = false
    ) throws(SystemError) -> State {
        guard let facts = try StateFile.facts(of: "layer/upper", in: run) else { return .none }
        // chmod of the workspace itself lands on the upper itself.
        let sameMode = mode == nil || mode.map { $0 & 0o7777 } == facts.mode & 0o7777
        let hasDeleted = try StateFile.facts(of: "layer/\(DeletedNames.name)", in: run) != nil
        let isEmpty = try isEmpty("layer/upper", in: run) && !hasDeleted
        // Its owner couldn't even remove the run.
        for name in overlays
        where aegix_fchmodat(run.raw, name, 0o700) < 0 && errno != ENOENT {
            throw SystemError.last("chmod", Bytes(name))
        }
        if keepsWork { try removeTree("layer/work/work", in: run) }
        if sameMode && isEmpty { return .none }
        if !keepsWork { try removeTree("layer/work/work", in: run) }
        return .kept
    }

    /// Once the layer is complete without it.
    static func dropWork(in run: borrowing Descriptor) throws(SystemError) { try removeTree("layer/work", in: run) }

    /// For another mount over the same workspace. A run that was killed has left overlay's mark that the layer was never
    /// synced, and overlay would refuse it.
    static func prepareAgain(in run: borrowing Descriptor, owner: (uid: uid_t, gid: gid_t)?) throws(SystemError) {
        if try StateFile.facts(of: "layer/work", in: run) == nil {
            try StateFile.makeDirectory("layer/work", in: run)
            if let owner, fchownat(run.raw, "layer/work", owner.uid, owner.gid, 0) < 0 {
                throw SystemError.last("chown", Bytes("layer/work"))
            }
        }
        for name in overlays
        where aegix_fchmodat(run.raw, name, 0o700) < 0 && errno != ENOENT {
            throw SystemError.last("chmod", Bytes(name))
        }
        try removeTree("layer/work/work", in: run)
    }

    private static func isEmpty(_ name: String, in run: borrowing Descriptor) throws(SystemError) -> Bool {
        let directory = try Descriptor.openBeneath(run.raw, Bytes(name), O_RDONLY | O_DIRECTORY)
        return try StateFile.names(in: directory).isEmpty
    }

    /// Two calls where it is as overlay leaves it, else all that is in it; nothing of the run is alive any more.
    private static func removeTree(_ name: String, in directory: borrowing Descriptor) throws(SystemError) {
        _ = aegix_unlinkat(directory.raw, name + "/work", AT_REMOVEDIR)
        if aegix_unlinkat(directory.raw, name, AT_REMOVEDIR) == 0 || errno == ENOENT { return }
        let path = Bytes(name)
        let parent = try Descriptor.openBeneath(
            directory.raw, Path.relativeParent(path), O_RDONLY | O_DIRECTORY)
        try Tree(owning: parent).removeAll(Path.name(path))
    }
}
