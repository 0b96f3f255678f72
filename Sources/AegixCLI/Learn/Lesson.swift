// Side effects: looks at the host for what was asked for and not in view. What a run came to, as a policy and its text.

import AegixAudit
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import AegixWorkspace
import Glibc

struct Lesson {
    let learned: LearnedPolicy
    let refused: [String]
    let text: Bytes

    private static let mostRefused = 100

    init(
        _ preparation: RunPreparation, _ plan: Plan, _ recorder: RunRecorder, _ result: RunResult,
        _ sightings: Sightings,
        _ changes: RunEnd.Changes
    ) throws(Failure) {
        let seen = LessonMaterial(preparation, plan, recorder, result, sightings, changes)
        let home = preparation.facts.home ?? plan.home
        let anchors = PolicyAnchors(home: home, workspace: preparation.facts.workspace.path)
        var learned = LearnedPolicy(
            seen.observations, within: Lesson.within(preparation), anchors: anchors,
            canHold: ProcessHolding.isAllowed(preparation.facts.uid), fixed: Lesson.fixed(preparation))
        for name in Set(preparation.options.environment.map(\.name)).sorted() {
            learned.leftOut.append("env.set \(name): given with --env, whose value may be a secret. Give it again")
        }
        if seen.hidden > 0 { learned.leftOut.append("\(seen.hidden) names that hold a declared secret") }
        self.learned = learned
        refused = Array(
            (recorder.violations.map(Lesson.line) + seen.unwritable + Lesson.outOfView(sightings, preparation))
                .prefix(Lesson.mostRefused))
        let outcome = result.outcome
        let ended = outcome.signal.map { "died of signal \($0)" } ?? "exited with \(outcome.exitCode)"
        let command = plan.command.argv.map { word in LearnedText.short(Bytes(word.prefix(80))) }.joined(separator: " ")
        var head = [
            "Learned by aegix \(Version.number) from run \(recorder.runID): \(LearnedText.short(Bytes(command)))",
            "The command \(ended)\(outcome.message.map { " (\($0))" } ?? "")."
                + (outcome.status == .exited && outcome.exitCode == 0 ? "" : " It may need more than it came to."),
            "A proposal: read it before you rely on it. It allows nothing that the policy `\(preparation.loaded.policy.name)` doesn't.",
        ]
        if sightings.leftOut > 0 { head.append("\(sightings.leftOut) more files were used than are kept.") }
        func redacted(_ line: String) -> String { preparation.redactor?.redact(line) ?? line }
        text = try LearnedText.toml(learned, head: head.map(redacted), refused: refused.map(redacted))
        if let redactor = preparation.redactor, redactor.redact(text) != text {
            throw Failure(
                "learn.secret", "what was learned would hold a declared secret, so it isn't written", exitCode: 123)
        }
    }

    /// What the run was allowed, but for what was given it by the call alone and may be secret.
    private static func within(_ preparation: RunPreparation) -> Policy {
        var policy = preparation.loaded.policy
        for variable in preparation.options.environment { policy.env.set[variable.name] = nil }
        return policy
    }

    private static func fixed(_ preparation: RunPreparation) -> Set<PolicyKey> {
        let place = Path.join(preparation.facts.workspace.path, Bytes("aegix.toml")).shown + ":"
        return Set(
            preparation.loaded.origins.filter { $0.place.hasPrefix(place) }.compactMap { PolicyKey(rawValue: $0.key) })
    }

    private static func line(_ violation: Violation) -> String {
        let path = violation.path.map { " \(LearnedText.short($0))" } ?? ""
        let count = violation.count > 1 ? ", \(violation.count) times" : ""
        return "\(violation.control): \(LearnedText.short(Bytes(violation.rule)))\(path)\(count)"
    }

    /// Names that aren't there inside and are on the host: perhaps what a wider --within would have shown.
    private static func outOfView(_ sightings: Sightings, _ preparation: RunPreparation) -> [String] {
        var lines: [String] = []
        let own = [Bytes("/tmp"), Bytes("/proc"), Bytes("/dev"), Bytes("/sys")]
        for (path, by) in sightings.missing.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            var facts = stat()
            if own.contains(where: { Path.contains($0, path) }) || path.contains(0) { continue }
            if preparation.facts.guarded.contains(where: { Path.contains($0.path, path) }) { continue }
            if path.withCString({ lstat($0, &facts) }) != 0 { continue }
            let names = Path.components(path)
            let remedy = SensitivePath.isOne(names) ? "a place of keys or tokens" : "--read shows it"
            lines.append(
                "files: \(LearnedText.short(path)) was asked for by \(LearnedText.program(by)) and isn't in view; \(remedy)"
            )
        }
        return lines
    }
}

/// Whether execs can be held for judging: with Yama's word that only root may, a policy of rules would deny everything.
enum ProcessHolding {
    static func isAllowed(_ uid: UInt32) -> Bool {
        if uid == 0 { return true }
        do throws(SystemError) {
            let text = try Descriptor.open(Bytes("/proc/sys/kernel/yama/ptrace_scope"), O_RDONLY).readAll(limit: 16)
            return text.first.map { $0 < UInt8(ascii: "2") } ?? true
        } catch {
            return true  // no Yama
        }
    }
}
