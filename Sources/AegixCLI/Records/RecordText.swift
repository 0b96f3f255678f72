// Pure. A record for a person: bounded, and no byte of the command's reaches the terminal as it is.

import AegixSystem

enum RecordText {
    private static let processLines = 200
    private static let violationLines = 50
    private static let changeLines = 50
    private static let networkLines = 100
    private static let columns = 200

    /// - isElsewhere: the record is read from a bundle, and what it says of this machine's files is another's.
    static func lines(_ record: JSON, isElsewhere: Bool = false) -> [String] {
        let outcome = record["outcome"] ?? .null
        var lines = ["run \(shown(record["run_id"])): \(RecordText.outcome(outcome))\(duration(record))"]
        if let message = outcome["message"]?.string { lines.append("  " + Bytes(message).shown) }
        if let rule = outcome["rule"]?.string { lines.append("  rule: " + Bytes(rule).shown) }
        lines += [""] + facts(record)
        lines += section("controls", controls(record))
        lines += section("pinned", pins(record))
        lines += section("programs", ProcessTree.lines(record, limit: processLines).map { clipped($0) })
        lines += section("network", network(record))
        lines += section("refused", violations(record))
        lines += section("output", streams(record))
        lines += section("changes", changes(record))
        lines += section("artifacts", ArtifactText.lines(record))
        if !isElsewhere, let layer = record["layer"]?["path"] {
            lines += [
                "", "changes are waiting, not applied (aegix review \(shown(record["run_id"]))), in",
                "  " + shown(layer),
            ]
        }
        if let cut = record["cut"]?.object, !cut.isEmpty {
            let names = cut.keys.sorted().map { Bytes($0).shown }.joined(separator: ", ")
            lines += ["", "too long to be recorded whole: " + names]
        }
        return lines
    }

    /// `exited with 3`, `timed out (wall)`, …: the status, and what makes it precise.
    static func outcome(_ outcome: JSON) -> String {
        let code = outcome["exit_code"]?.int.map { " with \($0)" } ?? ""
        let limit = outcome["limit"]?.string.map { " (\(Bytes($0).shown))" } ?? ""
        switch outcome["status"]?.string {
        case "exited": return "exited" + code
        case "signaled": return "ended by signal " + (outcome["signal"]?.int.map(String.init) ?? "?")
        case "timed_out": return "timed out" + limit
        case "limit_exceeded": return "stopped by a limit" + limit
        case "denied": return "denied by the policy"
        case "failed": return "failed" + code
        case "interrupted": return "interrupted"
        case let other: return Bytes(other ?? "unknown").shown
        }
    }

    private static func duration(_ record: JSON) -> String {
        guard let nanoseconds = record["duration_ns"]?.string.flatMap({ UInt64($0) }) else { return "" }
        return " after " + Units.duration(nanoseconds)
    }

    private static func facts(_ record: JSON) -> [String] {
        var rows: [(String, String)] = []
        rows.append(("started", shown(record["started_at"])))
        if let argv = record["command"]?["argv"]?.array { rows.append(("command", commandLine(argv))) }
        if let program = record["command"]?["program"], program != .null { rows.append(("program", shown(program))) }
        if let workspace = record["workspace"], workspace != .null {
            rows.append(("workspace", shown(workspace["path"]) + " (" + shown(workspace["mode"]) + ")"))
        }
        if let policy = record["policy"], policy != .null { rows.append(("policy", shown(policy["name"]))) }
        if let tier = record["enforcement"]?["tier"] { rows.append(("tier", shown(tier))) }
        if let parent = record["parent"]?.string { rows.append(("parent", Bytes(parent).shown)) }
        for (key, value) in (record["labels"]?.object ?? [:]).sorted(by: { $0.key < $1.key }) {
            rows.append(("label", Bytes(key).shown + "=" + shown(value)))
        }
        if let usage = record["usage"], usage != .null { rows.append(("used", RecordText.usage(usage))) }
        if let inputs = InputText.line(record) { rows.append(("inputs", inputs)) }
        return rows.map { clipped("  " + padded($0.0, 11) + $0.1) }
    }

