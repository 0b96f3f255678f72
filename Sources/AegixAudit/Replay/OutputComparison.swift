// Pure but for the logs that it asks for. What came out of two runs and isn't the same.

import AegixSystem
import AegixWorkspace

struct OutputComparison {
    private let first: ComparedRun
    private let second: ComparedRun
    private let strict: Bool

    /// Of each area; the rest is counted.
    private static let most = 1000

    init(_ first: ComparedRun, _ second: ComparedRun, strict: Bool) {
        (self.first, self.second, self.strict) = (first, second, strict)
    }

    func note(in comparison: inout Comparison) {
        exit(&comparison)
        for (area, name) in [(Difference.Area.stdout, "stdout"), (.stderr, "stderr")] {
            stream(area, name, &comparison)
        }
        changes(&comparison)
        artifacts(&comparison)
        processes(&comparison)
    }

    private func exit(_ comparison: inout Comparison) {
        let (one, other) = (first.record["outcome"] ?? .null, second.record["outcome"] ?? .null)
        for member in ["status", "exit_code", "signal", "limit", "rule"] where one[member] != other[member] {
            comparison.outputs.append(
                Difference(
                    .exit, Bytes(member), before: CauseComparison.text(one[member]),
                    after: CauseComparison.text(other[member])))
        }
    }

    // MARK: - Streams

    private func stream(_ area: Difference.Area, _ name: String, _ comparison: inout Comparison) {
        let (one, other) = (first.record["streams"]?[name] ?? .null, second.record["streams"]?[name] ?? .null)
        if one["sha256"] == other["sha256"], one["bytes"] == other["bytes"] {
            // The digest is of what was captured, and as many bytes can be others.
            if one["truncated"]?.bool == true || other["truncated"]?.bool == true {
                comparison.unknown.append("\(name) beyond what was captured of it")
            }
            return
        }
        guard let before = first.log(name), let after = second.log(name) else {
            comparison.outputs.append(
                Difference(
                    area, Bytes("digest"), before: CauseComparison.text(one["sha256"]),
                    after: CauseComparison.text(other["sha256"])))
            return
        }
        let isWhole = one["truncated"]?.bool != true && other["truncated"]?.bool != true
        if isWhole, !strict, let note = MeasuredText.equal(before, after) {
            comparison.disregarded.append("\(name): \(note)")
            return
        }
        var lines = OutputComparison.firstDifference(before, after)
        if lines == nil, one["bytes"] != other["bytes"] {
            lines = (0, CauseComparison.text(one["bytes"]) ?? [], CauseComparison.text(other["bytes"]) ?? [])
        }
        let (number, mine, theirs) = lines ?? (0, [], [])
        comparison.outputs.append(
            Difference(
                area, Bytes(number > 0 ? "line \(number)" : "bytes"), before: shortened(mine, to: 400),
                after: shortened(theirs, to: 400)))
    }

    /// Lines counted from one.
    static func firstDifference(_ one: Bytes, _ other: Bytes) -> (Int, Bytes, Bytes)? {
        let newline = UInt8(ascii: "\n")
        var (index, number, start) = (0, 1, 0)
        while index < one.count, index < other.count, one[index] == other[index] {
            if one[index] == newline { (number, start) = (number + 1, index + 1) }
            index += 1
        }
        if index == one.count, index == other.count { return nil }
        func line(_ bytes: Bytes) -> Bytes { Bytes(bytes[min(start, bytes.count)...].prefix { $0 != newline }) }
        return (number, line(one), line(other))
    }

    // MARK: - Files

    private func changes(_ comparison: inout Comparison) {
        guard let one = first.changes, let other = second.changes else {
            if (first.changes == nil) != (second.changes == nil) {
                comparison.unknown.append("what one of the two changed, which isn't known")
            }
            return
        }
        if !one.cut.isEmpty || !other.cut.isEmpty {
            comparison.unknown.append("changes beyond the bounds of the list")
        }
        let undigested = Set((one.changes + other.changes).filter(OutputComparison.isUndigested).map(\.path)).count
        if undigested > 0 {
            comparison.unknown.append("the content of \(undigested) changed files, which have no digest")
        }
        func described(_ list: ChangeList) -> [Bytes: Bytes] {
            Dictionary(
                list.changes.map { ($0.path, OutputComparison.text($0)) }, uniquingKeysWith: { first, _ in first })
        }
        compare(described(one), described(other), .changes, &comparison)
    }

    /// What a workspace would get: no times and nothing of how the base was.
    private static func text(_ change: Change) -> Bytes {
        guard let after = change.after else { return Bytes("deleted") }
        var words = ["\(change.kind.rawValue)", after.kind.rawValue, "0\(String(after.mode, radix: 8))"]
        if after.kind == .file { words += ["\(after.size) B", after.digest ?? "undigested"] }
        var text = Bytes(words.joined(separator: " "))
        if let from = change.from { text += Bytes(" from ") + from }
        if let linkOf = change.linkOf { text += Bytes(" another name of ") + linkOf }
        if let target = after.target { text += Bytes(" to ") + target }
        if let attributes = after.attributes { text += Bytes(" xattrs \(attributes)") }
        return text
    }

