// Pure. What stopped a run or something in it, by which rule, and the smallest change that would allow it.

import AegixPolicy
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
    }

    /// `over its 1s of time (limits.wall, policy.toml:3:8); --timeout 2s`
    var line: String {
        let place = origin.map { "\(rule), \($0)" } ?? rule
        let thing = object.map { " \($0.shown)" } ?? ""
        let times = count > 1 ? " \(count) times" : ""
        switch remedy {
        case .change(let option?, _): return "\(sentence)\(thing)\(times) (\(place)); to allow it: \(option)"
        case .change(nil, let edit?): return "\(sentence)\(thing)\(times) (\(place)); to allow it: \(edit)"
        case .change, .advice, .never: return "\(sentence)\(thing)\(times) (\(place))"
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
        }
        return .object(all)
    }
}

/// Reads a record. The one place that knows what would allow what.
struct Explainer {
    private let policy: JSON
    private let origins: [String: String]
    private let preset: String?

    init(_ record: JSON) {
        policy = record["policy"]?["effective"] ?? .null
        origins = (record["policy"]?["origins"]?.object ?? [:]).compactMapValues(\.string)
        preset = record["policy"]?["name"]?.string
    }

    /// What ended the run first, then what was refused inside, the most frequent first.
    func explain(_ record: JSON) -> [Explanation] {
        var all: [Explanation] = []
        if let outcome = record["outcome"], let ending = ending(outcome) { all.append(ending) }
        let refused = (record["violations"]?.array ?? []).compactMap(violation).filter { $0.rule != all.first?.rule }
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

    private func ending(_ outcome: JSON) -> Explanation? {
        let message = outcome["message"]?.string ?? ""
        if let limit = outcome["limit"]?.string { return exhausted(limit, message) }
        guard let rule = outcome["rule"]?.string, !message.isEmpty else { return nil }
        switch outcome["status"]?.string {
        case "denied", "failed", "interrupted":
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
        return found
    }

    // MARK: - What was refused inside

    private func violation(_ violation: JSON) -> Explanation? {
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
        case "commands": return command(rule, count, error)
        case "files":
            let (text, place) = Explainer.split(rule)
            let pattern = text.hasPrefix("files.deny ") ? String(text.dropFirst("files.deny ".count)) : text
            return Explanation(
                control: control, rule: "files.deny", origin: place, object: violation["path"]?.bytesValue,
                count: count,
                sentence: "a masked path was opened and gave \(error):",
                remedy: .change(option: nil, edit: "[files]\ndeny = [ … ]  # without \"\(Bytes(pattern).shown)\""))
        case "network": return network(rule, count, error)
        default:
            return Explanation(
                control: control, rule: rule, origin: nil, count: count,
                sentence: "\(control) refused it with \(error)",
                remedy: .advice("see docs/policy.md"))
        }
    }

    private func command(_ rule: String, _ count: Int, _ error: String) -> Explanation {
        let (text, place) = Explainer.split(rule)
        let isDefault = text == "commands.default"
        var remedy = Explanation.Remedy.advice(
            "the program couldn't be judged, so it was denied: docs/commands.md says when")
        if isDefault {
            remedy = .change(option: nil, edit: "[[commands.rule]]\nargv = [ … ]\ndecision = \"allow\"")
        } else if place != nil {
            remedy = .change(option: nil, edit: "decision = \"allow\"  # in that rule, or a narrower pattern")
        }
        return Explanation(
            control: "commands", rule: text, origin: place ?? (isDefault ? origin(of: "commands.default") : nil),
            count: count,
            sentence: "a program was denied with \(error) by the command rule", remedy: remedy)
    }

    /// `lookup(evil.example)` and `connect(10.0.0.1:80)`: what was asked for is what could be allowed.
    private func network(_ rule: String, _ count: Int, _ error: String) -> Explanation {
        let inner = rule.split(separator: "(", maxSplits: 1).last.map { String($0.dropLast()) } ?? rule
        let isLookup = rule.hasPrefix("lookup(")
        let mode = policy["network"]?["mode"]?.string ?? "none"
        let sentence =
            mode == "none"
            ? "the run has no network, so this gave \(error):" : "the network policy refused it with \(error):"
        let allow = "[network]\n" + (mode == "none" ? "mode = \"allow\"\n" : "") + "allow = [\"\(Bytes(inner).shown)\"]"
        let isDenied = denied(inner)
        return Explanation(
            control: "network", rule: isLookup ? "lookup" : "connect",
            origin: origin(of: isDenied ? "network.deny" : "network.mode"),
            object: Bytes(inner), count: count, sentence: sentence,
            remedy: isDenied
                ? .change(option: nil, edit: "[network]\ndeny = [ … ]  # without what names \(Bytes(inner).shown)")
                : .change(option: "--allow-host \(Bytes(inner).shown)", edit: allow))
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