    private static func usage(_ usage: JSON) -> String {
        let user = usage["user_ns"]?.string.flatMap { UInt64($0) } ?? 0
        let system = usage["system_ns"]?.string.flatMap { UInt64($0) } ?? 0
        let peak = Units.size(usage["peak_resident_bytes"]?.int ?? 0)
        return "\(Units.duration(user)) user, \(Units.duration(system)) system, \(peak) in the largest process, "
            + "\(usage["execs"]?.int ?? 0) execs"
    }

    private static func controls(_ record: JSON) -> [String] {
        let controls = record["enforcement"]?["controls"]?.array ?? []
        let width = (controls.map { shown($0["name"]).count }.max() ?? 0) + 2
        return controls.map { control in
            let held = control["held"]?.bool == true ? "  held      " : "  NOT HELD  "
            return clipped(
                held + padded(shown(control["name"]), width) + shown(control["asked"]) + "  by "
                    + shown(control["mechanism"]))
        }
    }

    /// What is pinned, with its value, and what isn't.
    private static func pins(_ record: JSON) -> [String] {
        let all = record["determinism"]?.array ?? []
        func lines(_ isPinned: Bool, _ begin: String) -> [String] {
            var lines: [String] = []
            for pin in all where pin["pinned"]?.bool == isPinned {
                let word =
                    shown(pin["name"]) + (isPinned ? pin["value"]?.string.map { " " + Bytes($0).shown } ?? "" : "")
                if let last = lines.last, last.count + word.count < 100 {
                    lines[lines.count - 1] = last + ", " + word
                } else {
                    lines.append((lines.isEmpty ? begin : "  ") + word)
                }
            }
            return lines.map { clipped($0) }
        }
        return lines(true, "  ") + lines(false, "  not: ")
    }

    private static func violations(_ record: JSON) -> [String] {
        let all = record["violations"]?.array ?? []
        var lines = all.prefix(violationLines).map { violation -> String in
            let count = violation["count"]?.int ?? 0
            let errno = violation["errno"]?.string.map { " with " + Bytes($0).shown } ?? ""
            let path = violation["path"]?.bytesValue.map { " \($0.shown)" } ?? ""
            return clipped(
                "  \(shown(violation["control"])): \(shown(violation["rule"]))\(path)\(errno), \(count == 1 ? "once" : "\(count) times")"
            )
        }
        if all.count > violationLines { lines.append("  … and \(all.count - violationLines) more") }
        return lines
    }

    private static func network(_ record: JSON) -> [String] {
        let all = record["network"]?.array ?? []
        // Where it went; a lookup that a connection followed says nothing more.
        let connected = Set(all.filter { $0["kind"]?.string == "connect" }.compactMap { $0["name"]?.bytesValue })
        let told = all.filter { one in
            one["kind"]?.string == "connect" || one["decision"]?.string == "deny"
                || one["name"]?.bytesValue.map { !connected.contains($0) } ?? true
        }
        var lines = told.prefix(networkLines).map { one -> String in
            let name = one["name"]?.bytesValue.map { $0.shown }
            let address = one["address"]?.string.map { Bytes($0).shown }
            let port = one["port"]?.int.map { ":\($0)" } ?? ""
            let place = (name ?? address ?? "?") + port + (name != nil && address != nil ? " at \(address ?? "")" : "")
            let count = one["count"]?.int.map { $0 > 1 ? ", \($0) times" : "" } ?? ""
            let errno = one["errno"]?.string.map { " with " + Bytes($0).shown } ?? ""
            let moved =
                one["kind"]?.string == "connect" && one["errno"]?.string == nil
                ? "  \(Units.size(one["sent_bytes"]?.int ?? 0)) sent, \(Units.size(one["received_bytes"]?.int ?? 0)) received"
                : ""
            return clipped(
                "  \(padded(shown(one["decision"]), 6))\(padded(shown(one["kind"]), 8))\(place)\(errno)\(count)\(moved)  by "
                    + shown(one["rule"]))
        }
        let total = max(told.count, record["cut"]?["network"]?["of"]?.int ?? 0)
        if total > networkLines { lines.append("  … and \(total - networkLines) more") }
        return lines
    }

