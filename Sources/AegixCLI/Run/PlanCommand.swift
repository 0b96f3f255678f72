// Side effects: reads the host and the policy; writes to the console only.

import AegixPlan
import AegixSystem

/// `aegix plan`: what a run would be, without making anything.
public enum PlanCommand: Command {
    public static let name = "plan"
    public static let summary = "show what a run would be held by, without running it"
    public static let usage = RunOptions.usage.map { "plan [OPTION…] " + $0 }
    public static let details = """
        Takes the words of run and prints what would be enforced, by which mechanism and under which tier. Nothing is \
        run, made or recorded.
        """
    public static let options = RunOptions.table
    public static let unavailable = RunOptions.unavailable
    public static let passesRest = true

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let options = try RunOptions(arguments)
        let state = try StateLocation.current(option: options.stateDirectory)
        let preparation = try RunPreparation(options, state: state, runs: false)
        let redactor = preparation.redactor
        console.redactor = redactor
        let run = Path.join(preparation.state, Bytes("runs/RUN"))
        let plan = try preparation.plan(layer: LayerPlace(directory: Path.join(run, Bytes("layer"))), run: run)
        let controls = Enforcement.controls(plan, facts: preparation.facts, held: true)
        if console.json {
            var document = plan.json
            document["schema"] = "aegix.plan/v1"
            document["policy"] = [
                "name": .string(preparation.loaded.policy.name), "digest": .string(preparation.loaded.policy.digest),
            ]
            let artifacts = preparation.loaded.policy.artifacts
            document["artifacts"] = [
                "collect": .array(artifacts.collect.map { .string($0) }), "max_bytes": .big(artifacts.maxBytes),
                "out": options.out.map { .bytes(Path.join(preparation.facts.cwd, $0)) } ?? .null,
            ]
            document["controls"] = .array(
                controls.controls.map {
                    ["name": .string($0.name), "asked": .string($0.asked), "mechanism": .string($0.mechanism)]
                })
            try console.document(JSON.object(document).redacted(by: redactor))
        } else {
            let text = Bytes(
                PlanText.text(plan, controls: controls.controls, policy: preparation.loaded, out: options.out))
            try console.write(redactor?.redact(text) ?? text)
        }
        return 0
    }
}
