// Pure. What stopped a run or something in it, by which rule, and the smallest change that would allow it.

import AegixPolicy
import AegixSandbox
import AegixSystem

/// One thing that was refused or ended, for a person and for an agent.
struct Explanation: Equatable {
    /// `limits`, `seccomp`, `commands`, `network`, `files`; of what kept a run from starting, `launch`.
    var control: String
    var rule: String
    /// `policy.toml:14:9`, `--timeout`, or the preset that the rule comes from; nil: no policy has a say in it.
    var origin: String?
    /// What it was about: a path, a host, a program.
    var object: Bytes?
    var count = 1
    /// Ends without a full stop.
    var sentence: String
    var remedy: Remedy

    enum Remedy: Equatable {
        /// An option of `aegix run` and the same as lines of a policy; one of both may be missing.
        case change(option: String?, edit: String?)
        /// A sentence: what else helps.
        case advice(String)
        /// A sentence: why nothing can allow it.
        case never(String)
        /// It is allowed.
        case none
    }

    /// `over its 1s of time (limits.wall, policy.toml:3:8); --timeout 2s`
    var line: String {
        let place = origin.map { "\(rule), \($0)" } ?? rule
        let thing = object.map { " \($0.shown)" } ?? ""
        let times = count > 1 ? " \(count) times" : ""
        switch remedy {
        case .change(let option?, _): return "\(sentence)\(thing)\(times) (\(place)); to allow it: \(option)"
        case .change(nil, let edit?):
            let words = edit.split(separator: "\n").joined(separator: " ")
            return "\(sentence)\(thing)\(times) (\(place)); to allow it: \(words)"
        case .change, .advice, .never, .none: return "\(sentence)\(thing)\(times) (\(place))"
        }
    }

    /// The same over several lines.
    var paragraph: [String] {
        var lines = [sentence + (object.map { " " + $0.shown } ?? "") + (count > 1 ? ", \(count) times" : "")]
        lines.append("  rule      \(rule)" + (origin.map { "  from \($0)" } ?? ""))
        switch remedy {
        case .change(let option, let edit):
            if let option { lines.append("  option    \(option)") }
            if let edit {
                lines += edit.split(separator: "\n").enumerated().map {
                    ($0 == 0 ? "  policy    " : "            ") + $1
                }
            }
        case .advice(let text): lines.append("  remedy    \(text)")
        case .never(let text): lines.append("  no remedy \(text)")
        case .none: break
        }
        return lines
    }

    var json: JSON {
        var all: [String: JSON] = [
            "control": .string(control), "rule": .string(rule), "origin": origin.map { .string($0) } ?? .null,
            "object": object.map { .bytes($0) } ?? .null, "count": .int(count), "sentence": .string(sentence),
            "option": .null, "edit": .null, "advice": .null, "allowable": .bool(true),
        ]
        switch remedy {
        case .change(let option, let edit):
            all["option"] = option.map { .string($0) } ?? .null
            all["edit"] = edit.map { .string($0) } ?? .null
        case .advice(let text): all["advice"] = .string(text)
        case .never(let text):
            all["advice"] = .string(text)
            all["allowable"] = .bool(false)
        case .none: break
        }
        return .object(all)
    }
}

/// What was refused, beyond the violation's own words: by which rule a connection, which program by a rule.
struct Refusals {
    struct Connection: Equatable {
        /// With its place in the policy.
        var rule: String
        var address: String?
        var port: Int?
    }

    /// By the violation's rule: `connect(10.0.0.1:80)`.
    var connections: [String: Connection] = [:]
    /// The programs that a command rule denied, by the rule's words, in the order of their first time.
    var programs: [String: [(program: Bytes, count: Int)]] = [:]

    /// More than these aren't told one by one.
    static let mostPrograms = 20

    mutating func note(_ subject: String, _ connection: Connection) {
        if connections[subject] == nil { connections[subject] = connection }
    }

