// Side effects: moves layers between a named sandbox and its newest run; removes sandboxes.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

extension StateDirectory {
    /// The sandbox of a run, for who is about to take its changes or to drop them: held, so that no run writes there. Only
    /// its newest run stands for what is in it. nil: the run had a sandbox of its own, or its layer is in its own hands by now.
    ///
    /// - held: by the run itself, which is just ending.
    func hold(_ id: RunID, in name: String?, held: NamedSandbox? = nil) throws(Failure) -> NamedSandbox? {
        guard let name else { return nil }
        if let held { return held }
        let sandbox = try NamedSandbox.hold(name, in: self)
        if sandbox.about.lastRun == id { return sandbox }
        throw Failure(
            "sandbox.moved",
            "the sandbox \(name) went on after run \(id): what it holds now is shown by `aegix review \(name)`",
            exitCode: 1)
    }
}

extension NamedSandbox {
    /// One that is there, by its name.
    static func hold(_ name: String, in state: StateDirectory) throws(Failure) -> NamedSandbox {
        let about: About?
        do throws(SystemError) {
            about = try read(try StateFile.openDirectory("\(parent)/\(name)", in: state.root))
        } catch {
            throw Failure("sandbox.unusable", "can't use the sandbox \(name)", error, exitCode: 1)
        }
        guard let about else {
            throw Failure("sandbox.unusable", "the sandbox \(name) has never been used", exitCode: 1)
        }
        return try open(name, for: about, in: state, wait: 0)
    }

    /// The layer is the run's from now on, applied or to be dropped, and the sandbox begins anew with the workspace as it is.
    func handLayer(to run: RunID, in state: StateDirectory) throws(SystemError) {
        let target = "../../runs/\(run)/layer"
        if aegix_renameat(directory.raw, "layer", target) < 0, errno != ENOENT {
            throw SystemError.last("rename", Bytes("layer"))
        }
        try StateFile.remove(NamedSandbox.changesName, in: directory)
        try forget()
    }
}
