import Foundation
import Testing

@testable import AegixSystem

@Suite struct ELFTests {
    private func file(_ type: UInt8) -> Bytes {
        var head = Bytes(repeating: 0, count: 64)
        head.replaceSubrange(0..<6, with: [0x7F, 0x45, 0x4C, 0x46, 2, 1])
        head[16] = type
        head[32] = 64
        head[54] = 56
        head[56] = 2
        return head
    }

    private func table(_ type: UInt8, offset: UInt8, size: UInt8) -> Bytes {
        var table = Bytes(repeating: 0, count: 112)
        (table[56], table[56 + 8], table[56 + 32]) = (type, offset, size)
        return table
    }

    @Test func onlyWhatIsMappedCounts() {
        #expect(ELFHead(file(2)) != nil && ELFHead(file(3)) != nil)
        // An object file, a core dump.
        #expect(ELFHead(file(1)) == nil && ELFHead(file(4)) == nil)
        #expect(ELFHead(Bytes("#!/bin/sh\n")) == nil && ELFHead([]) == nil && ELFHead(Bytes(file(3).prefix(40))) == nil)
        var foreign = file(3)
        foreign[4] = 1
        #expect(ELFHead(foreign) == nil)
    }

    @Test func namesItsLoader() throws {
        let head = try #require(ELFHead(file(3)))
        #expect(head.tableLength == 112)
        let found = try #require(head.interpreter(table: table(3, offset: 200, size: 28)))
        #expect(found.offset == 200 && found.length == 28)
        #expect(head.interpreter(table: table(1, offset: 200, size: 28)) == nil)
        #expect(head.interpreter(table: table(3, offset: 200, size: 0)) == nil)
        #expect(head.interpreter(table: Bytes(table(3, offset: 200, size: 28).prefix(60))) == nil)
        var odd = file(3)
        odd[54] = 57
        #expect(ELFHead(odd)?.tableLength == nil)
        (odd[54], odd[56], odd[57]) = (56, 0xFF, 0xFF)
        #expect(ELFHead(odd)?.tableLength == nil)
    }

    @Test func aProgramOfThisHostHasOne() throws {
        let bytes = Bytes(try Data(contentsOf: URL(fileURLWithPath: "/bin/sh")))
        let head = try #require(ELFHead(bytes))
        let length = try #require(head.tableLength)
        let start = Int(head.tableOffset)
        let place = try #require(head.interpreter(table: Bytes(bytes[start..<start + length])))
        let name = bytes[Int(place.offset)..<Int(place.offset) + place.length]
        #expect(name.first == UInt8(ascii: "/") && name.last == 0)
    }

    @Test func theClockThatStampsFilesMovesOn() throws {
        let path = NSTemporaryDirectory() + "/aegix-tick-\(getpid())"
        defer { unlink(path) }
        func stamp() throws -> UInt64 {
            let file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
            write(file, "x", 1)
            close(file)
            var facts = stat()
            try #require(lstat(path, &facts) == 0)
            return UInt64(facts.st_ctim.tv_sec) * 1_000_000_000 + UInt64(facts.st_ctim.tv_nsec)
        }
        for _ in 0..<50 {
            let before = try stamp()
            let tick = Clock.tick()
            #expect(before < tick)
            #expect(try stamp() >= tick)
        }
    }
}