    mutating func note(program: Bytes, rule: String) {
        var all = programs[rule] ?? []
        if let index = all.firstIndex(where: { $0.program == program }) {
            all[index].count += 1
        } else if all.count < Refusals.mostPrograms {
            all.append((program, 1))
        }
        programs[rule] = all
    }

    init() {}

    init(_ record: JSON) {
        for one in record["network"]?.array ?? [] where one["decision"]?.string == "deny" {
            guard let kind = one["kind"]?.string, let rule = one["rule"]?.string else { continue }
            let address = one["address"]?.string
            let shown = address.map { $0.contains(":") ? "[\($0)]" : $0 }
            let port = one["port"]?.int.map { Int(clamping: $0) }
            let host = one["name"]?.bytesValue?.shown ?? shown ?? "?"
            note(
                "\(kind)(\(host)\(port.map { ":\($0)" } ?? ""))", Connection(rule: rule, address: address, port: port))
        }
        for one in record["processes"]?.array ?? [] where one["decision"]?.string == "deny" {
            if let rule = one["rule"]?.string, let program = one["program"]?.bytesValue {
                note(program: program, rule: rule)
            }
        }
    }
}

/// Reads a record, or what a run or a question came to. The one place that knows what would allow what.
struct Explainer {
    private let policy: JSON
    private let origins: [String: String]
    private let preset: String?
    private let refusals: Refusals

    init(_ record: JSON) {
        policy = record["policy"]?["effective"] ?? .null
        origins = (record["policy"]?["origins"]?.object ?? [:]).compactMapValues(\.string)
        preset = record["policy"]?["name"]?.string
        refusals = Refusals(record)
    }

    init(_ loaded: LoadedPolicy, _ refusals: Refusals = Refusals()) {
        policy = loaded.policy.json
        origins = Dictionary(loaded.origins.map { ($0.key, $0.place) }) { first, _ in first }
        preset = loaded.policy.name
        self.refusals = refusals
    }

    /// What ended the run first, then what was refused inside, the most frequent first.
    func explain(_ record: JSON) -> [Explanation] {
        var all: [Explanation] = []
        if let outcome = record["outcome"], let ending = ending(outcome) { all.append(ending) }
        let refused = (record["violations"]?.array ?? []).flatMap(violations).filter { $0.rule != all.first?.rule }
        all += refused.sorted { ($0.count, $1.rule) > ($1.count, $0.rule) }
        return all
    }

    func origin(of key: String) -> String? {
        if let origin = origins[key] { return origin }
        guard let preset, let key = PolicyKey(rawValue: key), let place = Preset.place(of: key, in: preset) else {
            return PolicyKey(rawValue: key) == nil ? nil : "the built-in default"
        }
        return place
    }

    // MARK: - How it ended

    func ending(_ outcome: Outcome) -> Explanation? {
        ending([
            "status": .string(outcome.status.rawValue), "limit": outcome.limit.map { .string($0.rawValue) } ?? .null,
            "rule": outcome.rule.map { .string($0) } ?? .null, "message": outcome.message.map { .string($0) } ?? .null,
        ])
    }

    private func ending(_ outcome: JSON) -> Explanation? {
        let message = outcome["message"]?.string ?? ""
        if let limit = outcome["limit"]?.string { return exhausted(limit, message) }
        guard let rule = outcome["rule"]?.string, !message.isEmpty else { return nil }
        switch outcome["status"]?.string {
        case "denied": return command(rule, 1, "the command itself was denied:")
        case "failed", "interrupted":
            let control = rule.split(separator: ".").first.map(String.init) ?? "launch"
            return Explanation(
                control: control, rule: rule, origin: nil, sentence: message,
                remedy: .advice(FailureAdvice.text(rule) ?? "the sentence above says what is missing"))
        default: return nil
        }
    }

