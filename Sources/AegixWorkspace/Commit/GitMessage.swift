// Pure. Who commits, and what he says.

import AegixSystem

/// A name and an address as they stand in a commit, and when.
public struct GitIdentity: Equatable, Sendable {
    var text: Bytes

    /// - date: seconds since 1970 and the zone, as git writes them: `1700000000 +0100`.
    ///
    /// nil: without what would end the name or the address nothing is left.
    public init?(name: Bytes, email: Bytes, date: Bytes) {
        let (name, email) = (GitIdentity.plain(name), GitIdentity.plain(email))
        if name.isEmpty || email.isEmpty { return nil }
        text = name + Bytes(" <") + email + Bytes("> ") + date
    }

    /// Such a date out of what somebody wrote, with or without an `@`; nil: `git fsck` would refuse it.
    public static func date(_ text: Bytes) -> Bytes? {
        let given = text.first == UInt8(ascii: "@") ? text.dropFirst() : text[...]
        let parts = given.split(separator: 0x20, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return nil }
        let (seconds, zone) = (parts[0], parts[1])
        let isTime = !seconds.isEmpty && seconds.allSatisfy(isDigit) && (seconds.count == 1 || seconds.first != 0x30)
        guard isTime, Int64(String(decoding: seconds, as: UTF8.self)) != nil else { return nil }
        let minutes = zone.suffix(2)
        guard zone.count == 5, zone.first.map(Bytes("+-").contains) ?? false, zone.dropFirst().allSatisfy(isDigit),
            minutes.lexicographicallyPrecedes(Bytes("60"))
        else { return nil }
        return Bytes(given)
    }

    private static func isDigit(_ byte: UInt8) -> Bool { 0x30...0x39 ~= byte }

    private static func plain(_ bytes: Bytes) -> Bytes {
        let kept = bytes.filter { $0 >= 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">") }
        let dust = Set(Bytes(" .,:;\"\\'"))
        let start = kept.drop { dust.contains($0) }
        return Bytes(start.reversed().drop { dust.contains($0) }.reversed())
    }

    /// The user's own configuration: `user.name` and `user.email`.
    public static func configured(_ text: Bytes) -> (name: Bytes?, email: Bytes?) {
        let own = GitConfiguration.settings(text).filter { $0.section == Bytes("user") }
        return (own.last { $0.key == Bytes("name") }?.value, own.last { $0.key == Bytes("email") }?.value)
    }
}

enum GitMessage {
    /// The message with the run as its trailer: in the block of trailers that it ends with, else in one of its own.
    static func text(_ message: Bytes, run: RunID) -> Bytes {
        var lines = message.split(separator: 0x0A, omittingEmptySubsequences: false).map { line in
            Bytes(line.reversed().drop { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }.reversed())
        }
        while lines.last?.isEmpty == true { lines.removeLast() }
        lines = Array(lines.drop { $0.isEmpty })
        let last = lines.lastIndex { $0.isEmpty }
        let block = last.map { lines[($0 + 1)...] } ?? []
        let isBlock = !block.isEmpty && block.allSatisfy(isTrailer)
        if !isBlock { lines.append([]) }
        lines.append(Bytes("Aegix-Run: \(run)"))
        return Bytes(lines.joined(separator: [0x0A])) + [0x0A]
    }

    private static func isTrailer(_ line: Bytes) -> Bool {
        guard let colon = line.firstIndex(of: UInt8(ascii: ":")), colon > 0 else { return false }
        return line[..<colon].allSatisfy { byte in
            byte == UInt8(ascii: "-") || 0x30...0x39 ~= byte || 0x41...0x5A ~= byte || 0x61...0x7A ~= byte
        }
    }
}
