// Side effects: runs a program of the host's, outside the sandbox, and reads its answer.

import AegixSystem
import CAegix
import Glibc

/// `approval.command`. The request goes to its stdin as one line of JSON, the decision comes from its stdout; anything but a
/// clear yes is a no.
final class ApprovalCommand: Approver {
    private var input: Descriptor
    private var output: Descriptor
    private let process: Descriptor
    private let pid: pid_t
    private var request: ArraySlice<UInt8>
    private var reply = Bytes()
    private var isClosed = false

    private static let longest = 64 << 10

    init(_ argv: [Bytes], _ request: JSON) throws(Failure) {
        func refuse(_ call: String) -> Failure {
            Failure("approval.command", "can't start \(argv[0].shown)", SystemError.last(call))
        }
        var (theirs, ours): ([Int32], [Int32]) = ([-1, -1], [-1, -1])
        if aegix_pipe(&theirs) < 0 { throw refuse("pipe") }
        let theirInput = Descriptor(owning: theirs[0])
        let input = Descriptor(owning: theirs[1])
        if aegix_pipe(&ours) < 0 { throw refuse("pipe") }
        let output = Descriptor(owning: ours[0])
        let theirOutput = Descriptor(owning: ours[1])
        if aegix_set_nonblocking(input.raw) < 0 || aegix_set_nonblocking(output.raw) < 0 { throw refuse("fcntl") }
        let memory = LaunchMemory()
        var pid: pid_t = 0
        let environment = UnsafeRawPointer(aegix_environment()).assumingMemoryBound(to: UnsafePointer<CChar>?.self)
        let process = aegix_helper_start(memory.strings(argv), environment, theirInput.raw, theirOutput.raw, &pid)
        if process < 0 { throw refuse("fork") }
        self.process = Descriptor(owning: process)
        self.pid = pid
        self.input = input
        self.output = output
        self.request = (request.canonical + [UInt8(ascii: "\n")])[...]
    }

    var readable: Int32 { output.isOpen ? output.raw : -1 }
    var writable: Int32 { input.isOpen ? input.raw : -1 }
    var ending: Int32 { process.raw }

    func step() -> ApprovalReply? {
        write()
        if !read() { return .deny("the command answered with more than 64 KiB") }
        var ended = pollfd(fd: process.raw, events: Int16(POLLIN), revents: 0)
        if poll(&ended, 1, 0) != 1 { return nil }
        if !read() { return .deny("the command answered with more than 64 KiB") }
        isClosed = true
        let status = aegix_helper_end(pid)
        if status != 0 {
            let how = status & 0x7f == 0 ? "exited with \(status >> 8 & 0xff)" : "died of signal \(status & 0x7f)"
            return .deny("the command \(how)")
        }
        return ApprovalCommand.parse(reply)
    }

    /// Pure. `{"decision": "once" | "run" | "deny", "by": …, "message": …}` and nothing else around it.
    static func parse(_ bytes: Bytes) -> ApprovalReply {
        let garbage = ApprovalReply.deny("the command's answer isn't a decision")
        let json: JSON
        do { json = try JSON.parse(bytes) } catch { return garbage }
        let by = json["by"]?.string
        let message = json["message"]?.string
        switch json["decision"]?.string {
        case "once", "allow": return ApprovalReply(answer: .once, by: by, message: message)
        case "run": return ApprovalReply(answer: .run, by: by, message: message)
        case "deny": return ApprovalReply(answer: .deny, by: by, message: message)
        default: return garbage
        }
    }

    func close() {
        if isClosed { return }
        isClosed = true
        _ = aegix_helper_end(pid)
    }

    private func write() {
        while input.isOpen, !request.isEmpty {
            let count = request.withUnsafeBytes { Glibc.write(input.raw, $0.baseAddress, $0.count) }
            if count > 0 {
                request = request.dropFirst(count)
            } else if count < 0, errno == EINTR {
                continue
            } else {
                // It needn't read what it is asked.
                if errno != EAGAIN { input = Descriptor.none }
                return
            }
        }
        if request.isEmpty { input = Descriptor.none }
    }

    private func read() -> Bool {
        var room = Bytes(repeating: 0, count: 4096)
        while output.isOpen {
            let count = Glibc.read(output.raw, &room, room.count)
            if count > 0 {
                reply += room.prefix(count)
                if reply.count > ApprovalCommand.longest { return false }
            } else if count < 0, errno == EINTR {
                continue
            } else {
                if count == 0 { output = Descriptor.none }
                return true
            }
        }
        return true
    }
}