    private func exhausted(_ limit: String, _ message: String) -> Explanation {
        let key = "limits.\(limit)"
        let sentence = message.isEmpty ? "the limit \(limit) was reached" : message
        var found = Explanation(
            control: "limits", rule: key, origin: origin(of: key), sentence: sentence,
            remedy: .advice("raise the limit"))
        if let wider = LimitAdvice.wider(limit, than: policy["limits"]?[limit]) { found.remedy = wider }
        found.remedy = unlocked(found.remedy, "limits")
        return found
    }

    /// What the policy locks, no option opens.
    func unlocked(_ remedy: Explanation.Remedy, _ table: String) -> Explanation.Remedy {
        guard case .change(_?, let edit) = remedy,
            (policy["lock"]?.array ?? []).contains(where: { $0.string == table })
        else { return remedy }
        return .change(option: nil, edit: edit)
    }

    // MARK: - What was refused inside

    /// Beyond the one that a violation's explanation names.
    func morePrograms(deniedBy rule: String) -> Int { max(0, (refusals.programs[rule]?.count ?? 0) - 1) }

    /// One rule may have denied several programs: each needs a rule of its own to be allowed.
    private func violations(_ one: JSON) -> [Explanation] {
        guard let found = violation(one) else { return [] }
        guard found.control == "commands", let rule = one["rule"]?.string, let programs = refusals.programs[rule],
            programs.count > 1
        else { return [found] }
        return programs.map { command(rule, $0.count, found.sentence, program: $0.program) }
    }

    func violation(_ violation: JSON) -> Explanation? {
        guard let control = violation["control"]?.string, let rule = violation["rule"]?.string else { return nil }
        let count = violation["count"]?.int.map { Int(clamping: $0) } ?? 1
        let error = violation["errno"]?.string ?? "an error"
        switch control {
        case "seccomp":
            let advice = CallAdvice.find(rule)
            return Explanation(
                control: control, rule: rule, origin: advice.key.flatMap(origin), count: count,
                sentence: "the system call \(rule) was answered with \(error): \(advice.reason)", remedy: advice.remedy)
        case "limits":
            var found = exhausted(String(rule.dropFirst("limits.".count)), "met the limit \(rule)")
            found.count = count
            return found
        case "commands":
            let programs = refusals.programs[rule] ?? []
            return command(
                rule, programs.count > 1 ? programs[0].count : count,
                "a program was denied with \(error) by the command rule")
        case "files":
            return masked(rule, violation["path"]?.bytesValue, count, "a masked path was opened and gave \(error):")
        case "network":
            let isNone = policy["network"]?["mode"]?.string ?? "none" == "none"
            let found = refusals.connections[rule]
            let why = found.map { " (\(Explainer.split($0.rule).text))" } ?? ""
            return network(
                rule, found, count,
                isNone
                    ? "the run has no network, so this gave \(error):"
                    : "the network policy refused it with \(error)\(why):")
        default:
            return Explanation(
                control: control, rule: rule, origin: nil, count: count,
                sentence: "\(control) refused it with \(error)",
                remedy: .advice("see docs/policy.md"))
        }
    }

    func masked(_ rule: String, _ path: Bytes?, _ count: Int, _ sentence: String) -> Explanation {
        let (text, place) = Explainer.split(rule)
        let pattern = text.hasPrefix("files.deny ") ? String(text.dropFirst("files.deny ".count)) : text
        return Explanation(
            control: "files", rule: "files.deny", origin: place, object: path, count: count, sentence: sentence,
            remedy: .change(option: nil, edit: "[files]\ndeny = [ … ]  # without \"\(Bytes(pattern).shown)\""))
    }

