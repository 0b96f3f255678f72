import AegixSystem
import Testing

@testable import AegixPolicy

@Suite struct CommandTests {
    func commands(_ text: String) throws -> Policy.Commands {
        var policy = Policy()
        let draft = try PolicyReader.read(Bytes("version = 1\n[commands]\n" + text), source: "p.toml")
        for (key, setting) in draft.settings { policy.set(key, setting.value) }
        return policy.commands
    }

    func errors(_ text: String) -> [String] {
        do {
            _ = try PolicyReader.read(Bytes("version = 1\n" + text), source: "p.toml")
            return []
        } catch {
            return error.list.map(\.description)
        }
    }

    func rule(_ argv: String, _ decision: String) -> String {
        "[[commands.rule]]\nargv = [\(argv)]\ndecision = \"\(decision)\"\n"
    }

    func subject(_ words: String..., aliases: [String] = [], isWritable: Bool = false) -> ExecSubject {
        let argv = words.map { Bytes($0) }
        return ExecSubject(
            [.init(paths: [argv[0]], aliases: aliases.map { Bytes($0) }, argv: argv)], isWritable: isWritable)
    }

    @Test(arguments: [
        ("\"git\", \"push\", \"**\"", "/usr/bin/git push origin", true),
        ("\"git\", \"push\", \"**\"", "/usr/bin/git push", true),
        ("\"git\", \"push\", \"**\"", "/usr/bin/git pull", false),
        ("\"git\", \"push\"", "/usr/bin/git push origin", false),
        ("\"git\", [\"push\", \"send-*\"], \"**\"", "/usr/bin/git send-pack x", true),
        ("\"git\", \"*\", \"--force\"", "/usr/bin/git push --force", true),
        ("\"git\", \"*\", \"--force\"", "/usr/bin/git push x --force", false),
        ("\"git\", \"**\", \"--force\", \"**\"", "/usr/bin/git push x --force y", true),
        ("\"**\", \"--evil\", \"**\"", "/usr/bin/anything --evil", true),
        ("\"**\"", "/usr/bin/anything", true),
        ("[\"curl\", \"wget\"], \"**\"", "/usr/bin/wget", true),
        ("\"/usr/bin/git\", \"**\"", "/usr/bin/git x", true),
        ("\"/opt/*\", \"**\"", "/opt/a/b x", true),
        ("\"/opt/bin/git\", \"**\"", "/usr/bin/git x", false),
        ("\"python3*\", \"-c\", \"?*\"", "/usr/bin/python3.12 -c pass", true),
    ])
    func patternsMatch(_ argv: String, _ line: String, _ wanted: Bool) throws {
        let commands = try commands(rule(argv, "deny"))
        let words = line.split(separator: " ").map { Bytes(String($0)) }
        let verdict = commands.judge([ExecSubject([.init(paths: [words[0]], argv: words)], isWritable: false)])
        #expect(verdict.decision == (wanted ? .deny : .allow))
    }

    @Test func theRuleIsNamedWithItsPlace() throws {
        let commands = try commands(rule("\"git\", [\"push\", \"fetch\"], \"**\"", "deny"))
        #expect(commands.judge([subject("/usr/bin/git", "push")]).rule?.text == "deny git push|fetch ** (p.toml:3:1)")
    }

    @Test func anythingItMightBeStopsIt() throws {
        let commands = try commands(rule("\"curl\", \"**\"", "deny"))
        #expect(commands.judge([subject("/tmp/x", aliases: ["/usr/bin/curl"], isWritable: true)]).decision == .deny)
        #expect(commands.judge([subject("/usr/bin/env", "curl")]).decision == .allow)
    }

    @Test func onlyWhatItSurelyIsLetsItRun() throws {
        let commands = try commands(
            "default = \"deny\"\n" + rule("\"git\", \"**\"", "allow") + rule("\"/w/make\", \"**\"", "allow"))
        #expect(commands.judge([subject("/usr/bin/git", "x")]).decision == .allow)
        #expect(commands.judge([subject("/w/git", "x", isWritable: true)]).decision == .deny)
        #expect(commands.judge([subject("/usr/bin/curl", aliases: ["/usr/bin/git"])]).decision == .deny)
        #expect(commands.judge([subject("/w/make", isWritable: true)]).decision == .allow)
    }