    private static func changes(_ record: JSON) -> [String] {
        let all = record["changes"]?.array ?? []
        // What is flagged first: it mustn't hide behind a thousand others.
        let flagged = all.filter { $0["flags"]?.array?.isEmpty == false }
        let plain = all.filter { $0["flags"]?.array?.isEmpty != false }
        var lines = (flagged + plain).prefix(changeLines).map { change -> String in
            let path = change["path"]?.bytesValue == [] ? "." : shown(change["path"])
            let from = change["from"]?.bytesValue.map { " from " + $0.shown } ?? ""
            let flags = (change["flags"]?.array ?? []).map { shown($0) }.joined(separator: ", ")
            return clipped(
                "  \(padded(shown(change["kind"]), 9)) \(path)\(from)\(flags.isEmpty ? "" : "  [\(flags)]")")
        }
        let total = max(all.count, record["cut"]?["changes"]?["of"]?.int ?? 0)
        if total > changeLines { lines.append("  … and \(total - changeLines) more") }
        return lines
    }

    private static func streams(_ record: JSON) -> [String] {
        ["stdin", "stdout", "stderr"].compactMap { name in
            guard let stream = record["streams"]?[name], stream != .null else { return nil }
            if let reason = stream["reason"]?.string { return "  \(name)  not kept: \(InputText.words(reason))" }
            let captured = stream["captured"]?.int ?? 0
            let size = Units.size(stream["bytes"]?.int ?? captured)
            let cut = stream["truncated"]?.bool == true ? ", of which \(Units.size(captured)) are kept" : ""
            return "  \(name)  \(size)\(cut)  \(shown(stream["path"]))"
        }
    }

    private static func section(_ title: String, _ lines: [String]) -> [String] {
        lines.isEmpty ? [] : ["", title] + lines
    }

    static func shown(_ value: JSON?) -> String { value?.bytesValue?.shown ?? "?" }

    static func commandLine(_ argv: [JSON]) -> String {
        argv.prefix(64).map { argument in
            let text = (argument.bytesValue ?? []).prefix(columns)
            let isPlain =
                !text.isEmpty && !text.contains { [0x20, 0x22, 0x27, 0x24, 0x3B, 0x7C, 0x26, 0x2A].contains($0) }
            return isPlain ? Bytes(text).shown : "'" + Bytes(text).shown + "'"
        }.joined(separator: " ")
    }

    static func clipped(_ line: String) -> String {
        // Where the bytes fit, so do the characters.
        line.utf8.count > columns && line.count > columns ? line.prefix(columns - 1) + "…" : line
    }

    static func padded(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(0, width - text.count))
    }
}

/// Numbers for a person.
enum Units {
    static func duration(_ nanoseconds: UInt64) -> String {
        switch nanoseconds {
        case 0..<1_000_000: tenths(nanoseconds / 100) + " µs"
        case 1_000_000..<1_000_000_000: tenths(nanoseconds / 100_000) + " ms"
        default: tenths(nanoseconds / 100_000_000) + " s"
        }
    }

    static func size(_ bytes: Int) -> String {
        switch bytes {
        case ..<1024: "\(bytes) B"
        case ..<(1 << 20): tenths((UInt64(bytes) * 10) >> 10) + " KiB"
        case ..<(1 << 30): tenths((UInt64(bytes) * 10) >> 20) + " MiB"
        default: tenths((UInt64(bytes) * 10) >> 30) + " GiB"
        }
    }

    private static func tenths(_ number: UInt64) -> String { "\(number / 10).\(number % 10)" }
}