    /// - rule: as the record has it, or `commands.default`.
    func command(_ rule: String, _ count: Int, _ sentence: String, program: Bytes? = nil) -> Explanation {
        let (text, place) = Explainer.split(rule)
        let isDefault = text == "commands.default"
        let object = program ?? refusals.programs[rule]?.first?.program
        var remedy = Explanation.Remedy.advice(
            "the program couldn't be judged, so it was denied: docs/commands.md says when")
        if isDefault {
            if let word = object.map(PolicyLiteral.word) ?? " … " {
                remedy = .change(option: nil, edit: "[[commands.rule]]\nargv = [\(word), \"**\"]\ndecision = \"allow\"")
            } else {
                remedy = .advice("a rule's words are text, which the program's name isn't: rename it")
            }
        } else if place != nil {
            remedy = .change(option: nil, edit: "decision = \"allow\"  # in that rule, or a narrower pattern")
        }
        return Explanation(
            control: "commands", rule: text, origin: place ?? (isDefault ? origin(of: "commands.default") : nil),
            object: object, count: count, sentence: sentence, remedy: remedy)
    }

    /// `lookup(evil.example)` and `connect(10.0.0.1:80)`: what was asked for is what could be allowed.
    func network(_ subject: String, _ found: Refusals.Connection?, _ count: Int, _ sentence: String) -> Explanation {
        let inner = subject.split(separator: "(", maxSplits: 1).last.map { String($0.dropLast()) } ?? subject
        var explanation = Explanation(
            control: "network", rule: subject.hasPrefix("lookup(") ? "lookup" : "connect",
            origin: origin(of: "network.mode"), object: Bytes(inner), count: count, sentence: sentence,
            remedy: allow(inner))
        guard let found else {
            if denied(inner) {
                explanation.origin = origin(of: "network.deny")
                explanation.remedy = undeny(inner)
            }
            return explanation
        }
        // What a client said in a connection is judged by the same rules.
        let rule =
            found.rule.hasPrefix("network.inspect: ")
            ? String(found.rule.dropFirst("network.inspect: ".count)) : found.rule
        let (text, place) = Explainer.split(rule)
        if text.hasPrefix("network.deny: ") {
            explanation.origin = place ?? origin(of: "network.deny")
            explanation.remedy = undeny(String(text.dropFirst("network.deny: ".count)))
        } else if text.hasPrefix("address class: "), let address = found.address {
            explanation.object = Bytes(
                inner == address ? inner : "\(inner), which is \(address) (\(text.dropFirst(15).prefix { $0 != "," }))")
            explanation.origin = "the closed address classes"
            let shown = address.contains(":") ? "[\(address)]" : address
            explanation.remedy = allow(shown + (found.port.map { ":\($0)" } ?? ""))
        } else if text == "not a host name" {
            explanation.origin = nil
            explanation.remedy = .never("no host can be called that")
        } else if text.hasPrefix("more than ") || text.hasPrefix("begins like ") {
            explanation.origin = nil
            explanation.remedy = .advice(text)
        } else if text.hasPrefix("network.unknown") {
            explanation.origin = origin(of: "network.unknown")
        } else if text.hasPrefix("network.allow") {
            explanation.origin = origin(of: "network.allow")
        }
        return explanation
    }

    private func allow(_ host: String) -> Explanation.Remedy {
        let isNone = policy["network"]?["mode"]?.string ?? "none" == "none"
        let edit = "[network]\n" + (isNone ? "mode = \"allow\"\n" : "") + "allow = [\"\(Bytes(host).shown)\"]"
        return unlocked(.change(option: "--allow-host \(Bytes(host).shown)", edit: edit), "network")
    }

    private func undeny(_ host: String) -> Explanation.Remedy {
        .change(option: nil, edit: "[network]\ndeny = [ … ]  # without what names \(Bytes(host).shown)")
    }

    /// Whether `network.deny` names it in so many words.
    private func denied(_ host: String) -> Bool {
        (policy["network"]?["deny"]?.array ?? []).compactMap(\.string).contains {
            host == $0 || host.hasPrefix($0 + ":")
        }
    }

    /// `deny id ** (policy.toml:7:1)`: the rule, and its place.
    static func split(_ rule: String) -> (text: String, place: String?) {
        guard rule.last == ")", let open = rule.lastIndex(of: "("), open > rule.startIndex else { return (rule, nil) }
        return (String(rule[..<rule.index(before: open)]), String(rule[rule.index(after: open)...].dropLast()))
    }
}
