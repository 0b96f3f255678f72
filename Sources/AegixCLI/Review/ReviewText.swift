// Side effects: reads contents through a ReviewSource. A review for a person: bounded, and no byte of the command's reaches the
// terminal as it is.

import AegixSystem
import AegixWorkspace

/// Stages: one line that sums up; what is flagged; the tree with sizes; the differences, until a bound is met.
struct ReviewText {
    private let review: Review
    private let paint: ReviewPaint
    private let differences: Bool
    private var out = Bytes()
    private var lines = 0

    private static let flagLines = 100
    private static let treeLines = 1000
    /// Of one file.
    private static let fileLines = 2000
    private static let fileBytes: UInt64 = 1 << 20
    /// Of all together.
    private static let allLines = 40_000
    private static let allBytes = 8 << 20
    private static let columns = 2000

    init(_ review: Review, _ paint: ReviewPaint, differences: Bool) {
        (self.review, self.paint, self.differences) = (review, paint, differences)
    }

    consuming func bytes() -> Bytes {
        let changes = review.changes
        let cut = changes.list.cut.isEmpty ? "" : " at least: the list was cut short"
        line(paint.bold("run \(changes.run): \(ChangeSummary(review.chosen).line)\(cut)"))
        line("workspace \(changes.workspace.shown)")
        flagged()
        line("")
        for row in ReviewTree.lines(review, limit: ReviewText.treeLines) { line(row) }
        if differences { differ() }
        return out
    }

    private mutating func line(_ text: String) {
        out += Bytes(text)
        out.append(0x0A)
        lines += 1
    }

    // MARK: - What needs a second look

    private mutating func flagged() {
        let loud = review.chosen.filter { !$0.flags.isEmpty }
        if loud.isEmpty { return }
        line("")
        line(paint.warning("look at these first"))
        // The weightiest first, each in the order of the paths.
        let ranked = Change.Flag.allCases.flatMap { flag in
            loud.filter { change in Change.Flag.allCases.first(where: change.flags.contains) == flag }
        }
        for change in ranked.prefix(ReviewText.flagLines) {
            let flags = Change.Flag.allCases.filter(change.flags.contains)
            let names = flags.map(\.rawValue).joined(separator: ", ")
            let sentences = flags.map { $0.sentence(for: change) }.joined(separator: "; ")
            line("  " + paint.warning(names) + "  \(ReviewText.path(change)): \(sentences)")
        }
        if ranked.count > ReviewText.flagLines {
            line("  … and \(ranked.count - ReviewText.flagLines) more; --json lists them all")
        }
    }

    /// Of one longer than a line its ends.
    static func path(_ change: Change) -> String {
        if change.path.isEmpty { return "." }
        let text = change.path.shown
        return text.count > 400 ? "\(text.prefix(150))…\(text.suffix(240))" : text
    }

    // MARK: - Differences

    private mutating func differ() {
        if review.changes.isInPlace {
            line("")
            return line("written in place: what was there before isn't kept, so there are no differences to show")
        }
        let files = review.chosen.filter { change in
            [change.before?.kind, change.after?.kind].contains { $0 == .file || $0 == .symlink }
                && (change.kind != .mode || change.before?.mode != change.after?.mode)
        }
        for (index, change) in files.enumerated() {
            if lines > ReviewText.allLines || out.count > ReviewText.allBytes {
                line("")
                line(paint.bold("… and \(files.count - index) more files; --only chooses, --patch has them all"))
                return
            }
            differ(change)
        }
    }

    private mutating func differ(_ change: Change) {
        line("")
        line(paint.bold(ReviewText.heading(change)))
        guard let source = review.source else { return }
        if change.kind == .mode || change.linkOf != nil && change.before == nil { return }
        let limit = ReviewText.fileBytes
        switch (source.before(change, limit: limit), source.after(change, limit: limit)) {
        case (.unavailable(let reason), _), (_, .unavailable(let reason)): line("  " + ReviewText.words(reason))
        case (let old, let new): compare(ReviewText.content(old), ReviewText.content(new))
        }
    }

