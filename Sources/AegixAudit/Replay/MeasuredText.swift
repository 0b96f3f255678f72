// Pure. Output that differs by nothing but how long something took.

import AegixSystem

/// A test runner says how long its tests took, and no two runs take as long. Two texts are equal here if they are when each
/// measured duration (a number with a unit of time, as `0.03s`, `12 ms`, `duration_ms 1.5`) is passed over.
enum MeasuredText {
    /// nil: they differ in more; else what was passed over, in words.
    static func equal(_ one: Bytes, _ other: Bytes) -> String? {
        if one == other { return nil }
        let (first, second) = (parts(one), parts(other))
        guard first.text == second.text, first.durations.count == second.durations.count else { return nil }
        let different = zip(first.durations, second.durations).filter { $0 != $1 }
        guard let some = different.first else { return nil }
        let more = different.count > 1 ? ", and \(different.count - 1) more" : ""
        return "measured durations, \(some.0.shown) and \(some.1.shown)\(more)"
    }

    private static let units = [
        "seconds", "second", "secs", "sec", "msec", "usec", "minutes", "minute", "mins", "min", "ms", "us", "µs", "μs",
        "ns", "s",
    ].map { Bytes($0) }
    private static let labels = ["duration_ms", "duration_ms:", "time=\"", "elapsed:"].map { Bytes($0) }

    /// The text with a mark in the place of each duration, and these.
    static func parts(_ bytes: Bytes) -> (text: Bytes, durations: [Bytes]) {
        var text = Bytes()
        text.reserveCapacity(bytes.count)
        var durations: [Bytes] = []
        var index = 0
        while index < bytes.count {
            let byte = bytes[index]
            guard isDigit(byte), index == 0 || !isWord(bytes[index - 1]) && bytes[index - 1] != 0x2E else {
                text.append(byte)
                index += 1
                continue
            }
            var end = index
            while end < bytes.count,
                isDigit(bytes[end]) || bytes[end] == 0x2E && end + 1 < bytes.count && isDigit(bytes[end + 1])
            {
                end += 1
            }
            if let length = unit(bytes, at: end) ?? (isLabelled(bytes, index) ? 0 : nil) {
                durations.append(Bytes(bytes[index..<end + length]))
                text.append(0)
                index = end + length
            } else {
                text += bytes[index..<end]
                index = end
            }
        }
        return (text, durations)
    }

    /// How long the unit is that follows, with the space before it.
    private static func unit(_ bytes: Bytes, at end: Int) -> Int? {
        let space = end < bytes.count && bytes[end] == 0x20 ? 1 : 0
        for unit in units where bytes[(end + space)...].starts(with: unit) {
            let next = end + space + unit.count
            // `3 seconds`, and neither `3 strings` nor `3s_total`.
            if next < bytes.count, isWord(bytes[next]) { continue }
            return space + unit.count
        }
        return nil
    }

    private static func isLabelled(_ bytes: Bytes, _ index: Int) -> Bool {
        var before = bytes[..<index]
        while before.last == 0x20 { before.removeLast() }
        return labels.contains { before.suffix($0.count) == $0[...] }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    private static func isWord(_ byte: UInt8) -> Bool {
        isDigit(byte) || (0x41...0x5A).contains(byte) || (0x61...0x7A).contains(byte) || byte == UInt8(ascii: "_")
    }
}
