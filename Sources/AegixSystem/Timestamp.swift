// Pure. Reads the times that aegix writes, and those that a person types after --since.

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

    /// `2026-11-21T10:22:42.` for a number of seconds since 1970.
    static func seconds(_ seconds: UInt64) -> Bytes {
        let (date, second) = (Int(seconds / 86400), Int(seconds % 86400))
        // The inverse of `days`, by the same eras of 400 years.
        let shifted = date + 719_468
        let era = shifted / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shiftedMonth = (5 * dayOfYear + 2) / 153
        let month = shiftedMonth + (shiftedMonth < 10 ? 3 : -9)
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        let day = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
        var out = Bytes("0000-00-00T00:00:00.")
        func put(_ number: Int, at end: Int, _ count: Int) {
            var rest = number
            for index in stride(from: end, to: end - count, by: -1) {
                out[index] = UInt8(ascii: "0") + UInt8(rest % 10)
                rest /= 10
            }
        }
        put(year, at: 3, 4)
        put(month, at: 6, 2)
        put(day, at: 9, 2)
        put(second / 3600, at: 12, 2)
        put(second / 60 % 60, at: 15, 2)
        put(second % 60, at: 18, 2)
        return out
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
