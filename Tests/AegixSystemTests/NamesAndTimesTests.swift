// Side effects: reads clocks and random numbers. Names of runs, digests and points in time.

import Testing

@testable import AegixSystem

struct RunIDTests {
    @Test(
        arguments: [
            (0, 0, "00000000000000000000000"), (1, 1, "00000000010000000000001"),
            (31, 32, "000000000z0000000000010"), ((1 << 48) - 1, .max, "7zzzzzzzzzfzzzzzzzzzzzz"),
        ] as [(UInt64, UInt64, String)])
    func spells(_ milliseconds: UInt64, _ random: UInt64, _ text: String) {
        let id = RunID(milliseconds: milliseconds, random: random)
        #expect(id.description == text)
        #expect(RunID(text) == id)
    }

    @Test func sortsByTime() {
        let times: [UInt64] = [0, 1, 31, 32, 1023, 1024, 1_763_720_562_000, 1_795_256_562_000, (1 << 48) - 1]
        let names = times.enumerated().map { index, time in
            RunID(milliseconds: time, random: index.isMultiple(of: 2) ? .max : 0).description
        }
        #expect(names == names.sorted())
        #expect(Set(names).count == times.count)
    }

    @Test func isNewEveryTime() throws {
        let before = RunID(milliseconds: Clock.realtime() / 1_000_000, random: 0)
        let ids = try (0..<200).map { _ in try RunID.make() }
        #expect(Set(ids).count == ids.count)
        for id in ids {
            #expect(RunID(id.description) == id)
            #expect(id.description >= before.description)
        }
    }

    @Test(arguments: [
        "", "0", "0000000000000000000000", "000000000000000000000000", "0000000000000000000000I",
        "0000000000000000000000i", "0000000000000000000000l", "0000000000000000000000o", "0000000000000000000000u",
        "0000000000000000000000Z", "0000000000000000000000/", "../00000000000000000000", "0000000000000000000000\n",
        "000000000000000000000\u{e9}", "0000000000 000000000000",
    ])
    func refusesOtherText(_ text: String) {
        #expect(RunID(text) == nil)
    }
}

struct DigestTests {
    @Test(arguments: [
        ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
        ),
    ])
    func isAsTheStandardHasIt(_ text: String, _ digest: String) {
        #expect(SHA256.hex(Bytes(text)) == digest)
    }

    @Test func ofAMillion() {
        let million = Bytes(repeating: UInt8(ascii: "a"), count: 1_000_000)
        #expect(SHA256.hex(million) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0")
    }

    @Test(arguments: [1, 7, 63, 64, 65, 1000])
    func inPiecesIsTheSame(_ piece: Int) {
        let bytes = (0..<1000).map { UInt8(truncatingIfNeeded: $0 &* 31) }
        var running = SHA256()
        for start in stride(from: 0, to: bytes.count, by: piece) {
            running.update(Bytes(bytes[start..<min(start + piece, bytes.count)]))
        }
        running.update([])
        #expect(running.finish() == SHA256.hex(bytes))
    }

    @Test func hexIsLowerCase() {
        #expect(Hex.encode([0x00, 0x0F, 0xA5, 0xFF]) == "000fa5ff")
        #expect(Hex.encode([]).isEmpty)
    }
}

struct ClockTests {
    @Test(
        arguments: [
            (0, "1970-01-01T00:00:00.000000000Z"), (1, "1970-01-01T00:00:00.000000001Z"),
            (999_999_999, "1970-01-01T00:00:00.999999999Z"),
            (951_782_400_000_000_000, "2000-02-29T00:00:00.000000000Z"),
            (1_795_256_562_000_000_001, "2026-11-21T10:22:42.000000001Z"),
            (4_102_444_799_123_456_789, "2099-12-31T23:59:59.123456789Z"), (.max, "2554-07-21T23:34:33.709551615Z"),
        ] as [(UInt64, String)])
    func writesTimes(_ nanoseconds: UInt64, _ text: String) {
        #expect(Clock.rfc3339(nanoseconds) == text)
    }

    @Test func textsSortAsTimes() {
        let texts = stride(from: UInt64(0), to: .max - 1 << 60, by: 1 << 58).map { Clock.rfc3339($0) }
        #expect(texts == texts.sorted())
        #expect(texts.allSatisfy { $0.utf8.count == 30 })
    }

    @Test func neverGoesBack() {
        var last = Clock.monotonic()
        for _ in 0..<1000 {
            let now = Clock.monotonic()
            #expect(now >= last)
            last = now
        }
        #expect(Clock.realtime() > 1_700_000_000_000_000_000)
    }
}

struct ErrnoTests {
    @Test func namesAndWords() {
        let error = SystemError("open", Bytes("/a\n"), errno: 2)
        #expect(error.name == "ENOENT")
        #expect(error.description == "open /a\\n: no such file or directory")
        #expect(SystemError("read", errno: 9999).name == "E9999")
        let failure = Failure("x.y", "can't open it", error, exitCode: 2)
        #expect(failure.message == "can't open it: no such file or directory")
        #expect(failure.errno == 2 && failure.exitCode == 2)
    }
}
