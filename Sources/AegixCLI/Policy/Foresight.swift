// Side effects: looks at the host's files and looks allowed names up. Puts each question to whoever decides it in a run.

import AegixNetwork
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import Glibc

/// A plan that nobody carries out, and the answers that follow from it.
struct Foresight {
    let preparation: RunPreparation
    let plan: Plan
    private let view: HostView
    private let execs: ExecForecast
    private let explainer: Explainer

    init(_ arguments: Arguments) throws(Failure) {
        // What is asked about isn't what is given.
        let options = try RunOptions(arguments, command: .program([Bytes("true")]))
        preparation = try RunPreparation(
            options, state: try StateLocation.current(option: options.stateDirectory), runs: false)
        let run = Path.join(preparation.state, Bytes("runs/RUN"))
        plan = try preparation.plan(layer: LayerPlace(directory: Path.join(run, Bytes("layer"))), run: run)
        view = HostView(plan)
        execs = ExecForecast(
            plan, view, cache: CacheDirectory(path: Path.join(preparation.state, Bytes("cache")), writes: false))
        explainer = Explainer(preparation.loaded)
    }

    func judge(_ question: Question) throws(Failure) -> Judgement {
        switch question {
        case .command(let form, let asked): try command(form, asked)
        case .connect(let host, let port, let asked): try connect(host, port, asked)
        case .path(let path, let writes): self.path(path, writes)
        }
    }

    // MARK: - Commands

    /// The strictest of the execs that there would be; of equal ones the first.
    private func command(_ form: Invocation.Form, _ asked: Bytes) throws(Failure) -> Judgement {
        let forecast = try execs.judge(Invocation(form))
        let last = forecast.steps.count - 1
        let worst = forecast.steps.indices.max { one, other in
            let (a, b) = (forecast.steps[one].decision, forecast.steps[other].decision)
            return a == b ? a != .allow && one > other || a == .allow && one < other : a < b
        }
        let step = forecast.steps[worst ?? last]
        var judgement = Judgement(
            question: "cmd", asked: asked, decision: .init(step.decision), explanation: explain(step),
            programs: forecast.steps)
        if let reason = step.rule?.reason { judgement.notes.append("reason: \(Bytes(reason).shown)") }
        if let untold = forecast.untold {
            if judgement.decision == .allow { judgement.decision = .unknown }
            judgement.notes.append("\(untold): what it starts is judged when it does")
        }
        if case .shell(let line) = form, case .builtin(let name) = ShellLine(line) {
            judgement.notes.append("the shell does `\(Bytes(name).shown)` itself: no exec, so no rule has a say")
        }
        if step.decision == .allow, step.errno == nil {
            judgement.notes.append("what a program does or starts once it runs isn't foreseen")
        }
        return judgement
    }

    private func explain(_ step: ExecForecast.Step) -> Explanation {
        let shown = step.argv.first ?? []
        if let code = step.errno {
            let name = Path.join(plan.cwd, shown)
            if shown.contains(Path.slash), let hidden = hidden(name) { return hidden }
            let rule = code == ENOENT ? "command.missing" : "command.refused"
            let sentence =
                code == ENOENT ? "there is no such program in view:" : "this can't be executed (\(Errno.words(code))):"
            return Explanation(
                control: "launch", rule: rule, origin: nil, object: shown, sentence: sentence,
                remedy: .advice(FailureAdvice.text(rule) ?? ""))
        }
        let rule = step.rule?.text ?? step.reason.map { "commands: \($0)" } ?? "commands.default"
        switch step.decision {
        case .deny: return explainer.command(rule, 1, "a command rule would deny", program: step.program)
        case .approve:
            var found = explainer.command(rule, 1, "somebody would be asked about", program: step.program)
            if plan.approval.via == .deny { found.sentence += " (approval.via = \"deny\": the answer is no)" }
            return found
        case .allow:
            var found = explainer.command(rule, 1, "the command rules let run", program: step.program)
            found.remedy = .none
            return found
        }
    }

    // MARK: - Connections

    private func connect(
        _ host: NetworkForecast.Host, _ port: UInt16, _ asked: Bytes
    ) throws(Failure) -> Judgement {
        let answer = try NetworkForecast.connect(
            plan.network, to: host, port: port, hostname: plan.determinism.hostname)
        let decision: Judgement.Decision =
            switch answer.verdict {
            case .allow: .allow
            case .deny: .deny
            case .ask: .approve
            }
        let sentence =
            switch decision {
            case .allow: "the network policy lets through"
            case .approve: "somebody would be asked about"
            case .deny, .unknown: "the network policy would refuse"
            }
        var explanation = explainer.network(
            "connect(\(asked.shown))",
            .init(rule: answer.verdict.rule, address: answer.address?.text, port: Int(port)), 1, sentence)
        let (text, place) = Explainer.split(answer.verdict.rule)
        explanation.rule = text
        explanation.origin = place ?? explanation.origin
        if decision == .allow { explanation.remedy = .none }
        var judgement = Judgement(question: "connect", asked: asked, decision: decision, explanation: explanation)
        judgement.addresses = answer.addresses.map(\.text)
        judgement.notes = answer.note.map { [$0] } ?? []
        return judgement
    }

    // MARK: - Paths

    private func path(_ asked: Bytes, _ writes: Bool) -> Judgement {
        let judge = PathForesight(plan: plan, facts: preparation.facts, view: view, explainer: explainer)
        return judge.judge(asked, writes: writes)
    }

    private func hidden(_ path: Bytes) -> Explanation? {
        guard case .masked(let masked) = view.find(path) else { return nil }
        return PathForesight(plan: plan, facts: preparation.facts, view: view, explainer: explainer).masked(
            masked, path)
    }
}
