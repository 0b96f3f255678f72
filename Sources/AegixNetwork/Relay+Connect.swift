// Side effects: from a connect's first packet to a connection on the host, or to the refusal that the command gets.

import AegixPolicy
import AegixSystem
import CAegix
import Glibc

extension Relay {
    /// Beside an address that doesn't answer, the next one is tried after this time (RFC 8305).
    private static let stagger: UInt64 = 250_000_000
    /// The command's side answers at once; it is gone if it doesn't.
    private static let patience: UInt64 = 5_000_000_000

    /// Longer than the resolver tries, whatever becomes of it.
    private static let lookup: UInt64 = 20_000_000_000

    /// No client's kernel tries a connect for longer; an answer after that is for its next one.
    private static let connecting: UInt64 = 180_000_000_000

    func see(_ descriptor: Int32, _ family: Int32) {
        var syn = aegix_syn()
        for _ in 0..<1024 {
            let rc = aegix_syn_receive(descriptor, UInt8(family), &syn)
            if rc != 1 { return }
            if syn.family != 0 { begin(syn) }
        }
    }

    private func begin(_ syn: aegix_syn) {
        func place(_ bytes: (UnsafeRawBufferPointer), _ port: UInt16) -> SocketAddress? {
            HostAddress(bytes.prefix(Int32(syn.family) == AF_INET6 ? 16 : 4)).map { SocketAddress($0, port: port) }
        }
        guard let client = withUnsafeBytes(of: syn.client, { place($0, syn.client_port) }),
            let server = withUnsafeBytes(of: syn.server, { place($0, syn.server_port) })
        else { return }
        let key = Flow.Key(client: client, server: server)
        if let known = keys[key] {
            // It was sent again; or the port belongs to a new connect, and the one before is over for the command.
            if known.syn.sequence == syn.sequence { return }
            finish(known, abort: true)
        }
        let flow = Flow(nextNumber(), key, syn, .deny(""), now: Clock.monotonic())
        flow.name = names.entry(at: server.address)?.name
        flow.pid = callers[server]
        judge(arrived: flow)
    }

    /// - wasAsked: it has waited for somebody's answer.
    func judge(arrived flow: Flow, wasAsked: Bool = false) {
        let server = flow.key.server
        let entry = flow.name.flatMap { names.entry(named: $0) }
        var verdict: NetworkDecision.Verdict =
            if let entry {
                decision.connect(entry.name, port: server.port)
            } else {
                decision.address(server.address, port: server.port, isOwn: isOwn(server.address), name: nil)
            }
        if !wasAsked, flows.count >= Relay.mostFlows, verdict.isAllowed || verdict.isAsking {
            verdict = .deny("more than \(Relay.mostFlows) connections at once")
        }
        if case .ask(let rule) = verdict, let entry {
            let question = NameQuestion(
                name: entry.name, port: server.port, pid: flow.pid, rule: rule, origin: decision.askedBy)
            if asked.take(question, { $0.flows.append(flow) }) {
                flow.state = .asked
                flows[flow.number] = flow
                keys[flow.key] = flow
                set(flow, due: Clock.monotonic() &+ Relay.connecting)
                return
            }
            verdict = .deny("\(rule): \(AskedNames.exhausted)")
        }
        flow.verdict = verdict
        if !verdict.isAllowed {
            record(
                flow, address: entry == nil ? server.address : nil, isAllowed: false, rule: verdict.rule, ECONNREFUSED)
            refuse(flow, ECONNREFUSED)
            if wasAsked { finish(flow, abort: true) }
            return
        }
        flow.state = .resolving
        pending[flow.number] = nil
        flows[flow.number] = flow
        keys[flow.key] = flow
        guard let entry else {
            flow.candidates = [server.address]
            return start(flow)
        }
        decision.use(entry.name)
        let now = Clock.monotonic()
        if entry.expires > now {
            flow.candidates = entry.outside
            return start(flow)
        }
        set(flow, due: now &+ Relay.lookup)
        let isAsked = resolver?.resolve(entry.name) { [weak self] found in
            guard let self, flows[flow.number] === flow, flow.state == .resolving else { return }
            if case .addresses(let addresses, let seconds) = found {
                _ = names.learn(entry.name, addresses, seconds: seconds, now: Clock.monotonic())
                flow.candidates = addresses
            }
            start(flow)
        }
        if isAsked != true { start(flow) }
    }

    private func isOwn(_ address: HostAddress) -> Bool { SocketAddress(address, port: 0).isOwn }

