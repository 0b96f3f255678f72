// Which changes are applied; and that a journal says what was written, also when it was cut off.

import AegixSystem
import Testing

@testable import AegixWorkspace

@Suite struct SelectionTests {
    private static func entry(_ kind: Entry.Kind, digest: String? = "aa") -> Entry {
        Entry(
            kind, mode: 0o755, size: 1, modified: 7, digest: kind == .file ? digest : nil,
            identity: .init(device: 1, inode: 2, changed: 3, links: 1))
    }

    private static func change(_ path: String, _ before: Entry.Kind?, _ after: Entry.Kind?) -> Change {
        Change(
            Bytes(path), after == nil ? .deleted : before == nil ? .added : .modified, before: before.map { entry($0) },
            after: after.map { entry($0) })
    }

    private func select(_ changes: [Change], protected: Bool = false, only: [String]? = nil) -> Selection {
        Selection(ChangeList(changes), includesProtected: protected) { path in
            only.map { $0.contains(path.text ?? "") } ?? true
        }
    }

    private func paths(_ selection: Selection) -> [String] { selection.chosen.map { $0.path.shown } }

    @Test func protectedIsLeftOutUnlessAsked() {
        var hook = Self.change(".git/hooks/x", nil, .file)
        hook.flags = [.protected]
        let changes = [hook, Self.change("a", .file, .file)]
        let plain = select(changes)
        #expect(paths(plain) == ["a"] && plain.leftOut == [.init(path: hook.path, reason: .protected)])
        #expect(paths(select(changes, protected: true)) == [".git/hooks/x", "a"])
    }

    @Test func aDirectoryStaysWhileSomethingProtectedStaysInIt() {
        var inner = Self.change("d/keep", .file, nil)
        inner.flags = [.protected]
        let changes = [Self.change("d", .directory, nil), inner, Self.change("d/x", .file, nil)]
        let selection = select(changes)
        #expect(paths(selection) == ["d/x"])
        #expect(selection.leftOut.first == .init(path: Bytes("d"), reason: .holds(Bytes("d/keep"))))
    }

    @Test func newDirectoriesComeAlongAndReplacedOnesDont() {
        let changes = [
            Self.change("n", nil, .directory), Self.change("n/a", nil, .file), Self.change("n/b", nil, .file),
            Self.change("r", .file, .directory), Self.change("r/a", nil, .file),
        ]
        #expect(paths(select(changes, only: ["n/a"])) == ["n", "n/a"])
        let replaced = select(changes, only: ["r/a"])
        #expect(replaced.chosen.isEmpty && replaced.leftOut == [.init(path: Bytes("r/a"), reason: .needs(Bytes("r")))])
    }

    @Test func whatIsUnknownOrSpecialIsLeftOut() {
        var unread = Self.change("u", nil, .file)
        unread.after?.digest = nil
        let selection = select([Self.change("f", nil, .fifo), unread])
        #expect(selection.chosen.isEmpty && selection.leftOut.map(\.reason) == [.special, .undigested])
    }

    @Test func aJournalIsReadUpToWhereItWasCut() {
        let head = Journal.Head(
            verb: .apply, run: "r", workspace: [0xFF, 0x0A], device: .max, inode: 1, staging: Bytes(".aegix"),
            copies: true, changes: 2, time: 5)
        var step = Step(verb: .exchange, path: [0xFE], slot: 3, old: Image(Self.entry(.file)))
        step.new = Image(
            [.init(path: [], entry: Self.entry(.directory)), .init(path: Bytes("x"), entry: Self.entry(.file))],
            isWhole: false)
        step.oldAttributes = FileAttributes(mode: 0o4755, modified: nil, extended: [.init(name: [1], value: [0, 255])])
        step.newAttributes = FileAttributes(mode: 0o600, modified: -9, extended: [])
        let bytes = Journal.encode(head) + Journal.encode([step, step.inverse]) + Journal.encode(.done)
        #expect(Journal.decode(bytes) == Journal(head: head, steps: [step, step.inverse], state: .done))
        #expect(step.inverse.inverse == step)
        // Whatever a crash leaves: never `ready` without all the steps.
        for length in bytes.indices {
            guard let journal = Journal.decode(Bytes(bytes[..<length])) else {
                #expect(length < Journal.encode(head).count)
                continue
            }
            #expect(journal.state == .begun || journal.steps.count == 2)
            #expect(journal.state != .done)
        }
    }
}
