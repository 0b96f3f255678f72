// Side effects: runs a recorded command again in a sandbox, leaves a record of that, writes to the console.

import AegixAudit
import AegixPlan
import AegixSandbox
import AegixSystem
import AegixWorkspace
import Glibc

/// `aegix replay RUN|BUNDLE`.
///
/// Stages: the recorded run, intact ─► its workspace, as it was or is (ReplayGround) ─► what it may do (ReplayRights) ─► the road of
/// every run, into a layer that is dropped ─► comparison, causes first ─► once more, if nothing says why ─► variations ─► report.
/// Not done here: comparing (AegixAudit/Replay), and anything to the workspace.
public enum ReplayCommand: Command {
    public static let name = "replay"
    public static let summary = "run a recorded command again and explain every difference"
    public static let usage = ["replay [OPTION…] RUN|BUNDLE"]
    public static let details = """
        Runs the recorded command once more, with its environment, stdin, policy and inputs, as far as they were recorded, in a sandbox \
        of the same kind and a fresh layer, which is never applied. Where no inputs were kept ([audit] inputs), it takes the \
        workspace as it is, and names what changed there since. It never has more rights than the record's policy and this machine's \
        ceiling give; a bundle's replay has nothing of this machine's but the base system.

        Then both records are compared: first what may be a cause (command, policy, enforcement, programs, environment, host, inputs, \
        limits, network), then what came out (exit, streams, changes, artifacts, programs that ran), each difference with its likeliest cause. \
        If nothing says why, it is run once more, to tell chance from what can't be explained.

        It exits with 0 if the same came out, with 1 if not or if a variation changed it, and with 2 if it can't be replayed. `docs/replay.md` says more.
        """
    public static let options = ReplayOptions.table

    /// It can't be replayed.
    static let impossible: Int32 = 2

    /// For what others left behind, before it is removed aside.
    private static let patience: UInt64 = 1_000_000_000

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let options = try ReplayOptions(arguments)
        do throws(Failure) {
            return try replay(options, console)
        } catch {
            var failure = error
            failure.exitCode = impossible
            throw failure
        }
    }

    private static func replay(_ options: ReplayOptions, _ console: Console) throws(Failure) -> Int32 {
        let state = try StateDirectory.open(at: try StateLocation.current(option: options.stateDirectory))
        RecordState.tell(try state.closeInterrupted(), console)
        // A replay that was killed leaves what it unpacked, which may be a lot.
        do throws(Failure) {
            if try !state.clearAway(until: Clock.monotonic() + patience) { state.clearAwayAside() }
        } catch {
            console.note(error.message)
        }
        let junit = try options.junit.map { path throws(Failure) in
            try RecordCopy(path, of: "report", cwd: try RunPreparation.currentDirectory())
        }
        var scratch: Scratch?
        let report: ReplayReport
        do throws(Failure) {
            if options.isBundle { scratch = try state.makeScratch() }
            let recorded = try source(options, state, unpackedIn: scratch)
            if !options.isBundle, try recorded.inputs() != nil { scratch = try state.makeScratch() }
            let ground = try ReplayGround(recorded, in: scratch)
            report = try compare(recorded, options, ground, state, console)
        } catch {
            do throws(Failure) { try scratch?.remove() } catch let other { console.note(other.message) }
            throw error
        }
        try scratch?.remove()
        try junit?.write(Bytes(ReplayJUnit(report).text))
        if console.json { try console.document(report.json) } else { try console.print(ReplayText.text(report)) }
        return report.isSame ? 0 : 1
    }

    private static func source(
        _ options: ReplayOptions, _ state: StateDirectory, unpackedIn scratch: Scratch?
    ) throws(Failure) -> RecordedRun {
        if let scratch {
            let bundle = try BundleReader(options.what)
            let place: Tree
            do throws(SystemError) { place = try scratch.makeDirectory(Bytes("run")) } catch {
                throw Failure("bundle.unpacked", "can't make a directory in \(scratch.path.shown)", error)
            }
            _ = try bundle.extract(into: place.descriptor)
            return try RecordedRun(in: place)
        }
        guard let text = options.what.text else {
            throw Failure("run.unknown", "there is no run \(options.what.shown)")
        }
        let recorded = try state.recorded(try state.find(text, from: RecordState.currentDirectory()))
        // SECURITY: it may repeat a stranger's bundle, and as a run of this machine it would have this machine's workspace.
        if recorded.record["invocation"]?["how"]?.string == RunStart.Invocation.replay {
            let parent = recorded.record["parent"]?.string.map { " \($0)" } ?? ""
            throw Failure(
                "replay.impossible",
                "run \(recorded.id) is a replay itself. Replay run\(parent), which it repeats, or the bundle that it came from"
            )
        }
        return recorded
    }

    private static func compare(
        _ recorded: RecordedRun, _ options: ReplayOptions, _ ground: ReplayGround, _ state: StateDirectory,
        _ console: Console
    ) throws(Failure) -> ReplayReport {
        let attempt = ReplayAttempt(recorded, options, on: ground, in: state, console)
        var (first, given) = try attempt.run()
        given += ground.misread(first.compared.record)
        let original = try ComparedRun(recorded)
        var comparison = Comparison.of(original, first.compared, given: given, strict: options.strict)
        var report = ReplayReport(original: recorded.id, replay: first.id)
        if comparison.isUnexplained {
            let (again, _) = try attempt.run()
            comparison.settle(by: Comparison.of(first.compared, again.compared, strict: options.strict))
            report.again = again.id
        }
        report.comparison = comparison
        for variation in options.variations {
            let (varied, _) = try attempt.run(variation)
            report.variations.append(
                .init(
                    variation, run: varied.id,
                    Comparison.of(first.compared, varied.compared, strict: options.strict)))
        }
        return report
    }
}

