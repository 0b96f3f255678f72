// Pure. Two texts to hunks, as diff -u makes them.

import AegixSystem

/// A text as lines; a line's end belongs to it, and the last one may have none.
struct Lines {
    let bytes: Bytes
    /// Where each line begins, and the end.
    let starts: [Int]

    init(_ bytes: Bytes) {
        self.bytes = bytes
        var starts = [0]
        bytes.withUnsafeBufferPointer { buffer in
            for index in buffer.indices where buffer[index] == 0x0A { starts.append(index + 1) }
        }
        if starts.last != bytes.count { starts.append(bytes.count) }
        self.starts = starts
    }

    var count: Int { starts.count - 1 }
    subscript(index: Int) -> ArraySlice<UInt8> { bytes[starts[index]..<starts[index + 1]] }
}

public struct UnifiedDiff {
    /// One line of a hunk.
    public enum Mark: UInt8, Sendable {
        case same = 0x20
        case gone = 0x2D
        case come = 0x2B
    }

    public struct Hunk {
        public var old: Range<Int>
        public var new: Range<Int>
        fileprivate let edits: ArraySlice<LineDiff.Edit>
    }

    private let old: Lines
    private let new: Lines
    public let hunks: [Hunk]

    private static let context = 3

    public init(_ old: Bytes, _ new: Bytes) {
        (self.old, self.new) = (Lines(old), Lines(new))
        let (a, b) = UnifiedDiff.numbered(self.old, self.new)
        hunks = UnifiedDiff.grouped(LineDiff.edits(a, b), self.old.count, self.new.count)
    }

    /// As git asks: a NUL among the first 8000 bytes.
    public static func isBinary(_ bytes: Bytes) -> Bool { bytes.prefix(8000).contains(0) }

    /// `@@ -1,3 +1,4 @@`.
    public static func header(_ hunk: Hunk) -> Bytes {
        func range(_ lines: Range<Int>) -> String {
            // An empty side is told by the line before it.
            let first = lines.isEmpty ? lines.lowerBound : lines.lowerBound + 1
            return lines.count == 1 ? "\(first)" : "\(first),\(lines.count)"
        }
        return Bytes("@@ -\(range(hunk.old)) +\(range(hunk.new)) @@")
    }

    /// Each line of a hunk with its end, if it has one.
    public func lines(of hunk: Hunk, _ body: (Mark, ArraySlice<UInt8>) -> Void) {
        var (x, y) = (hunk.old.lowerBound, hunk.new.lowerBound)
        for edit in hunk.edits {
            while x < edit.old.lowerBound {
                body(.same, old[x])
                (x, y) = (x + 1, y + 1)
            }
            for index in edit.old { body(.gone, old[index]) }
            for index in edit.new { body(.come, new[index]) }
            (x, y) = (edit.old.upperBound, edit.new.upperBound)
        }
        while x < hunk.old.upperBound {
            body(.same, old[x])
            x += 1
        }
    }

    /// All of it, byte for byte.
    public func write(into out: inout Bytes) {
        for hunk in hunks {
            out += UnifiedDiff.header(hunk)
            out.append(0x0A)
            var text = Bytes()
            lines(of: hunk) { mark, line in
                text.append(mark.rawValue)
                text += line
                if line.last != 0x0A { text += UnifiedDiff.unended }
            }
            out += text
        }
    }

    private static let unended = Bytes("\n\\ No newline at end of file\n")

    // MARK: - Making

    private struct Line: Hashable {
        let bytes: ArraySlice<UInt8>

        func hash(into hasher: inout Hasher) { bytes.withUnsafeBytes { hasher.combine(bytes: $0) } }

        static func == (a: Line, b: Line) -> Bool {
            a.bytes.count == b.bytes.count && a.bytes.elementsEqual(b.bytes)
        }
    }

    private static func numbered(_ old: Lines, _ new: Lines) -> ([Int32], [Int32]) {
        // One side alone needs no comparing.
        if old.count == 0 || new.count == 0 {
            return (Array(repeating: 0, count: old.count), Array(repeating: 0, count: new.count))
        }
        var known: [Line: Int32] = [:]
        known.reserveCapacity(max(old.count, new.count))
        func number(_ lines: Lines) -> [Int32] {
            (0..<lines.count).map { index in
                let line = Line(bytes: lines[index])
                if let number = known[line] { return number }
                let number = Int32(known.count)
                known[line] = number
                return number
            }
        }
        return (number(old), number(new))
    }

    private static func grouped(_ edits: [LineDiff.Edit], _ olds: Int, _ news: Int) -> [Hunk] {
        var hunks: [Hunk] = []
        var start = 0
        for index in edits.indices {
            let isLast = index + 1 == edits.count
            if !isLast, edits[index + 1].old.lowerBound - edits[index].old.upperBound <= 2 * context { continue }
            let (first, last) = (edits[start], edits[index])
            let lead = min(context, first.old.lowerBound)
            let tail = min(context, olds - last.old.upperBound)
            hunks.append(
                Hunk(
                    old: first.old.lowerBound - lead..<last.old.upperBound + tail,
                    new: first.new.lowerBound - lead..<last.new.upperBound + tail, edits: edits[start...index]))
            start = index + 1
        }
        return hunks
    }
}
