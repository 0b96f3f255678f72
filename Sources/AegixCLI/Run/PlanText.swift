// Pure. The plan for a person.

import AegixPlan
import AegixSandbox
import AegixSystem

enum PlanText {
    static func text(_ plan: Plan, controls: [Control], policy: LoadedPolicy, out: Bytes? = nil) -> String {
        var lines = [
            "tier       \(plan.tier.name)",
            "policy     \(policy.policy.name) (\(policy.sources.map(\.name).joined(separator: ", ")))",
            "command    \(plan.command.argv.map(\.shown).joined(separator: " "))",
            "program    \(plan.command.candidates.first.map(\.shown) ?? "none")"
                + (plan.command.candidates.count > 1
                    ? ", or the next of \(plan.command.candidates.count) along PATH" : ""),
            "directory  \(plan.cwd.shown)",
            "workspace  \(plan.workspace.shown) (\(plan.workspaceMode.rawValue))",
            "home       \(plan.home.shown), private and empty",
        ]
        let names = plan.environment.map { $0.name.shown }.joined(separator: ", ")
        lines.append("variables  \(names)")
        let secrets = plan.environment.filter { $0.source == .secret }.map(\.name.shown)
        if !secrets.isEmpty { lines.append("secrets    \(secrets.joined(separator: ", "))") }
        if let confined = plan.confined {
            lines.append("confined   \(confined.reason)")
        }
        if let copy = plan.copy ?? plan.confined?.copy { lines.append("copy       \(copy.destination.shown)") }
        for rule in plan.commands.rules { lines.append("rule       \(rule.text)") }
        if plan.commands.judges { lines.append("no rule    \(plan.commands.unmatched.rawValue)") }
        for item in plan.hidden { lines.append("hidden     \(item.path.shown): \(item.reason)") }
        let artifacts = policy.policy.artifacts
        if !artifacts.collect.isEmpty {
            lines.append("artifacts  \(ArtifactText.plan(artifacts.collect, maxBytes: artifacts.maxBytes, out: out))")
        }
        if plan.network.mode != .none {
            lines.append("network    \(plan.network.mode.rawValue)")
            for rule in plan.network.allow { lines.append("  allow    \(rule.text)") }
            for rule in plan.network.deny { lines.append("  deny     \(rule.text)") }
        }
        let pins = plan.determinism.pins
        lines.append("pinned     \(pins.filter(\.isPinned).map(PlanText.pin).joined(separator: ", "))")
        let loose = pins.filter { !$0.isPinned }
        if !loose.isEmpty { lines.append("by chance  \(loose.map(PlanText.pin).joined(separator: ", "))") }
        lines.append("")
        let width = controls.map(\.name.count).max() ?? 0
        for control in controls {
            let pad = String(repeating: " ", count: width - control.name.count)
            lines.append("\(control.name)\(pad)  \(control.asked): \(control.mechanism)")
        }
        return lines.joined(separator: "\n") + "\n"
    }

    /// `umask 0022`; of what isn't pinned though it was asked for, why.
    private static func pin(_ pin: DeterminismPlan.Pin) -> String {
        let why = pin.isPinned ? "" : pin.mechanism.map { " (\($0))" } ?? ""
        return pin.name + (pin.value.map { " \($0)" } ?? "") + why
    }
}