/// Runs a recorded command, once or more often.
struct ReplayAttempt {
    private let recorded: RecordedRun
    private let options: ReplayOptions
    private let ground: ReplayGround
    private let state: StateDirectory
    private let console: Console

    init(
        _ recorded: RecordedRun, _ options: ReplayOptions, on ground: ReplayGround, in state: StateDirectory,
        _ console: Console
    ) {
        self.recorded = recorded
        self.options = options
        self.ground = ground
        self.state = state
        self.console = console
    }

    struct Finished {
        let id: RunID
        let compared: ComparedRun
    }

    /// With what it can't have as the run had it.
    func run(_ variation: ReplayVariation? = nil) throws(Failure) -> (Finished, [Difference]) {
        let preparation = try ReplayPreparation(
            recorded, options, on: ground, state: state.path, variation: variation)
        console.redactor = preparation.run.redactor
        let given = try takeStdin()
        let recorder = try RunRecorder(preparation.run, in: state)
        var attempt = RunAttempt()
        attempt.run(recorder, recorder.io(captureOnly: true))
        _ = try recorder.finish(&attempt, includeText: false)
        if let failure = attempt.failure ?? attempt.result?.failure ?? attempt.lateFailure
            ?? attempt.result?.lateFailure
        {
            throw failure
        }
        guard let id = RunID(recorder.runID) else {
            throw Failure("record.failed", "the replay has no record")
        }
        let finished = try state.recorded(id)
        let compared = try ComparedRun(finished)
        _ = try state.discard(id)
        return (Finished(id: id, compared: compared), preparation.differences + given)
    }

    private func become(_ file: borrowing Descriptor) throws(Failure) {
        if dup2(file.raw, STDIN_FILENO) < 0 {
            throw Failure("replay.stdin", "can't set stdin", SystemError.last("dup2"))
        }
    }

    /// What was recorded of it becomes the replay's stdin; else it has none.
    private func takeStdin() throws(Failure) -> [Difference] {
        let told = recorded.record["streams"]?["stdin"]
        if let file = try recorded.stdin() {
            try become(file)
            if told?["truncated"]?.bool != true { return [] }
            return [Difference(.inputs, Bytes("stdin"), note: "was longer than what was recorded of it")]
        }
        let null: Descriptor
        do throws(SystemError) { null = try Descriptor.open(Bytes("/dev/null"), O_RDONLY) } catch {
            throw Failure("replay.stdin", "can't open /dev/null", error)
        }
        try become(null)
        let controls = recorded.record["enforcement"]?["controls"]?.array ?? []
        guard let mechanism = controls.first(where: { $0["name"]?.string == "stdin" })?["mechanism"]?.string,
            mechanism != "/dev/null", !mechanism.hasSuffix("replaced by /dev/null")
        else { return [] }
        return [
            Difference(
                .inputs, Bytes("stdin"), before: Bytes(mechanism), after: Bytes("/dev/null"),
                note: told?["reason"]?.string.map { "it wasn't kept: \($0)" } ?? "it wasn't recorded (--record-stdin)")
        ]
    }
}
