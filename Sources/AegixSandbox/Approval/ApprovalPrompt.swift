// Side effects: asks on the controlling terminal.

import AegixSystem
import CAegix
import Glibc

/// A question on /dev/tty, whatever stdin and stdout are. The answer is a word that the prompt shows, made anew each time: type-ahead
/// can't hold it, and the command, which is frozen, can't know it (rule 16).
final class ApprovalPrompt: Approver {
    private let terminal: OpaquePointer
    private let word: String
    private var typed = Bytes()
    private var isClosed = false

    private static let trees = [
        "alder", "aspen", "beech", "birch", "cedar", "hazel", "larch", "maple", "olive", "pine", "rowan", "spruce",
        "walnut",
        "willow", "yew", "elm",
    ]

    /// nil: there is no terminal, or aegix isn't in front of it.
    init?(_ request: ApprovalRequest) {
        guard let terminal = aegix_prompt_open() else { return nil }
        var random: UInt32 = 0
        guard aegix_random(&random, 4) == 4 else {
            aegix_prompt_close(terminal)
            return nil
        }
        self.terminal = terminal
        word = ApprovalPrompt.trees[Int(random % 16)] + "-\(100 + random / 16 % 900)"
        let text =
            "\naegix: \(request.title)\n"
            + request.lines.map { "  \($0)\n" }.joined()
            + "Type `\(word)` to allow \(request.once), `run \(word)` to allow \(request.always); anything else denies it "
            + "(\(request.timeout / 1_000_000_000) s): "
        aegix_prompt_flush(terminal)
        let bytes = Bytes(text)
        if aegix_prompt_write(terminal, bytes, bytes.count) < 0 {
            aegix_prompt_close(terminal)
            return nil
        }
    }

    var readable: Int32 { aegix_prompt_descriptor(terminal) }
    var writable: Int32 { -1 }
    var ending: Int32 { -1 }

    func step() -> ApprovalReply? {
        var room = Bytes(repeating: 0, count: 512)
        let count = read(aegix_prompt_descriptor(terminal), &room, room.count)
        if count < 0 { return errno == EAGAIN || errno == EINTR ? nil : .deny("the terminal went away") }
        if count == 0 { return .deny("unanswered: the terminal's input ended") }
        typed += room.prefix(count)
        if let end = typed.firstIndex(of: UInt8(ascii: "\n")) { return reply(to: Bytes(typed[..<end])) }
        return typed.count > 4096 ? .deny("not the word that was asked for") : nil
    }

    private func reply(to line: Bytes) -> ApprovalReply {
        let words = line.split(whereSeparator: { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }).map {
            String(decoding: $0, as: UTF8.self)
        }
        let by = "the terminal of uid \(getuid())"
        if words == [word] { return ApprovalReply(answer: .once, by: by, message: nil) }
        if words == ["run", word] { return ApprovalReply(answer: .run, by: by, message: nil) }
        return ApprovalReply(answer: .deny, by: by, message: "not the word that was asked for")
    }

    func close() {
        if isClosed { return }
        isClosed = true
        aegix_prompt_close(terminal)
    }

    deinit { close() }
}
