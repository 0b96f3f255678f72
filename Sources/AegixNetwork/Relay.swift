// Side effects: the relay's sockets on both sides, and its namespace. Everything waits in one epoll descriptor.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// Brings what the policy allows from the sandbox's network namespace to the host's.
///
/// A connect: its first packet is dropped by a listener's filter and seen by a raw socket ─► decided ─► connected on the
/// host ─► the packet is sent once more, marked, and let in ─► spliced. What the host answers is what the command gets, at the
/// time when it comes, whether it waits for it or not. Not done here: any decision; that is NetworkDecision's.
public final class Relay {
    var decision: NetworkDecision
    let log: NetworkLog
    let inspects: Bool
    let names = NameTable()
    var asked = AskedNames()
    let pool = PipePool()
    var resolver: Resolver?
    var flows: [UInt64: Flow] = [:]
    var keys: [Flow.Key: Flow] = [:]
    /// Those that a time is set for.
    var pending: [UInt64: Flow] = [:]
    /// Had more to move than one turn takes.
    var unfinished: Set<UInt64> = []
    /// Attempts to connect on the host, by their number.
    var attempts: [UInt64: Flow] = [:]
    /// Who asked for a place last.
    var callers: [SocketAddress: Int32] = [:]
    private var helper = aegix_relay()
    private(set) var sockets = aegix_relay_sockets(names: -1, seen: -1, seen6: -1, send: -1, send6: -1)
    private var listeners: [UInt16: Int32] = [:]
    let epoll: Descriptor
    private var lastNumber: UInt64 = 0
    var nextDue: UInt64 = .max

    /// Connections and attempts at once; further ones are refused.
    static let mostFlows = 4096
    private static let mostListeners = 1024

    enum Kind: UInt64 {
        case names = 1
        case seen, seen6, listener, inside, outside, attempt, resolver
    }

    static func tag(_ kind: Kind, _ number: UInt64) -> UInt64 { kind.rawValue << 56 | number }

    /// Joins the namespaces of `pid`, whose first steps wait for that. Nothing is connected before `connect`.
    public init(_ plan: NetworkPlan, log: NetworkLog, pid: Int32) throws(Failure) {
        decision = NetworkDecision(plan)
        self.log = log
        inspects = plan.inspect
        epoll = Descriptor(owning: aegix_epoll_create())
        if !epoll.isOpen { throw Failure("network.relay", "can't start the relay", SystemError.last("epoll_create1")) }
        let routes = plan.routes.map { range in
            var route = aegix_route()
            route.family = UInt8(range.address.isIPv6 ? AF_INET6 : AF_INET)
            route.bits = UInt8(range.prefix)
            withUnsafeMutableBytes(of: &route.address) { $0.copyBytes(from: range.address.bytes) }
            return route
        }
        if aegix_relay_start(&helper, pid, routes, routes.count) < 0 {
            throw Failure("network.relay", "can't start the relay", SystemError.last("clone"))
        }
        if aegix_relay_joined(&helper) < 0 {
            let error = SystemError.last("setns")
            end()
            throw Failure("network.relay", "the relay can't join the sandbox's namespaces", error)
        }
        resolver = try Resolver(servers: plan.resolvers, epoll: epoll.raw, tag: Relay.tag(.resolver, 0))
    }

    deinit { end() }

    /// Waits until the way between sandbox and relay is there.
    public func connect() throws(Failure) {
        var stage: UInt32 = 0
        if aegix_relay_receive(&helper, &sockets, &stage) < 0 {
            let error = SystemError.last("netlink")
            let what =
                switch aegix_relay_stage(rawValue: stage) {
                case AEGIX_RELAY_LINK:
                    "can't make a pair of virtual interfaces, which network.mode = \"allow\" and \"guarded\" need "
                        + "(the kernel's module veth: `modprobe veth`)"
                case AEGIX_RELAY_ROUTE: "can't lay the sandbox's routes"
                case AEGIX_RELAY_SOCKET: "can't make the relay's sockets"
                default: "can't set up the relay's network namespace"
                }
            throw Failure("network.relay", what, error)
        }
        watch(sockets.names, .names, 0)
        watch(sockets.seen, .seen, 0)
        if sockets.seen6 >= 0 { watch(sockets.seen6, .seen6, 0) }
        aegix_raise_open_files()
    }

    public var pollable: Int32 { epoll.raw }
    /// Looks again at once, without waiting.
    public var isBusy: Bool { !unfinished.isEmpty }

    /// By the monotonic clock.
    public var nextLook: UInt64? {
        let patience = resolver?.patience.map { Clock.monotonic() &+ $0 }
        let next = min(patience ?? .max, nextDue)
        return next == .max ? nil : next
    }

    func nextNumber() -> UInt64 {
        lastNumber += 1
        return lastNumber
    }

