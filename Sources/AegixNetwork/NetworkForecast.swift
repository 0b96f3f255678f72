// Side effects: looks allowed names up, as a run would. How a run would judge a connect, without one.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// The relay's own decision (NetworkDecision), asked beforehand.
public enum NetworkForecast {
    public struct Answer: Sendable {
        public var verdict: NetworkDecision.Verdict
        /// What it would lead to; empty where nothing was looked up, or found.
        public var addresses: [HostAddress] = []
        /// The one that the verdict is about.
        public var address: HostAddress?
        /// What isn't certain.
        public var note: String?
    }

    private static let patience: UInt64 = 5_000_000_000

    /// - host: a name in its canonical form, or an address.
    public static func connect(_ plan: NetworkPlan, to host: Host, port: UInt16, hostname: String = Plan.hostname)
        throws(Failure)
        -> Answer
    {
        let decision = NetworkDecision(plan)
        if plan.mode == .host { return Answer(verdict: .allow("network.mode = \"host\"")) }
        switch host {
        case .address(let address):
            if NetworkPlan.isInside(address) { return inside }
            return Answer(
                verdict: decision.address(address, port: port, isOwn: own(address), name: nil), address: address)
        case .name(let name):
            if ["localhost", hostname].contains(name) { return inside }
            let lookup = decision.lookup(name)
            if case .deny = lookup { return Answer(verdict: lookup) }
            let verdict = decision.connect(name, port: port)
            // A name that isn't allowed causes no packet.
            guard verdict.isAllowed else { return Answer(verdict: verdict) }
            return try judge(name, port, verdict, decision, plan)
        }
    }

    public enum Host: Equatable, Sendable {
        case name(String)
        case address(HostAddress)
    }

    private static var inside: Answer {
        var answer = Answer(verdict: .allow("the sandbox's own loopback"))
        answer.note = "there is what the command itself listens with, not the host"
        return answer
    }

    private static func own(_ address: HostAddress) -> Bool { SocketAddress(address, port: 0).isOwn }

    /// As the relay does: any address that is open is enough.
    private static func judge(
        _ name: String, _ port: UInt16, _ verdict: NetworkDecision.Verdict, _ decision: NetworkDecision,
        _ plan: NetworkPlan
    ) throws(Failure) -> Answer {
        guard case .addresses(let found, _)? = try lookup(name, plan.resolvers) else {
            var answer = Answer(verdict: verdict)
            answer.note = "the name couldn't be looked up here, so its addresses aren't judged"
            return answer
        }
        var refused: Answer?
        for address in found {
            let one = decision.address(address, port: port, isOwn: own(address), name: verdict)
            let answer = Answer(verdict: one, addresses: found, address: address)
            if one.isAllowed { return answer }
            refused = refused ?? answer
        }
        return refused ?? Answer(verdict: verdict)
    }

    private static func lookup(_ name: String, _ servers: [ResolverAddress]) throws(Failure) -> Resolver.Answer? {
        let epoll = Descriptor(owning: aegix_epoll_create())
        if !epoll.isOpen { throw Failure("network.resolver", "can't look names up", SystemError.last("epoll_create1")) }
        let resolver = try Resolver(servers: servers, epoll: epoll.raw, tag: 0)
        defer { resolver.end() }
        var answer: Resolver.Answer?
        _ = resolver.resolve(name) { answer = $0 }
        let end = Clock.monotonic() &+ patience
        while answer == nil, Clock.monotonic() < end {
            var slot = pollfd(fd: epoll.raw, events: Int16(POLLIN), revents: 0)
            let wait = min(resolver.patience ?? patience, 100_000_000) / 1_000_000
            poll(&slot, 1, Int32(wait) + 1)
            withUnsafeTemporaryAllocation(of: aegix_ready.self, capacity: 16) { ready in
                guard let base = ready.baseAddress else { return }
                for index in 0..<Int(max(0, aegix_epoll_ready(epoll.raw, base, 16))) {
                    resolver.ready(Int32(truncatingIfNeeded: ready[index].tag), ready[index].events)
                }
            }
            if resolver.patience == 0 { resolver.late() }
        }
        return answer
    }
}
