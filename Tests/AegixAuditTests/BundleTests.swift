import AegixSandbox
import AegixSystem
import AegixWorkspace
import Foundation
import Testing

@testable import AegixAudit

@Suite struct BundleTests {
    /// A state directory with one run that has output, and a bundle of it.
    private struct Made {
        let fixture: Fixture
        let state: StateDirectory
        let id: RunID
        var path: Bytes { fixture.bytes + Bytes("/run.aegix") }

        init() throws {
            fixture = try Fixture()
            state = try fixture.open()
            id = try Sample.id()
            var run = try RunDirectory.begin(Sample.start(id), in: state)
            let log = try run.openLog(.stdout)
            try log.writeAll(Bytes("hello\n"))
            _ = try run.openLog(.stderr)
            var end = Sample.end()
            end.stdout?.bytes = 6
            end.stdout?.captured = 6
            end.stdout?.digest = SHA256.hex(Bytes("hello\n"))
            _ = try run.finish(end)
        }

        @discardableResult func export(_ name: String = "run.aegix", key: SigningKey? = nil) throws -> ExportReport {
            let out = try BundleOutput(fixture.bytes + Bytes("/" + name), replaces: true)
            let report = try out.withFile { (file) throws(Failure) in
                try state.export(
                    id, to: file, BundleRequest(), signing: key.map { BundleSigning(key: $0, predicate: .run) },
                    fileName: name)
            }
            try out.finish()
            return report
        }

        func verify(_ keys: BundleKeys = .none) throws -> Result<BundleVerdict, BundleFault> {
            try BundleReader(path).verify(keys: keys)
        }
    }

    private static func holds(_ result: Result<BundleVerdict, BundleFault>) -> Bool {
        if case .success = result { return true }
        return false
    }

    @Test func everyByteIsHeldAndEveryCut() throws {
        let made = try Made()
        let key = try SigningKey.make()
        try made.export(key: key)
        let keys = BundleKeys([key.publicKey], isNamed: true)
        let verdict = try made.verify(keys).get()
        #expect(verdict.signatures.map(\.holds) == [true] && verdict.index.run == made.id)
        let whole = try made.fixture.file("run.aegix")
        for at in whole.indices {
            var changed = whole
            changed[at] ^= UInt8(1 << (at % 8))
            try made.fixture.write(changed, to: "run.aegix")
            let isTaken = Self.holds(try made.verify(keys))
            #expect(!isTaken, "byte \(at) of \(whole.count)")
        }
        for count in stride(from: 0, to: whole.count, by: 37) {
            try made.fixture.write(Bytes(whole[..<count]), to: "run.aegix")
            let isTaken = Self.holds(try made.verify(keys))
            #expect(!isTaken, "cut at \(count)")
        }
        try made.fixture.write(whole, to: "run.aegix")
        #expect(Self.holds(try made.verify(keys)))
    }

    @Test func noBitOfAnEnvelopeIsFree() throws {
        let key = try SigningKey.make()
        let envelope = try #require(Envelope.sign(Bytes(#"{"_type":"x"}"#), with: key)).json.canonical
        for bit in 0..<envelope.count * 8 {
            var changed = envelope
            changed[bit / 8] ^= UInt8(1 << (bit % 8))
            let isTaken: Bool
            do throws(Envelope.Flaw) {
                _ = try Envelope.parse(changed).verify([key.publicKey])
                isTaken = true
            } catch {
                isTaken = false
            }
            #expect(!isTaken, "bit \(bit)")
        }
    }

    @Test func theSameRunGivesTheSameBytes() throws {
        let made = try Made()
        let one = try made.export("a.aegix")
        let other = try made.export("b.aegix")
        #expect(one.digest == other.digest)
        #expect(try made.fixture.file("a.aegix") == made.fixture.file("b.aegix"))
        #expect(SHA256.hex(try made.fixture.file("a.aegix")) == one.digest)
        #expect(try made.fixture.mode("a.aegix") == 0o600)
    }

    @Test func aDamagedRunHasNoBundle() throws {
        let made = try Made()
        try made.fixture.write(Bytes("hellO\n"), to: "runs/\(made.id)/stdout.log")
        #expect(throws: Failure.self) { try made.export() }
        #expect(try made.fixture.names(".").filter { $0.contains("aegix") }.isEmpty)
    }