    /// Level-triggered: these are emptied at each look.
    private func watch(_ descriptor: Int32, _ kind: Kind, _ number: UInt64) {
        aegix_epoll_add(epoll.raw, descriptor, AEGIX_READABLE, Relay.tag(kind, number))
    }

    // MARK: - A command asks for a place

    public func isRouted(_ address: HostAddress) -> Bool { decision.isRouted(address) }

    /// Before its connect goes on: the first packet needs a listener that drops it, or the kernel would refuse it.
    public func expect(_ place: SocketAddress, pid: Int32) {
        if callers.count > 4096 { callers.removeAll(keepingCapacity: true) }
        callers[place] = pid
        if place.port == 0 || listeners[place.port] != nil { return }
        if listeners.count >= Relay.mostListeners {
            // Those of open connections stay connected; a connect that is under way there is refused.
            for descriptor in listeners.values { close(descriptor) }
            listeners.removeAll(keepingCapacity: true)
        }
        let made = aegix_relay_listener(&helper, place.port)
        if made < 0 { return }
        listeners[place.port] = made
        watch(made, .listener, UInt64(place.port))
    }

    // MARK: - The loop

    /// Everything that is ready, without waiting.
    public func turn() {
        let again = unfinished
        unfinished.removeAll(keepingCapacity: true)
        for number in again { if let flow = flows[number] { move(flow) } }
        let room: Int32 = 64
        withUnsafeTemporaryAllocation(of: aegix_ready.self, capacity: Int(room)) { ready in
            guard let base = ready.baseAddress else { return }
            for _ in 0..<8 {
                let count = aegix_epoll_ready(epoll.raw, base, room)
                for index in 0..<Int(count) { handle(ready[index].tag, ready[index].events) }
                if count < room { return }
            }
        }
        checkTime()
    }

    private func handle(_ tag: UInt64, _ events: UInt32) {
        let number = tag & (1 << 56 - 1)
        switch Kind(rawValue: tag >> 56) {
        case .names: answerNames()
        case .seen: see(sockets.seen, AF_INET)
        case .seen6: see(sockets.seen6, AF_INET6)
        case .listener: accept(UInt16(truncatingIfNeeded: number))
        case .inside: flows[number].map { ready($0, events, isInside: true) }
        case .outside: flows[number].map { ready($0, events, isInside: false) }
        case .attempt: attempted(number)
        case .resolver: resolver?.ready(Int32(truncatingIfNeeded: number), events)
        case nil: return
        }
    }

    private func checkTime() {
        if resolver?.patience == 0 { resolver?.late() }
        let now = Clock.monotonic()
        if now < nextDue { return }
        nextDue = .max
        for flow in Array(pending.values) {
            if flow.due <= now { late(flow, now) }
            if pending[flow.number] != nil { nextDue = min(nextDue, flow.due) }
        }
    }

    func set(_ flow: Flow, due: UInt64) {
        flow.due = due
        pending[flow.number] = flow
        nextDue = min(nextDue, due)
    }

    private func accept(_ port: UInt16) {
        guard let listener = listeners[port] else { return }
        while true {
            var peer = sockaddr_in6()
            var local = sockaddr_in6()
            let descriptor = aegix_accept(listener, &peer, &local)
            if descriptor < 0 { return }
            let key = Flow.Key(client: SocketAddress(peer), server: SocketAddress(local))
            // Only what was decided on and connected has been admitted; anything else has no business here.
            guard let flow = keys[key], flow.state == .admitted else {
                aegix_socket_abort(descriptor)
                close(descriptor)
                continue
            }
            open(flow, descriptor)
        }
    }

    /// What a command has sent before it ended goes out, as the kernel would have seen to; for so many nanoseconds at most.
    public func drain(for time: UInt64) {
        let deadline = Clock.monotonic() &+ time
        while flows.values.contains(where: { $0.state == .open && !$0.up.isDone }), Clock.monotonic() < deadline {
            var slot = pollfd(fd: epoll.raw, events: Int16(POLLIN), revents: 0)
            poll(&slot, 1, isBusy ? 0 : 20)
            turn()
        }
    }

    /// Whatever is left is cut, and the namespace goes.
    public func end() {
        for flow in Array(flows.values) { finish(flow, abort: !flow.up.isDone) }
        resolver?.end()
        resolver = nil
        pool.end()
        for descriptor in listeners.values { close(descriptor) }
        listeners = [:]
        for descriptor in [sockets.names, sockets.seen, sockets.seen6, sockets.send, sockets.send6]
        where descriptor >= 0 {
            close(descriptor)
        }
        sockets = aegix_relay_sockets(names: -1, seen: -1, seen6: -1, send: -1, send6: -1)
        if helper.pid > 0 { aegix_relay_end(&helper) }
    }
}