    @Test func aScriptsInterpreterIsJudgedToo() throws {
        let denied = try commands(rule("\"perl\", \"**\"", "deny"))
        #expect(denied.judge([subject("/w/x.pl"), subject("/usr/bin/perl", "/w/x.pl")]).decision == .deny)
        let listed = try commands(
            "default = \"deny\"\n" + rule("\"pip\", \"**\"", "allow") + rule("\"/w/run\", \"**\"", "allow"))
        let python = subject("/usr/bin/python3", "/usr/bin/pip")
        #expect(listed.judge([subject("/usr/bin/pip"), python]).decision == .allow)
        #expect(listed.judge([subject("/w/run", isWritable: true), python]).decision == .deny)
        #expect(listed.judge([python]).decision == .deny)
    }

    @Test func nothingIsNoProgram() throws { #expect(try commands("").judge([]).decision == .deny) }

    @Test(arguments: [
        ("\"git\", \"**\"", "\"git\", \"push\"", true), ("\"**\"", "\"git\"", true),
        ("\"git\", \"*\"", "\"git\", \"**\"", false),
        ("\"git\", \"**\", \"-f\", \"**\"", "\"git\", \"push\", \"-f\"", true), ("\"g*\", \"**\"", "\"git\"", true),
        ("\"git\"", "\"g*\"", false), ("\"git\", \"**\"", "\"/usr/bin/git\", \"x\"", true),
        ("\"/usr/bin/git\", \"**\"", "\"git\"", false), ("[\"a\", \"b\"], \"**\"", "\"b\"", true),
        ("\"a\", \"**\"", "[\"a\", \"b\"]", false), ("\"a\", [\"x\", \"y\"]", "\"a\", [\"y\", \"x\"]", true),
    ])
    func aRuleThatNeverDecidesIsAnError(_ strict: String, _ mild: String, _ isDead: Bool) {
        let found = errors(rule(strict, "deny") + rule(mild, "allow"))
        #expect(found.isEmpty != isDead)
        // The strictest wins, so it's the same wherever it stands.
        #expect(errors(rule(mild, "allow") + rule(strict, "deny")).isEmpty != isDead)
        if isDead {
            #expect(found.first?.hasPrefix("p.toml:5:1: this rule never decides: the deny rule at p.toml:2:1") == true)
        }
    }

    @Test(arguments: [
        "argv = []\ndecision = \"deny\"", "argv = [\"\"]\ndecision = \"deny\"", "argv = [[]]\ndecision = \"deny\"",
        "argv = [\"a\", [\"**\", \"b\"]]\ndecision = \"deny\"", "argv = [\"[a\"]\ndecision = \"deny\"",
        "argv = \"git\"\ndecision = \"deny\"",
        "argv = [\"/usr/bin/\"]\ndecision = \"deny\"", "argv = [1]\ndecision = \"deny\"", "argv = [\"a\"]",
        "decision = \"deny\"",
        "argv = [\"a\"]\ndecision = \"denied\"", "argv = [\"a\"]\ndecision = \"deny\"\nmatch = [\"\"]",
    ])
    func badRules(_ text: String) {
        let found = errors("[[commands.rule]]\n" + text)
        #expect(found.count == 1)
        #expect(found.first?.hasPrefix("p.toml:") == true)
    }

    @Test func whatIsPrintedReadsTheSame() throws {
        var policy = Policy()
        policy.commands = try commands(
            "default = \"deny\"\n" + rule("\"git\", [\"push\", \"a b\"], \"**\"", "approve")
                + rule("\"x\\\"y\"", "allow"))
        policy.approval.command = ["/a", "b"]
        let again = try PolicyReader.read(policy.toml, source: "p.toml")
        var read = Policy()
        for (key, setting) in again.settings { read.set(key, setting.value) }
        #expect(read.toml == policy.toml)
        #expect(read.commands.rules.count == 2)
    }

    // MARK: Properties

    private struct Dice {
        var state: UInt64
        mutating func roll(_ sides: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int(state >> 33) % sides
        }
        mutating func pick<T>(_ items: [T]) -> T { items[roll(items.count)] }
    }

    private func randomRules(_ dice: inout Dice) -> [CommandRule] {
        (0..<(1 + dice.roll(6))).map { number in
            let first = dice.pick([["a"], ["b"], ["a", "b"], ["*"], ["**"], ["/x/a"]])
            let rest = (0..<dice.roll(4)).map { _ in dice.pick([["p"], ["q"], ["*"], ["**"], ["p", "r*"]]) }
            return CommandRule(
                pattern: CommandPattern(words: ([first] + rest).map { $0.map { Bytes($0) } }),
                decision: dice.pick(CommandDecision.allCases), reason: nil, origin: "\(number)")
        }
    }

    private func randomArgv(_ dice: inout Dice) -> [Bytes] {
        [Bytes(dice.pick(["/x/a", "/y/a", "/x/b", "/z/c"]))]
            + (0..<dice.roll(5)).map { _ in Bytes(dice.pick(["p", "q", "r1"])) }
    }

    @Test func theStrictestWinsInWhateverOrder() {
        var dice = Dice(state: 7)
        for _ in 0..<3000 {
            var commands = Policy.Commands()
            commands.rules = randomRules(&dice)
            commands.unmatched = dice.pick([.allow, .deny])
            let argv = randomArgv(&dice)
            let subjects = [ExecSubject([.init(paths: [argv[0]], argv: argv)], isWritable: false)]
            let verdict = commands.judge(subjects)
            let matching = commands.rules.filter { $0.pattern.matches(argv) }.map(\.decision)
            #expect(verdict.decision == matching.max() ?? commands.unmatched)
            commands.rules.reverse()
            #expect(commands.judge(subjects).decision == verdict.decision)
        }
    }

    @Test func whatCoversMatchesWhatIsCovered() {
        var dice = Dice(state: 11)
        var covered = 0
        for _ in 0..<20000 {
            let rules = randomRules(&dice)
            let (one, other) = (dice.pick(rules).pattern, dice.pick(rules).pattern)
            guard one.covers(other) else { continue }
            covered += 1
            let argv = randomArgv(&dice)
            if other.matches(argv) { #expect(one.matches(argv)) }
        }
        #expect(covered > 1000)
    }

    @Test func aLaterLayerOnlyNarrows() throws {
        let parent = try commands(
            "default = \"deny\"\n" + rule("\"git\", \"**\"", "allow") + rule("\"git\", \"push\", \"**\"", "deny"))
        var child = parent
        child.add(try commands(rule("\"git\", \"status\"", "approve") + rule("\"rm\", \"**\"", "deny")).rules)
        #expect(child.loosenings(beyond: parent).isEmpty)
        var wider = parent
        wider.add(try commands(rule("\"curl\"", "allow")).rules)
        #expect(wider.loosenings(beyond: parent).map(\.key) == [.commandsRule])
        var fewer = parent
        fewer.rules.removeLast()
        #expect(fewer.loosenings(beyond: parent).map(\.key) == [.commandsRule])
        #expect(Policy.Commands().loosenings(beyond: parent).map(\.key) == [.commandsDefault, .commandsRule])
        #expect(Policy.Commands().cut(to: parent).rules.count == 2)
    }

    @Test func aCutAllowsNoMoreThanEither() {
        var dice = Dice(state: 3)
        for _ in 0..<3000 {
            var (mine, ceiling) = (Policy.Commands(), Policy.Commands())
            (mine.rules, ceiling.rules) = (randomRules(&dice), randomRules(&dice))
            (mine.unmatched, ceiling.unmatched) = (dice.pick([.allow, .deny]), dice.pick([.allow, .deny]))
            let both = mine.cut(to: ceiling)
            #expect(both.loosenings(beyond: ceiling).isEmpty)
            let argv = randomArgv(&dice)
            let subjects = [ExecSubject([.init(paths: [argv[0]], argv: argv)], isWritable: false)]
            let least = max(mine.judge(subjects).decision, ceiling.judge(subjects).decision)
            #expect(both.judge(subjects).decision >= least)
        }
    }
}
