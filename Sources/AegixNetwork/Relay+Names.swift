// Side effects: answers the sandbox's lookups. A name that isn't allowed causes no packet on the host.

import AegixPolicy
import AegixSystem
import CAegix
import Glibc

extension Relay {
    func answerNames() {
        var room = Bytes(repeating: 0, count: 4096)
        for _ in 0..<256 {
            var from = sockaddr_in()
            var size = socklen_t(MemoryLayout<sockaddr_in>.size)
            let count = withUnsafeMutablePointer(to: &from) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                    recvfrom(sockets.names, &room, room.count, Int32(MSG_DONTWAIT), $0, &size)
                }
            }
            if count <= 0 { return }
            do throws(DNSQuestion.Failure) {
                answer(try DNSQuestion(Bytes(room[..<count])), from)
            } catch {
                if case .malformed(let id) = error { send(DNSAnswer.malformed(id), to: from) }
            }
        }
    }

    private func answer(_ question: DNSQuestion, _ from: sockaddr_in) {
        func reply(_ answer: DNSAnswer) { send(answer.bytes(to: question), to: from) }
        if !question.isInternet { return reply(.notImplemented) }
        let name = HostName.canonical(question.name)
        let verdict = decision.lookup(name)
        var event = NetworkEvent(
            .lookup, time: Clock.realtime(), name: name.map { Bytes($0) } ?? question.name,
            isAllowed: verdict.isAllowed,
            rule: verdict.rule)
        if case .ask(let rule) = verdict, let name {
            let isAsked = asked.take(NameQuestion(name: name, rule: rule, origin: decision.askedBy)) {
                $0.lookups.append((question, from))
            }
            if isAsked { return }
            event.rule = "\(rule): \(AskedNames.exhausted)"
        }
        guard let name, verdict.isAllowed else {
            event.errno = ENOENT
            log.add(event)
            return reply(.noSuchName)
        }
        if find(name, question, from) { log.add(event) }
    }

    /// Answers for a name that is allowed. false: a question too many isn't answered, and will be asked again.
    func find(_ name: String, _ question: DNSQuestion, _ from: sockaddr_in) -> Bool {
        func reply(_ answer: DNSAnswer) { send(answer.bytes(to: question), to: from) }
        let now = Clock.monotonic()
        if let known = names.entry(named: name), known.expires > now {
            let left = UInt32((known.expires - now) / 1_000_000_000)
            reply(question.type == DNSQuestion.address ? .address(known.inside.bytes, ttl: left) : .nothing)
            return true
        }
        return resolver?.resolve(name) { [weak self] found in
            guard let self else { return }
            switch found {
            case .addresses(let addresses, let seconds):
                guard let (entry, good) = names.learn(name, addresses, seconds: seconds, now: Clock.monotonic()) else {
                    return reply(.failed)
                }
                reply(question.type == DNSQuestion.address ? .address(entry.inside.bytes, ttl: good) : .nothing)
            case .noSuchName: reply(.noSuchName)
            case .nothing: reply(.nothing)
            case .failed: reply(.failed)
            }
        } == true
    }

    /// Nobody waits for one that is lost: it is asked for again.
    func send(_ message: Bytes, to target: sockaddr_in) {
        var target = target
        _ = withUnsafePointer(to: &target) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                sendto(
                    sockets.names, message, message.count, Int32(MSG_DONTWAIT), $0,
                    socklen_t(MemoryLayout<sockaddr_in>.size))
            }
        }
    }
}
