// Pure. git's index: what is staged.

import AegixSystem
import Glibc

/// Read in versions 2 to 4, written in 2 or 3. What git can do without, such as its cached trees, isn't written again.
struct GitIndex {
    struct Entry {
        var path: Bytes
        /// Times, device, inode, mode, owner and size: 40 bytes, with the mode at 24.
        var facts: Bytes
        var id: GitID
        /// Of which the lowest 12 bits, the path's length, are written anew.
        var flags: UInt16
        var more: UInt16

        var mode: UInt32 { facts[24..<28].reduce(0) { $0 << 8 | UInt32($1) } }
        var stage: UInt16 { flags >> 12 & 3 }
        /// `git add -N`: a name without a content yet.
        var isIntended: Bool { more & 0x2000 != 0 }
    }

    /// A path, and all of them: in version 4 a few bytes repeat what the path before begins with.
    private static let (longest, most) = (4096, 256 << 20)

    let format: GitFormat
    private(set) var entries: [Entry] = []

    enum Defect: Error {
        case damaged
        /// Something that git must understand to use it, such as a split or a sparse index.
        case extended(String)
    }

    init(_ format: GitFormat) { self.format = format }

    init(_ bytes: Bytes, _ format: GitFormat) throws(Defect) {
        self.format = format
        let end = bytes.count - format.length
        guard end >= 12, bytes.starts(with: Bytes("DIRC")) else { throw .damaged }
        let sum = Bytes(bytes[end...])
        // All zeros: index.skipHash.
        guard sum.allSatisfy({ $0 == 0 }) || sum == format.checksum(Bytes(bytes[..<end])) else { throw .damaged }
        let version = GitIndex.number(bytes[4..<8])
        guard (2...4).contains(version) else { throw .damaged }
        var (at, length) = (12, 0)
        for _ in 0..<GitIndex.number(bytes[8..<12]) {
            let fixed = 40 + format.length + 2
            guard at + fixed < end, let id = format.parse(raw: bytes[(at + 40)..<(at + 40 + format.length)]) else {
                throw .damaged
            }
            let flags = UInt16(bytes[at + fixed - 2]) << 8 | UInt16(bytes[at + fixed - 1])
            var (start, more) = (at + fixed, UInt16(0))
            if flags & 0x4000 != 0 {
                guard version >= 3, start + 2 < end else { throw .damaged }
                more = UInt16(bytes[start]) << 8 | UInt16(bytes[start + 1])
                start += 2
            }
            var path = Bytes()
            if version == 4 {
                var strip = 0
                while true {
                    guard start < end, strip < 1 << 24 else { throw .damaged }
                    let byte = bytes[start]
                    strip |= Int(byte & 0x7F)
                    start += 1
                    if byte & 0x80 == 0 { break }
                    strip = (strip + 1) << 7
                }
                let last = entries.last?.path ?? []
                guard strip <= last.count else { throw .damaged }
                path = Bytes(last.dropLast(strip))
            }
            guard let stop = bytes[start..<end].firstIndex(of: 0) else { throw .damaged }
            guard path.count + stop - start <= GitIndex.longest else { throw .damaged }
            path += bytes[start..<stop]
            length += path.count
            guard length <= GitIndex.most else { throw .damaged }
            entries.append(
                Entry(path: path, facts: Bytes(bytes[at..<(at + 40)]), id: id, flags: flags, more: more))
            at = version == 4 ? stop + 1 : at + ((stop - at) / 8 + 1) * 8
        }
        while at + 8 <= end {
            // What begins with a capital letter can be left out.
            guard let name = Bytes(bytes[at..<(at + 4)]).text, let first = name.utf8.first else { throw .damaged }
            if !(0x41...0x5A).contains(first) { throw .extended(name) }
            at += 8 + GitIndex.number(bytes[(at + 4)..<(at + 8)])
        }
    }

    func entry(_ path: Bytes) -> Entry? { entries.first { $0.path == path } }

    /// - changes: what is at a path from now on, as the commit and as the file have it; nil: nothing.
    mutating func set(_ changes: [Bytes: (entry: GitEntry, facts: FileFacts?)?]) {
        let made = changes.filter { $0.value != nil }
        var above: Set<Bytes> = []
        for path in made.keys {
            var parent = Path.relativeParent(path)
            while !parent.isEmpty, above.insert(parent).inserted { parent = Path.relativeParent(parent) }
        }
        entries.removeAll { entry in
            if changes[entry.path] != nil || above.contains(entry.path) { return true }
            var parent = Path.relativeParent(entry.path)
            while !parent.isEmpty {
                if made[parent] != nil { return true }
                parent = Path.relativeParent(parent)
            }
            return false
        }
        for (path, change) in made {
            guard let change else { continue }
            entries.append(
                Entry(
                    path: path, facts: GitIndex.facts(change.facts, change.entry.mode), id: change.entry.id, flags: 0,
                    more: 0))
        }
        entries.sort { a, b in
            if a.path == b.path { return a.stage < b.stage }
            return a.path.lexicographicallyPrecedes(b.path)
        }
    }

    /// As git takes them from stat. Without any, git looks at the content when it comes by.
    private static func facts(_ facts: FileFacts?, _ mode: UInt32) -> Bytes {
        var out = Bytes()
        let second: Int64 = 1_000_000_000
        for time in [facts?.changed ?? 0, facts?.modified ?? 0] {
            let rest = ((time % second) + second) % second
            put(UInt32(truncatingIfNeeded: (time - rest) / second), into: &out)
            put(UInt32(truncatingIfNeeded: rest), into: &out)
        }
        put(UInt32(truncatingIfNeeded: facts?.device ?? 0), into: &out)
        put(UInt32(truncatingIfNeeded: facts?.inode ?? 0), into: &out)
        put(mode, into: &out)
        put(facts?.owner ?? 0, into: &out)
        put(facts?.group ?? 0, into: &out)
        put(UInt32(truncatingIfNeeded: facts?.size ?? 0), into: &out)
        return out
    }

    func encode() -> Bytes {
        let version: UInt32 = entries.contains { $0.more != 0 } ? 3 : 2
        var out = Bytes("DIRC")
        GitIndex.put(version, into: &out)
        GitIndex.put(UInt32(entries.count), into: &out)
        for entry in entries {
            let start = out.count
            out += entry.facts + entry.id.raw
            let flags = entry.flags & 0xB000 | (entry.more != 0 ? 0x4000 : 0) | UInt16(min(entry.path.count, 0xFFF))
            out += [UInt8(flags >> 8), UInt8(flags & 0xFF)]
            if entry.more != 0 { out += [UInt8(entry.more >> 8), UInt8(entry.more & 0xFF)] }
            out += entry.path
            out += Bytes(repeating: 0, count: 8 - (out.count - start) % 8)
        }
        return out + format.checksum(out)
    }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int { bytes.reduce(0) { $0 << 8 | Int($1) } }

    private static func put(_ number: UInt32, into out: inout Bytes) {
        for shift in [24, 16, 8, 0] as [UInt32] { out.append(UInt8(truncatingIfNeeded: number >> shift)) }
    }
}
