// Side effects: an open connection: its beginning judged, its bytes moved, its end passed on as it came.

import AegixPolicy
import AegixSystem
import CAegix
import Glibc

extension Relay {
    /// Edge-triggered: what can't go on is taken up when it can.
    private static let events = AEGIX_READABLE | AEGIX_WRITABLE | AEGIX_HALF_CLOSED | AEGIX_EDGE

    func open(_ flow: Flow, _ descriptor: Int32) {
        flow.state = .open
        flow.inside = descriptor
        pending[flow.number] = nil
        aegix_socket_prepare(flow.inside)
        aegix_socket_prepare(flow.outside)
        // An address that a rule names is allowed by whatever name it goes.
        let place = flow.key.server
        flow.up.isHeld = inspects && !(flow.name == nil && decision.names(place.address, port: place.port))
        if aegix_epoll_add(epoll.raw, flow.inside, Relay.events, Relay.tag(.inside, flow.number)) < 0
            || aegix_epoll_add(epoll.raw, flow.outside, Relay.events, Relay.tag(.outside, flow.number)) < 0
        {
            finish(flow, abort: true)
        }
    }

    func ready(_ flow: Flow, _ events: UInt32, isInside: Bool) {
        let broken = AEGIX_BROKEN | AEGIX_HUNG_UP
        if events & (AEGIX_READABLE | AEGIX_HALF_CLOSED | broken) != 0 {
            if isInside { flow.up.canRead = true } else { flow.down.canRead = true }
        }
        if events & (AEGIX_WRITABLE | broken) != 0 {
            if isInside { flow.down.canWrite = true } else { flow.up.canWrite = true }
        }
        if flow.up.isHeld, isInside, !judge(flow) { return }
        move(flow)
        // What was reset has nothing to say any more, and the other side is to know.
        if events & AEGIX_BROKEN != 0, flows[flow.number] != nil {
            let code = aegix_socket_error(isInside ? flow.inside : flow.outside)
            if code != 0 { finish(flow, abort: true) }
        }
    }

    func move(_ flow: Flow) {
        let up = flow.up.run(from: flow.inside, to: flow.outside, pool)
        let down = up == .broken ? .idle : flow.down.run(from: flow.outside, to: flow.inside, pool)
        if up == .broken || down == .broken { return finish(flow, abort: true) }
        if flow.up.isDone, flow.down.isDone { return finish(flow, abort: false) }
        if up == .more || down == .more { unfinished.insert(flow.number) }
    }

    /// Whether the connection lives on. Judged is what has come so far; what names nobody yet goes on, because no server acts on
    /// half a greeting, and a client of another protocol may wait for its answer. What tells stays in its socket until it is
    /// known to be allowed.
    private func judge(_ flow: Flow) -> Bool {
        while true {
            var room = Bytes(repeating: 0, count: FirstBytes.most)
            let count = aegix_socket_peek(flow.inside, &room, room.count)
            if count <= 0 {
                if count == 0 || errno != EAGAIN { flow.up.isHeld = false }
                return true
            }
            let come = Bytes(room[..<count])
            switch FirstBytes.read(flow.beginning + come) {
            case .nameless:
                flow.up.isHeld = false
                return true
            case .unclear:
                return deny(flow, Bytes("unclear"), "network.inspect: begins like TLS or HTTP and can't be read")
            case .names(let said):
                for name in said {
                    let verdict = verdict(on: name, flow)
                    if !verdict.isAllowed { return deny(flow, name, "network.inspect: \(verdict.rule)") }
                }
                flow.up.isHeld = false
                flow.beginning = []
                return true
            case .more:
                guard aegix_socket_take(flow.inside, &room, come.count) == come.count,
                    aegix_send_now(flow.outside, come, come.count) == come.count
                else {
                    finish(flow, abort: true)
                    return false
                }
                flow.up.count(come.count)
                flow.beginning += come
            }
        }
    }

    private func verdict(on name: Bytes, _ flow: Flow) -> NetworkDecision.Verdict {
        let port = flow.key.server.port
        if let text = name.text, let address = HostAddress(Substring(text)) {
            let isItself = flow.name == nil && address.unmapped == flow.key.server.address
            return isItself
                ? flow.verdict : decision.address(address, port: port, isOwn: false, name: nil)
        }
        let canonical = HostName.canonical(name)
        // What was said of the name itself holds for as long as the connection does.
        if let canonical, canonical == flow.name { return flow.verdict }
        return decision.connect(canonical, port: port)
    }

    private func deny(_ flow: Flow, _ said: Bytes, _ rule: String) -> Bool {
        var event = NetworkEvent(
            .connect, time: Clock.realtime(), pid: flow.pid, name: said, port: flow.key.server.port, isAllowed: false,
            rule: rule)
        event.errno = ECONNRESET
        log.add(event)
        finish(flow, abort: true)
        return false
    }

    func finish(_ flow: Flow, abort: Bool) {
        flows[flow.number] = nil
        if keys[flow.key] === flow { keys[flow.key] = nil }
        pending[flow.number] = nil
        unfinished.remove(flow.number)
        for attempt in flow.attempts {
            attempts[attempt.number] = nil
            close(attempt.descriptor)
        }
        flow.attempts = []
        for descriptor in [flow.inside, flow.outside] where descriptor >= 0 {
            if abort { aegix_socket_abort(descriptor) }
            close(descriptor)
        }
        (flow.inside, flow.outside) = (-1, -1)
        flow.up.release(pool)
        flow.down.release(pool)
        log.update(flow.event) { event in
            event.sent = flow.up.moved
            event.received = flow.down.moved
        }
    }
}
