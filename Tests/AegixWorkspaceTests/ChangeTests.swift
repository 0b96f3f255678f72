// Changes as data: what is written is read again, and nothing else is; renames are found by content.

import AegixSystem
import Testing

@testable import AegixWorkspace

@Suite struct ChangeTests {
    private static func entry(_ digest: String?, size: UInt64 = 4, links: UInt64 = 1) -> Entry {
        Entry(
            .file, mode: 0o644, size: size, modified: -5, digest: digest,
            identity: .init(device: 1 << 60, inode: .max, changed: .max, links: links))
    }

    private static var list: ChangeList {
        var odd = Change(Bytes([0x66, 0xFF, 0x0A]), .renamed, before: entry("aa"), after: entry("aa", links: 2))
        odd.from = Bytes("\u{1B}[31m")
        odd.linkOf = Bytes("other")
        odd.flags = [.raced, .setuid]
        var link = Change(Bytes("link"), .symlink, before: nil, after: entry(nil, size: 0))
        link.after?.kind = .symlink
        link.after?.target = Bytes([0xFE])
        return ChangeList([odd, link, Change([], .mode, before: entry(nil), after: nil)], cut: [.time, .depth])
    }

    @Test func roundTrip() throws {
        let bytes = ChangeTests.list.encode()
        #expect(ChangeList.decode(bytes) == ChangeTests.list)
        #expect(ChangeList.decode(ChangeList().encode()) == ChangeList())
    }

    @Test func whatIsDamagedIsNoList() {
        let bytes = ChangeTests.list.encode()
        #expect(ChangeList.decode([]) == nil)
        #expect(ChangeList.decode(bytes.dropLast()) == nil, "the last line's end is missing")
        let lines = bytes.split(separator: 0x0A)
        #expect(
            ChangeList.decode(Bytes(lines.dropLast().joined(separator: [0x0A])) + [0x0A]) == nil, "a line is missing")
        let text = String(decoding: bytes, as: UTF8.self)
        for (from, to) in [
            ("renamed", "remained"), ("raced", "rased"), ("\"0644\"", "\"9644\""), ("\"0644\"", "\"06644\""),
        ] {
            #expect(text.contains(from))
            #expect(ChangeList.decode(Bytes(text.replacing(from, with: to))) == nil, "\(from) → \(to)")
        }
    }

    @Test func renames() {
        func gone(_ path: String, _ digest: String?, size: UInt64 = 4) -> Change {
            var entry = ChangeTests.entry(digest, size: size)
            entry.identity.inode = UInt64(path.utf8.count)
            return Change(Bytes(path), .deleted, before: entry, after: nil)
        }
        func new(_ path: String, _ digest: String?, size: UInt64 = 4) -> Change {
            Change(Bytes(path), .added, before: nil, after: ChangeTests.entry(digest, size: size))
        }
        func object(_ path: String, _ digest: String, inode: UInt64) -> Change {
            var entry = ChangeTests.entry(digest)
            entry.identity.inode = inode
            return Change(Bytes(path), .added, before: nil, after: entry)
        }
        let found = Renames.pair([
            gone("a/x", "1"), gone("b/y", "1"), new("c/y", "1"), new("c/z", "1"), new("d", "1"),
            gone("empty", "0", size: 0), gone("was", "2"), gone("q", "2"), new("q2", "2"), object("is", "2", inode: 3),
            new("void", "0", size: 0), gone("unread", nil), new("unread2", nil),
        ])
        let told = found.map { "\($0.kind) \($0.from?.text ?? "-") \($0.path.text ?? "")" }
        #expect(
            told == [
                "renamed b/y c/y", "renamed a/x c/z", "added - d", "deleted - empty", "renamed q q2", "renamed was is",
                "added - void",
                "deleted - unread",
                "added - unread2",
            ])
    }

    @Test func contentAndAttributes() {
        let one = ChangeTests.entry("aa")
        var other = one
        other.modified = 7
        #expect(other.hasContent(of: one) && !other.hasAttributes(of: one))
        other = one
        other.digest = nil
        #expect(other.hasContent(of: one), "the same object, unread")
        other.identity.inode = 1
        #expect(!other.hasContent(of: one), "another object, unread")
    }
}
