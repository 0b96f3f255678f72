// Pure. Reads the times that aegix writes, and those that a person types after --since.

import AegixSystem

public enum Timestamp {
    /// `2026-11-21`, `2026-11-21T10:22`, `…:42`, `….5Z`: always UTC. Nanoseconds since 1970, or nil.
    public static func parse(_ text: String) -> UInt64? {
        var digits = Array(text.utf8)
        if digits.last == UInt8(ascii: "Z") { digits.removeLast() }
        let shape = Array("0000-00-00T00:00:00.".utf8)
        guard [10, 16, 19].contains(digits.count) || digits.count > 20 && digits.count <= 29 else { return nil }
        for (index, byte) in digits.enumerated() {
            if index < shape.count, shape[index] != UInt8(ascii: "0") {
                let isSpace = index == 10 && byte == UInt8(ascii: " ")
                if byte != shape[index] && !isSpace { return nil }
            } else if !(0x30...0x39).contains(byte) {
                return nil
            }
        }
        func number(_ start: Int, _ count: Int) -> Int {
            guard start + count <= digits.count else { return 0 }
            return digits[start..<start + count].reduce(0) { $0 * 10 + Int($1 - 0x30) }
        }
        let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2))
        let (hour, minute, second) = (number(11, 2), number(14, 2), number(17, 2))
        guard (1970...2500).contains(year), (1...12).contains(month), (1...31).contains(day), hour < 24, minute < 60,
            second < 61
        else { return nil }
        let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second
        var fraction = 0
        if digits.count > 20 {
            let places = digits.count - 20
            fraction = number(20, places)
            for _ in places..<9 { fraction *= 10 }
        }
        return UInt64(seconds) * 1_000_000_000 + UInt64(fraction)
    }

    /// Days since 1970 in the Gregorian calendar, March first so that the leap day is a year's last.
    private static func days(_ year: Int, _ month: Int, _ day: Int) -> Int {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted / 400
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