    private static func isUndigested(_ change: Change) -> Bool {
        change.after.map { $0.kind == .file && $0.digest == nil } ?? false
    }

    private func artifacts(_ comparison: inout Comparison) {
        if first.record["cut"]?["artifacts"] != nil || second.record["cut"]?["artifacts"] != nil {
            comparison.unknown.append("artifacts beyond the bounds of the list")
        }
        func described(_ record: JSON) -> [Bytes: Bytes] {
            var found: [Bytes: Bytes] = [:]
            for one in record["artifacts"]?.array ?? [] {
                guard let path = one["path"]?.bytesValue else { continue }
                let digest = one["sha256"]?.string ?? "not copied: \(one["skipped"]?.string ?? "unknown")"
                found[path] = Bytes("\(one["mode"]?.string ?? "") \(digest)")
            }
            return found
        }
        compare(described(first.record), described(second.record), .artifacts, &comparison)
    }

    private func compare(
        _ one: [Bytes: Bytes], _ other: [Bytes: Bytes], _ area: Difference.Area, _ comparison: inout Comparison
    ) {
        let paths = Set(one.keys).union(other.keys).filter { one[$0] != other[$0] }
        for path in paths.sorted(by: { $0.lexicographicallyPrecedes($1) }).prefix(OutputComparison.most) {
            comparison.outputs.append(Difference(area, path, before: one[path], after: other[path]))
        }
        if paths.count > OutputComparison.most {
            comparison.unknown.append("\(paths.count - OutputComparison.most) more differences in \(area.rawValue)")
        }
    }

    // MARK: - Processes

    /// Which programs ran with which words, how often. Not in which order: what runs at once begins in any.
    private func processes(_ comparison: inout Comparison) {
        if first.record["cut"]?["processes"] != nil || second.record["cut"]?["processes"] != nil {
            comparison.unknown.append("programs beyond the bounds of the list")
            return
        }
        func execs(renames: Bool) -> ([Bytes: Int], [Bytes: Int]) {
            (
                OutputComparison.execs(first.record, renames: renames),
                OutputComparison.execs(second.record, renames: renames)
            )
        }
        var (one, other) = execs(renames: false)
        if one == other { return }
        if !strict {
            (one, other) = execs(renames: true)
            if one == other {
                comparison.disregarded.append("processes: names that programs made up in /tmp")
                return
            }
        }
        let different = Set(one.keys).union(other.keys).filter { one[$0] != other[$0] }
        for exec in different.sorted(by: { $0.lexicographicallyPrecedes($1) }).prefix(OutputComparison.most) {
            comparison.outputs.append(
                Difference(
                    .processes, shortened(OutputComparison.shown(exec), to: 400),
                    before: Bytes("\(one[exec] ?? 0) times"),
                    after: Bytes("\(other[exec] ?? 0) times")))
        }
    }

    private static func execs(_ record: JSON, renames: Bool) -> [Bytes: Int] {
        var found: [Bytes: Int] = [:]
        for one in record["processes"]?.array ?? [] {
            var words = [one["program"]?.bytesValue ?? []] + (one["argv"]?.array ?? []).map { $0.bytesValue ?? [] }
            words.append(Bytes(one["decision"]?.string ?? ""))
            if renames { words = words.map(MadeUpNames.without) }
            // No word has a NUL: `a b` isn't `a` and `b`.
            found[Bytes(words.joined(separator: [0])), default: 0] += 1
        }
        return found
    }

    /// With quotes, where it takes them to tell one word from two.
    private static func shown(_ exec: Bytes) -> Bytes {
        let words = exec.split(separator: 0, omittingEmptySubsequences: false).map { word in
            word.isEmpty || word.contains(0x20) ? [0x27] + word + [0x27] : Bytes(word)
        }
        return Bytes(words.joined(separator: [0x20]))
    }
}

/// Names in the sandbox's own /tmp, which compilers and the like make up anew each time.
enum MadeUpNames {
    static func without(_ word: Bytes) -> Bytes {
        let place = Bytes("/tmp/")
        var out = Bytes()
        var index = 0
        // Where the path began that the next byte belongs to.
        var start = 0
        while index < word.count {
            if word[index...].starts(with: place), isBegin(word[start..<index]) {
                out += place + [UInt8(ascii: "*")]
                index += place.count
                while index < word.count, isName(word[index]) { index += 1 }
                continue
            }
            if !isName(word[index]), word[index] != Path.slash { start = index + 1 }
            out.append(word[index])
            index += 1
        }
        return out
    }

    /// An option may stand right before a path, as in `-o/tmp/x`; a directory is another one's `tmp`.
    private static func isBegin(_ before: Bytes.SubSequence) -> Bool {
        before.isEmpty || before.first == UInt8(ascii: "-") && !before.contains(Path.slash)
    }

    private static func isName(_ byte: UInt8) -> Bool {
        switch byte {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80...0xFF: true
        default: [0x2E, 0x5F, 0x2D, 0x2B, 0x7E].contains(byte)
        }
    }
}
