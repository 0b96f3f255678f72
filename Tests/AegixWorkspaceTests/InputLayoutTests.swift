// Side effects: a directory of its own for each test, removed at the end.

import AegixSystem
import Foundation
import Testing

@testable import AegixWorkspace

@Suite final class InputLayoutTests {
    private let top: String

    init() throws {
        var template = Array((NSTemporaryDirectory() + "/aegix-layout-XXXXXX").utf8CString)
        top = String(cString: try #require(mkdtemp(&template)))
        mkdir(top + "/w", 0o700)
    }

    deinit { try? FileManager.default.removeItem(atPath: top) }

    private func lay(_ inputs: [Input], copied: UInt64 = 1 << 30) throws -> InputLayout {
        var list = InputList(.all)
        list.inputs = [Input([], .directory)] + inputs
        list.inputs[0].mode = 0o755
        let layout = InputLayout(list, owner: nil, longestCopied: copied)
        try layout.make(
            in: try Tree(at: Bytes(top + "/w")), from: try Descriptor.open(Bytes(top), O_RDONLY | O_DIRECTORY))
        return layout
    }

    private func facts(_ name: String) throws -> FileFacts? { try Tree(at: Bytes(top + "/w")).facts(name: Bytes(name)) }

    /// Of which a file system may know fewer.
    @Test(arguments: [Int64.min, .min + 1, -1_000_000_001, -1, 0, 1, .max])
    func anyTime(_ modified: Int64) throws {
        var input = Input(Bytes("a"), .file)
        (input.mode, input.modified) = (0o644, modified)
        _ = try lay([input])
        let found = try #require(try facts("a"))
        if (-2_000_000_000..<2_000_000_000).contains(modified / 1_000_000_000) { #expect(found.modified == modified) }
    }

    /// A small bundle fills no disk.
    @Test func oneContentUnderManyNames() throws {
        let digest = SHA256.hex(Bytes("content"))
        mkdir(top + "/inputs", 0o700)
        try Data("content".utf8).write(to: URL(fileURLWithPath: "\(top)/inputs/\(digest)"))
        let inputs = (0..<9).map { number in
            var input = Input(Bytes("f\(number)"), .file)
            (input.mode, input.size, input.digest, input.isKept) = (0o644, 7, digest, true)
            return input
        }
        let fault = #expect(throws: InputLayout.Fault.self) { try lay(inputs, copied: 60) }
        #expect(fault?.path == Bytes("f8") && fault?.error.errno == EFBIG)
    }

    @Test func aLinkOfWhichNobodyKnowsWhereItPointed() throws {
        var link = Input(Bytes("l"), .symlink)
        link.reason = .secret
        #expect(try lay([link]).missing == [link])
        #expect(try facts("l") == nil)
    }

    /// A policy that denies it again looks into it first.
    @Test func whatWasDeniedIsntClosed() throws {
        var (directory, file) = (Input(Bytes("d"), .directory), Input(Bytes("f"), .file))
        (directory.reason, file.reason) = (.denied, .denied)
        _ = try lay([directory, file])
        #expect(try facts("d")?.permissions == 0o700 && facts("f")?.permissions == 0o600)
    }
}