    /// Each address is judged as it is: what a name leads to is nobody's word.
    private func start(_ flow: Flow) {
        flow.state = .connecting
        let name = flow.name == nil ? nil : flow.verdict
        var open: [HostAddress] = []
        for address in flow.candidates {
            switch decision.address(address, port: flow.key.server.port, isOwn: isOwn(address), name: name) {
            case .allow: open.append(address)
            case .deny(let rule), .ask(let rule): flow.denial = flow.denial ?? (address, rule)
            }
        }
        flow.candidates = open
        next(flow)
    }

    private func next(_ flow: Flow) {
        while let address = flow.candidates.first {
            flow.candidates.removeFirst()
            let descriptor = SocketAddress(address, port: flow.key.server.port).with(aegix_connect_host)
            if descriptor < 0 {
                note(flow, address, errno)
                continue
            }
            let number = nextNumber()
            flow.attempts.append(.init(number: number, descriptor: descriptor, address: address))
            attempts[number] = flow
            aegix_epoll_add(
                epoll.raw, descriptor, AEGIX_WRITABLE | AEGIX_EDGE, Relay.tag(.attempt, number))
            set(flow, due: flow.candidates.isEmpty ? .max : Clock.monotonic() &+ Relay.stagger)
            return
        }
        if flow.attempts.isEmpty { fail(flow) }
    }

    /// A refusal says more than silence, and silence more than having no way there.
    private func note(_ flow: Flow, _ address: HostAddress, _ code: Int32) {
        func weight(_ code: Int32) -> Int { code == ECONNREFUSED ? 2 : code == ETIMEDOUT ? 1 : 0 }
        if let known = flow.refusal, weight(known.errno) >= weight(code) { return }
        flow.refusal = (address, code)
    }

    func attempted(_ number: UInt64) {
        guard let flow = attempts.removeValue(forKey: number),
            let index = flow.attempts.firstIndex(where: { $0.number == number })
        else { return }
        let attempt = flow.attempts.remove(at: index)
        aegix_epoll_remove(epoll.raw, attempt.descriptor)
        let code = aegix_socket_error(attempt.descriptor)
        if code != 0 {
            close(attempt.descriptor)
            note(flow, attempt.address, code)
            return next(flow)
        }
        flow.outside = attempt.descriptor
        drop(&flow.attempts)
        flow.candidates = []
        flow.state = .admitted
        set(flow, due: Clock.monotonic() &+ Relay.patience)
        flow.event = record(flow, address: attempt.address, isAllowed: true, rule: flow.verdict.rule, 0)
        if aegix_syn_admit(raw(flow), &flow.syn) < 0 { finish(flow, abort: true) }
    }

    private func drop(_ list: inout [Flow.Attempt]) {
        for attempt in list {
            attempts[attempt.number] = nil
            close(attempt.descriptor)
        }
        list = []
    }

    private func fail(_ flow: Flow) {
        if let refusal = flow.refusal {
            record(flow, address: refusal.address, isAllowed: true, rule: flow.verdict.rule, refusal.errno)
            refuse(flow, refusal.errno)
        } else if let denial = flow.denial {
            record(flow, address: denial.address, isAllowed: false, rule: denial.rule, ECONNREFUSED)
            refuse(flow, ECONNREFUSED)
        } else {
            // The name has no address any more.
            record(flow, address: nil, isAllowed: true, rule: flow.verdict.rule, EHOSTUNREACH)
            refuse(flow, EHOSTUNREACH)
        }
        finish(flow, abort: true)
    }

    private func refuse(_ flow: Flow, _ code: Int32) {
        switch code {
        case ETIMEDOUT: return  // as the network did: the command's own patience ends about now
        case EHOSTUNREACH, ENETUNREACH, ENETDOWN, EHOSTDOWN, EADDRNOTAVAIL, EAFNOSUPPORT:
            aegix_syn_unreachable(raw(flow), &flow.syn)
        default: aegix_syn_refuse(raw(flow), &flow.syn)
        }
    }

    private func raw(_ flow: Flow) -> Int32 { Int32(flow.syn.family) == AF_INET6 ? sockets.send6 : sockets.send }

    @discardableResult
    private func record(
        _ flow: Flow, address: HostAddress?, isAllowed: Bool, rule: String, _ code: Int32
    ) -> Int? {
        var event = NetworkEvent(
            .connect, time: Clock.realtime(), pid: flow.pid, name: flow.name.map { Bytes($0) }, address: address,
            port: flow.key.server.port, isAllowed: isAllowed, rule: rule)
        event.errno = code
        return log.add(event)
    }

    func late(_ flow: Flow, _ now: UInt64) {
        flow.due = .max
        if flow.state == .asked { return finish(flow, abort: true) }
        if flow.state == .resolving { return start(flow) }
        if flow.state == .connecting { return next(flow) }
        if flow.state == .admitted { finish(flow, abort: true) }
    }
}