    private mutating func compare(_ old: Bytes, _ new: Bytes) {
        if old == new { return }
        if UnifiedDiff.isBinary(old) || UnifiedDiff.isBinary(new) { return line("  binary, not shown") }
        let diff = UnifiedDiff(old, new)
        let total = diff.hunks.reduce(0) { $0 + max($1.old.count, $1.new.count) + 1 }
        let start = lines
        for hunk in diff.hunks {
            if lines - start > ReviewText.fileLines {
                return line("  … about \(total - (lines - start)) more lines; --patch has them all")
            }
            line(paint.place(String(decoding: UnifiedDiff.header(hunk), as: UTF8.self)))
            var (shown, left) = (Bytes(), 0)
            let room = ReviewText.fileLines - (lines - start)
            var count = 0
            diff.lines(of: hunk) { mark, text in
                if count >= room {
                    left += 1
                    return
                }
                count += 1
                paint.line(mark, text, into: &shown)
                if text.last != 0x0A { shown += Bytes("\\ No newline at end of file\n") }
            }
            out += shown
            lines += count
            if left > 0 { return line("  … \(left) more lines and perhaps more; --patch has them all") }
        }
    }

    private static func content(_ content: ReviewSource.Content) -> Bytes {
        if case .bytes(let bytes) = content { bytes } else { [] }
    }

    private static func heading(_ change: Change) -> String {
        var text = "\(ReviewTree.word(change)) \(path(change))"
        if let from = change.from { text += " from \(from.shown)" }
        if let link = change.linkOf { text += " (the same file as \(link.shown))" }
        if let old = change.before?.mode, let new = change.after?.mode, old != new, change.after?.kind != .symlink {
            text += " (mode 0\(String(old, radix: 8)) → 0\(String(new, radix: 8)))"
        }
        return text
    }

    static func words(_ reason: ReviewSource.Reason) -> String {
        switch reason {
        case .stale: "the workspace changed since the run: there is nothing to compare with"
        case .altered: "the layer isn't what the record says: somebody changed it after the run"
        case .large: "too large to be compared here; --patch has it"
        case .unreadable: "can't be read"
        }
    }

    /// A patch for a terminal: its lines, with whatever could steer the terminal made visible.
    static func neutral(_ patch: Bytes, _ paint: ReviewPaint) -> Bytes {
        var out = Bytes()
        for text in patch.split(separator: 0x0A, omittingEmptySubsequences: false).dropLast() {
            let mark = text.first.flatMap(UnifiedDiff.Mark.init) ?? .same
            if text.first == mark.rawValue {
                paint.line(mark, text.dropFirst(), into: &out)
            } else {
                paint.append(text, into: &out)
                out.append(0x0A)
            }
        }
        return out
    }
}

/// Colours, or none.
struct ReviewPaint {
    private let isColored: Bool
    private static let columns = 2000

    init(_ isColored: Bool) { self.isColored = isColored }

    func bold(_ text: String) -> String { wrapped(text, "1") }
    func warning(_ text: String) -> String { wrapped(text, "1;31") }
    func place(_ text: String) -> String { wrapped(text, "36") }

    /// One line of a difference.
    func line(_ mark: UnifiedDiff.Mark, _ text: ArraySlice<UInt8>, into out: inout Bytes) {
        let code = !isColored || mark == .same ? nil : mark == .gone ? "31" : "32"
        if let code { out += Bytes("\u{1B}[\(code)m") }
        out.append(mark.rawValue)
        append(text.last == 0x0A ? text.dropLast() : text, into: &out)
        if code != nil { out += Bytes("\u{1B}[m") }
        out.append(0x0A)
    }

    /// Tabs stay; all else that isn't printed is made visible. Long lines are cut.
    func append(_ text: ArraySlice<UInt8>, into out: inout Bytes) {
        let kept = text.prefix(ReviewPaint.columns)
        if kept.allSatisfy({ 0x20..<0x7F ~= $0 || $0 == 0x09 }) {
            out += kept
        } else {
            for (index, part) in kept.split(separator: 0x09, omittingEmptySubsequences: false).enumerated() {
                if index > 0 { out.append(0x09) }
                out += Bytes(Bytes(part).shown)
            }
        }
        if kept.count < text.count { out += Bytes("… \(text.count - kept.count) more bytes") }
    }

    private func wrapped(_ text: String, _ code: String) -> String {
        isColored ? "\u{1B}[\(code)m\(text)\u{1B}[m" : text
    }
}
