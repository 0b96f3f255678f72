// Side effects: keeps in a named sandbox what was denied to any of its runs, and lists what a killed one left.

import AegixPolicy
import AegixSystem
import AegixWorkspace

/// A sandbox carries the union of what was denied to its runs, until its layer is handed over: what one run made where it was
/// denied is no better because the next has another policy.
extension NamedSandbox {
    private static let mostDenied = 4096

    /// Before the run's command starts. From here on the run counts as unfinished, however it ends.
    public func begin(_ run: RunID, denied: [PathPattern]) throws(Failure) {
        try settle()
        let known = Set(about.denied)
        about.denied += denied.filter { !known.contains($0) }
        if about.denied.count > NamedSandbox.mostDenied {
            throw Failure(
                "sandbox.unusable",
                "the runs in the sandbox \(name) had more than \(NamedSandbox.mostDenied) different patterns in `files.deny`. "
                    + "Apply or discard what it holds, or use another name")
        }
        about.unfinished = run
        do throws(SystemError) {
            try write()
        } catch {
            throw Failure("sandbox.unusable", "can't note what is denied in the sandbox \(name)", error)
        }
    }

    /// What the run before this one changed and, killed, didn't note: judged before another can move it.
    private func settle() throws(Failure) {
        guard let run = about.unfinished else { return }
        let earlier = try previous()
        do throws(SystemError) {
            let layer = Layer(upper: path + Bytes("/layer/upper"), style: about.style)
            var list = try LayerListing(
                layer, over: about.workspace, began: Int64(run.milliseconds) * 1_000_000,
                linksBreak: about.style == .user
            ).list().since(earlier)
            let around = try LayerSurroundings(layer, over: about.workspace)
            try judge(&list, since: earlier, around)
            try StateFile.replace(
                list.remembering(earlier).encode(), at: NamedSandbox.changesName, in: directory)
        } catch {
            throw Failure(
                "sandbox.unusable",
                "can't look at what run \(run), which was killed, left in the sandbox \(name). Drop it with `aegix reset \(name)`",
                error)
        }
    }

    /// Flags what is denied by the policy of any run, and what was flagged in an earlier list.
    public func judge(
        _ list: inout ChangeList, since earlier: ChangeList, _ around: any Surroundings
    ) throws(SystemError) {
        try Denials(about.denied, in: about.workspace).flag(&list, around)
        Denials.carry(&list, from: earlier)
    }

    /// The layer is gone, and what was denied in it with it.
    func forget() throws(SystemError) {
        (about.denied, about.unfinished) = ([], nil)
        try write()
    }
}