    @Test func unpacksWhatHoldsAndLeavesNothingOfWhatDoesNot() throws {
        let made = try Made()
        try made.export()
        let place = made.fixture.path + "/into"
        try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
        func extract(most: UInt64 = 1 << 30) throws {
            let directory = try Descriptor.open(Bytes(place), O_RDONLY | O_DIRECTORY)
            _ = try BundleReader(made.path).extract(into: directory, most: most)
        }
        try extract()
        let names = try made.fixture.names("into")
        #expect(names.contains("audit.json") && names.contains("stdout.log") && names.contains("bundle.json"))
        #expect(try made.fixture.file("into/stdout.log") == Bytes("hello\n"))
        #expect(try made.fixture.mode("into/audit.json") == 0o600)
        // Not into what isn't empty, and what was there stays.
        #expect(throws: Failure.self) { try extract() }
        #expect(try made.fixture.names("into") == names)
        for name in names { try FileManager.default.removeItem(atPath: place + "/" + name) }
        #expect(throws: Failure.self) { try extract(most: 100) }
        #expect(try made.fixture.names("into").isEmpty)
        let whole = try made.fixture.file("run.aegix")
        for at in stride(from: 100, to: whole.count, by: whole.count / 50) {
            var changed = whole
            changed[at] ^= 1
            try made.fixture.write(changed, to: "run.aegix")
            #expect(throws: Failure.self) { try extract() }
            #expect(try made.fixture.names("into").isEmpty, "byte \(at)")
        }
    }

    @Test func framesAreCutByTheContentsAlone() throws {
        var dice = SystemRandomNumberGenerator()
        for count in [0, 1, BundleFrame.length - 1, BundleFrame.length, BundleFrame.length * 3 + 17] {
            let content = Bytes((0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7 / 1000) })
            var results: [Bytes] = []
            for pieces in [1 << 20, 4096, Int.random(in: 1000...100_000, using: &dice)] {
                let packer = try BundlePacker()
                var packed = Bytes()
                let write: BundlePacker.Write = { packed.append(contentsOf: $0) }
                try content.withUnsafeBytes { content in
                    for start in stride(from: 0, to: count, by: pieces) {
                        try packer.feed(
                            UnsafeRawBufferPointer(rebasing: content[start..<min(start + pieces, count)]), write)
                    }
                }
                try packer.finish(write)
                results.append(packed)
            }
            #expect(results[0] == results[1] && results[0] == results[2], "\(count)")
            var unpacked = Bytes()
            let unpacker = try BundleUnpacker()
            try results[0].withUnsafeBytes { packed in
                for start in stride(from: 0, to: packed.count, by: 5) {
                    try unpacker.feed(UnsafeRawBufferPointer(rebasing: packed[start..<min(start + 5, packed.count)])) {
                        (out) throws(BundleFault) in
                        unpacked.append(contentsOf: out)
                    } else: { flaw in
                        BundleFault(nil, 0, flaw.words)
                    }
                }
            }
            #expect(unpacked == content && unpacker.isComplete == (count > 0), "\(count)")
        }
    }

    @Test func namesAndListsHaveOneForm() throws {
        let digest = try #require(ContentDigest(String(repeating: "0a", count: 32)))
        #expect(digest.hex == String(repeating: "0a", count: 32))
        for text in ["", "0a", String(repeating: "0A", count: 32), String(repeating: "g", count: 64)] {
            #expect(ContentDigest(text) == nil, "\(text)")
        }
        var table = BlobTable()
        try table.add(digest, 5)
        #expect(throws: BlobTable.Flaw.self) { try table.add(digest, 5) }
        #expect(table.name(digest, 5, asInput: true) && !table.name(digest, 6, asInput: true))
        #expect(table.blobs[0].isInput && !table.blobs[0].isOutput)
        var index = BundleIndex(run: try Sample.id(), version: "1", build: "b")
        index.leaveOut(.layer, [0xFF, 0x2F], .changed)
        #expect(BundleIndex(index.encoded) == index)
        #expect(BundleIndex(index.encoded + [0x20]) == nil)
        #expect(BundleHeader.size(of: "a", in: BundleHeader.make("a", 77)) == 77)
        #expect(BundleHeader.size(of: "b", in: BundleHeader.make("a", 77)) == nil)
        var splitter = LineSplitter()
        var seen: [Bytes] = []
        for piece in ["a", "b\nc\n\nd", "\n"] {
            let bytes = Bytes(piece)
            let isFine = bytes.withUnsafeBytes {
                splitter.feed($0) { line in
                    seen.append(Bytes(line))
                    return true
                }
            }
            #expect(isFine)
        }
        #expect(seen.map(\.text) == ["ab", "c", "", "d"] && splitter.isComplete && splitter.lines == 4)
    }

    @Test func aFileIsWholeOrNotThere() throws {
        let fixture = try Fixture()
        _ = try fixture.open()
        let path = fixture.bytes + Bytes("/out")
        do {
            let out = try BundleOutput(path, replaces: false)
            try out.write(Bytes("half"))
        }
        #expect(try fixture.names(".").sorted() == ["live"])
        do {
            let out = try BundleOutput(path, replaces: false)
            try out.write(Bytes("whole"))
            try out.finish()
        }
        #expect(try fixture.names(".").sorted() == ["live", "out"])
        #expect(throws: Failure.self) { try BundleOutput(path, replaces: false) }
        try FileManager.default.createSymbolicLink(atPath: fixture.path + "/link", withDestinationPath: "out")
        for replaces in [false, true] {
            #expect(throws: Failure.self) {
                try BundleOutput(fixture.bytes + Bytes("/link"), replaces: replaces)
            }
        }
        #expect(try fixture.file("out") == Bytes("whole"))
    }
}
