// Side effects: looks at files of the host. How a run would judge a command, without running it.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// The run's own rules and decision, over the files as a sandbox would show them. Not done here: what programs do by themselves.
/// A few that only start another are followed (LaunchedCommand).
public final class ExecForecast {
    /// One exec that there would be.
    public struct Step {
        public var argv: [Bytes]
        /// Resolved; nil: there is none in view.
        public var program: Bytes?
        /// The interpreters of a script, the last of which is loaded.
        public var interpreters: [Bytes] = []
        public var decision: CommandDecision
        public var rule: CommandRule?
        /// What else decided.
        public var reason: String?
        /// What an exec would answer where no rule decides.
        public var errno: Int32?
    }

    public struct Forecast {
        public var steps: [Step] = []
        /// What can't be told of what would come after.
        public var untold: String?
    }

    private let plan: Plan
    private let rules: ExecRules
    /// Of the last step, as the loaded program gets them.
    private var loaded: [Bytes] = []
    private static let deepest = 16

    public init(_ plan: Plan, _ view: HostView, cache: CacheDirectory) {
        self.plan = plan
        let files = ExecFiles(view)
        rules = ExecRules(
            rules: plan.commands, files: files,
            known: KnownPrograms(plan.commands.rules, plan: plan, files: files, cache: cache))
    }

    /// A shell's line or a program's words, as `aegix run` takes them.
    public func judge(_ invocation: Invocation) throws(Failure) -> Forecast {
        var forecast = Forecast()
        var command = try CommandPlan.make(invocation, path: plan.search, cwd: plan.cwd)
        for _ in 0..<ExecForecast.deepest {
            let step = judge(command)
            forecast.steps.append(step)
            guard step.errno == nil, step.decision != .deny, let program = step.program else { return forecast }
            switch LaunchedCommand.next(
                of: step.interpreters.last ?? program, argv: loaded.isEmpty ? command.argv : loaded)
            {
            case .nothing: return forecast
            case .untold(let why):
                forecast.untold = why
                return forecast
            case .command(let argv):
                command = try CommandPlan.make(Invocation(.program(argv)), path: plan.search, cwd: plan.cwd)
            }
        }
        forecast.untold = "more than \(ExecForecast.deepest) programs start one another"
        return forecast
    }

    /// The first candidate that is there decides, as for the run's own command.
    private func judge(_ command: CommandPlan) -> Step {
        loaded = []
        var last = ENOENT
        for candidate in command.candidates {
            do throws(ExecFault) {
                let judged = try rules.judge(
                    candidate, directory: "cwd", name: candidate, argv: command.argv, of: getpid())
                loaded = judged.picture.chain.image?.argv ?? []
                let links = judged.picture.chain.links.map(\.file.path)
                var step = Step(argv: command.argv, program: links.first, decision: judged.decision, rule: judged.rule)
                step.interpreters = Array(links.dropFirst())
                step.reason = judged.reason
                if !plan.commands.judges { (step.decision, step.rule, step.reason) = (.allow, nil, nil) }
                return step
            } catch {
                switch error {
                case .answer(ENOENT), .answer(ENOTDIR): continue
                case .answer(let code): last = code
                case .unknown(let reason):
                    var step = Step(argv: command.argv, program: candidate, decision: .deny)
                    step.reason = reason
                    if !plan.commands.judges { step.decision = .allow }
                    return step
                }
            }
        }
        var step = Step(argv: command.argv, decision: .deny)
        step.errno = last
        return step
    }
}
