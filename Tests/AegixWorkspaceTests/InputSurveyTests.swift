// Side effects: a directory of its own for each test, removed at the end.

import AegixPolicy
import AegixSystem
import Foundation
import Testing

@testable import AegixWorkspace

@Suite final class InputSurveyTests {
    private let top: String
    private var workspace: Bytes { Bytes(top + "/w") }
    private var place: Bytes { Bytes(top + "/inputs") }

    init() throws {
        var template = Array((NSTemporaryDirectory() + "/aegix-inputs-XXXXXX").utf8CString)
        let made = try #require(mkdtemp(&template))
        top = try #require(realpath(made, nil).map { String(cString: $0) })
        mkdir(top + "/w", 0o755)
        mkdir(top + "/inputs", 0o700)
    }

    deinit { try? FileManager.default.removeItem(atPath: top) }

    private func write(_ name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(top)/w/\(name)"))
    }

    private func ground(_ began: UInt64? = nil) throws -> InputGround {
        let facts = try FileFacts(of: try Tree(at: workspace).descriptor)
        return InputGround(
            workspace: workspace, (facts.device, facts.inode), identity: .caller, began: Int64(began ?? Clock.tick()))
    }

    private func survey(
        _ ground: InputGround, _ mode: InputList.Mode? = .all, _ bounds: InputBounds = InputBounds()
    ) throws -> (InputFindings, [String: Input]) {
        try? FileManager.default.removeItem(atPath: top + "/inputs")
        mkdir(top + "/inputs", 0o700)
        let found = InputSurvey.survey(ground, keeps: mode, into: { [place] in place }, bounds)
        let inputs = (found.list?.inputs ?? found.told).map { ($0.path.shown, $0) }
        return (found, Dictionary(uniqueKeysWithValues: inputs))
    }

    private var kept: Set<String> { Set((try? FileManager.default.contentsOfDirectory(atPath: top + "/inputs")) ?? []) }

    @Test func eachContentOnce() throws {
        try write("a", "same")
        try write("b", "same")
        try write("c", String(repeating: "x", count: 300_000))
        try write("empty", "")
        let (found, inputs) = try survey(try ground())
        #expect(found.error == nil && found.contents == 3 && found.bytes == 300_004)
        #expect(inputs["a"]?.digest == SHA256.hex(Bytes("same")) && inputs["a"]?.digest == inputs["b"]?.digest)
        #expect(kept == Set(inputs.values.compactMap(\.digest)))
        #expect(found.list.map { InputList.decode($0.encode()) == $0 } == true)
        let directory = try Descriptor.open(Bytes(top), O_RDONLY | O_DIRECTORY)
        #expect(found.list?.faults(in: directory, most: 9) == [])
        try Data("other".utf8).write(to: URL(fileURLWithPath: "\(top)/inputs/\(SHA256.hex(Bytes("same")))"))
        try Data().write(to: URL(fileURLWithPath: "\(top)/inputs/more"))
        #expect(found.list?.faults(in: directory, most: 9).count == 2)
    }

    @Test func onlyWhatIsOldAndPlainIsKept() throws {
        try write("old", "old")
        try write("touched", "t")
        mkdir(top + "/w/d", 0o755)
        try write("d/in", "in")
        symlink("/etc/passwd", top + "/w/link")
        symlink("d", top + "/w/dirlink")
        mkfifo(top + "/w/fifo", 0o644)
        let tick = Clock.tick()
        try write("touched", "T")
        let (_, inputs) = try survey(try ground(tick))
        #expect(inputs["old"]?.isKept == true && inputs["d/in"]?.isKept == true)
        #expect(inputs["touched"]?.reason == .changed && inputs["touched"]?.digest == nil)
        #expect(inputs["fifo"]?.reason == .special && inputs["fifo"]?.kind == .other)
        #expect(inputs["link"]?.target == Bytes("/etc/passwd") && inputs["link"]?.isKept == false)
        #expect(inputs["dirlink/in"] == nil)
        #expect(kept == [SHA256.hex(Bytes("old")), SHA256.hex(Bytes("in"))])
    }

