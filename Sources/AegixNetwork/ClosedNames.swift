// Side effects: answers the lookups of a sandbox without a network. Nothing of them leaves the machine.

import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// A resolver's port on the sandbox's own loopback, where a resolver without a word in resolv.conf asks. No name exists there; each is
/// recorded, so that the record can say what the command wanted.
public final class ClosedNames {
    private let socket: Descriptor
    private let hostname: String
    private let log: NetworkLog

    /// - hostname: the sandbox's own, which /etc/hosts has for IPv4 only.
    public init(_ socket: consuming Descriptor, hostname: String, log: NetworkLog) {
        self.socket = socket
        self.hostname = hostname
        self.log = log
    }

    public var pollable: Int32 { socket.raw }

    public func answer() {
        var room = Bytes(repeating: 0, count: 4096)
        for _ in 0..<256 {
            var from = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let count = withUnsafeMutablePointer(to: &from) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(socket.raw, &room, room.count, Int32(MSG_DONTWAIT), $0, &size)
                }
            }
            if count <= 0 { return }
            do throws(DNSQuestion.Failure) {
                let question = try DNSQuestion(Bytes(room[..<count]))
                if question.name != Bytes(hostname) { note(question) }
                send(DNSAnswer.noSuchName.bytes(to: question), &from)
            } catch {
                if case .malformed(let id) = error { send(DNSAnswer.malformed(id), &from) }
            }
        }
    }

    private func note(_ question: DNSQuestion) {
        let name = HostName.canonical(question.name)
        var event = NetworkEvent(
            .lookup, time: Clock.realtime(), name: name.map { Bytes($0) } ?? question.name, isAllowed: false,
            rule: name == nil ? "not a host name" : "network.mode = \"none\"")
        event.errno = ENOENT
        log.add(event)
    }

    private func send(_ message: Bytes, _ target: inout sockaddr_in) {
        _ = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(
                    socket.raw, message, message.count, Int32(MSG_DONTWAIT), $0,
                    socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
