// Side effects: makes `<state>/runs/<id>/` with its live file and layer, before anything is recorded of it.

import AegixSystem
import CAegix
import Glibc

/// A run's place on disk. Made before the sandbox is, whose mounts need the layer; the record is begun while the sandbox
/// assembles itself. Killed in between, it has a live file without a start event, and the next command clears it.
public struct ReservedRun: ~Copyable {
    public let id: RunID
    public let path: Bytes
    private let directory: Descriptor
    private let alive: Descriptor
    private let state: StateDirectory
    private var layerMode: mode_t?

    /// Stages: the live file, first, so that whatever comes after it is found and closed; the directory; the name of the
    /// events in it.
    public init(_ id: RunID, in state: StateDirectory) throws(Failure) {
        do throws(SystemError) {
            let alive = try ReservedRun.enter(id, in: state)
            do throws(SystemError) {
                let directory = try ReservedRun.makeDirectory(id, in: state)
                try StateFile.link(id.description, in: state.live, to: EventLog.name, in: directory)
                self.directory = directory
            } catch {
                ReservedRun.abandon(id, in: state)
                throw error
            }
            self.id = id
            self.alive = alive
            self.state = state
            path = state.runPath(id)
        } catch {
            throw state.failure(error)
        }
    }

    /// Gives up both descriptors, to the run that begins.
    consuming func open() -> (layerMode: mode_t?, directory: Int32, alive: Int32) {
        let mode = layerMode
        return (mode, aegix_duplicate(directory.raw), aegix_duplicate(alive.raw))
    }

    /// `layer/upper` with the mode and owner that the workspace's top shall have inside, and `layer/work`.
    public mutating func makeLayer(mode: mode_t, owner: (uid: uid_t, gid: gid_t)? = nil) throws(Failure)
        -> RunLayer.Paths
    {
        do {
            try RunLayer.make(in: directory, mode: mode, owner: owner)
            layerMode = mode
            return RunLayer.Paths(upper: path + Bytes("/layer/upper"), work: path + Bytes("/layer/work"))
        } catch {
            throw state.failure(error)
        }
    }

    /// The file in `live/` is the run's events under a second name, so that what ends a run takes a name away and no
    /// file: where ext4 has no journal, each file made looks through all that were deleted in the last minutes.
    ///
    /// The directory's shared lock keeps a command that looks for dead runs out between the file's creation and its lock.
    private static func enter(_ id: RunID, in state: StateDirectory) throws(SystemError) -> Descriptor {
        try FileLock.shared(state.live)
        defer { FileLock.release(state.live) }
        let alive = try StateFile.create(id.description, in: state.live, append: true)
        try FileLock.exclusive(alive)
        return alive
    }

    private static func makeDirectory(_ id: RunID, in state: StateDirectory) throws(SystemError) -> Descriptor {
        do {
            try StateFile.makeDirectory("runs/\(id)", in: state.root)
        } catch {
            if error.errno != ENOENT { throw error }
            try StateDirectory.makeIfMissing("runs", in: state.root)
            try StateFile.makeDirectory("runs/\(id)", in: state.root)
        }
        return try state.openRun(id)
    }

    /// Nothing ran and nothing is in the ledger: leave nothing behind.
    static func abandon(_ id: RunID, in state: StateDirectory) {
        for file in [EventLog.name, "policy.toml", RunDirectory.scriptName] {
            _ = aegix_unlinkat(state.root.raw, "runs/\(id)/\(file)", 0)
        }
        _ = aegix_unlinkat(state.root.raw, "runs/\(id)", AT_REMOVEDIR)
        _ = aegix_unlinkat(state.live.raw, id.description, 0)
    }
}