    @Test func whatWasReadAlone() throws {
        for name in ["read", "not", "appended"] { try write(name, name) }
        mkdir(top + "/w/moved", 0o755)
        try write("moved/in", "in")
        var ground = try ground()
        func path(_ name: String) -> Bytes { Path.join(workspace, Bytes(name)) }
        ground.uses = [
            path("read"): [.read], path("not"): [.written], path("appended"): [.read, .written],
            path("moved"): [.named], path("gone"): [.read],
        ]
        let (found, inputs) = try survey(ground, .read)
        #expect(Set(inputs.values.filter(\.isKept).map(\.path.shown)) == ["read", "appended", "moved/in"])
        #expect(inputs["not"]?.reason == nil && inputs["not"]?.digest == nil)
        let gone = found.told.first { $0.path == Bytes("gone") }
        #expect(gone?.reason == .made && gone?.digest == nil)
        // Nothing is kept, and the same is told.
        let (told, _) = try survey(ground, nil)
        #expect(told.list == nil && told.told.first { $0.path == Bytes("read") }?.digest == SHA256.hex(Bytes("read")))
    }

    @Test func secretsAndWhatIsDenied() throws {
        let secret = "correct-horse-battery"
        try write("holds", "x \(secret) y")
        try write(secret, "named")
        try write("encoded", Base64.encode(Bytes(secret)))
        try write("denied", "d")
        mkdir(top + "/w/hidden", 0o755)
        try write("hidden/in", "in")
        try write("plain", "plain")
        symlink("/\(secret)", top + "/w/link")
        var ground = try ground()
        ground.redactor = Redactor([Secret(name: "S", value: Bytes(secret), isFile: false)])
        ground.hidden = [Path.join(workspace, Bytes("hidden"))]
        ground.denied = [try PathPattern(Bytes("\(top)/w/denied"))]
        let (found, inputs) = try survey(ground)
        #expect(inputs["holds"]?.reason == .secret && inputs["holds"]?.digest == nil)
        #expect(inputs["encoded"]?.reason == .secret && inputs["link"]?.reason == .secret)
        #expect(inputs["link"]?.target == nil && found.nameless == 1)
        #expect(inputs["denied"]?.reason == .denied && inputs["denied"]?.size == 0)
        #expect(inputs["hidden"]?.reason == .denied && inputs["hidden/in"] == nil)
        #expect(kept == [SHA256.hex(Bytes("plain"))])
        let text = String(decoding: found.list?.encode() ?? [], as: UTF8.self)
        #expect(!text.contains(secret))
    }

    @Test func bounds() throws {
        for name in ["a", "b", "c"] { try write(name, name + "123") }
        mkdir(top + "/w/d", 0o755)
        mkdir(top + "/w/d/e", 0o755)
        var few = InputBounds()
        few.count = 3
        #expect(try survey(try ground(), .all, few).0.cut == [.count])
        var small = InputBounds()
        small.bytes = 9
        let (found, inputs) = try survey(try ground(), .all, small)
        #expect(found.cut == [.bytes] && inputs["c"]?.reason == .bytes && inputs["b"]?.isKept == true)
        var flat = InputBounds()
        flat.depth = 1
        let (_, top) = try survey(try ground(), .all, flat)
        #expect(top["d"]?.reason == .depth && top["d/e"] == nil)
        var hasty = InputBounds()
        hasty.time = 0
        #expect(try survey(try ground(), .all, hasty).0.cut.contains(.time))
    }

    @Test func aWorkspaceThatLiesElsewhere() throws {
        try write("a", "read")
        var ground = try ground()
        let inside = Bytes("/nowhere/project")
        ground.uses[Bytes("/nowhere/project/a")] = [.read]
        (ground.source, ground.workspace) = (ground.workspace, inside)
        let (found, inputs) = try survey(ground, nil)
        #expect(found.error == nil && inputs["a"]?.digest == SHA256.hex(Bytes("read")) && inputs["a"]?.uses == [.read])
    }

    @Test func anotherWorkspaceIsNone() throws {
        var ground = try ground()
        ground.directory.inode += 1
        let (found, _) = try survey(ground)
        #expect(found.list == nil && found.error != nil && kept == [])
    }
}
