// Pure data. What of the network a run gets, and by what.

import AegixPolicy
import AegixSystem

public struct NetworkPlan: Equatable, Sendable {
    public var mode: Policy.Network.Mode
    public var allow: [Policy.HostRule]
    public var deny: [Policy.HostRule]
    public var inspect: Bool
    /// Empty: those of the host's /etc/resolv.conf.
    public var resolvers: [ResolverAddress]
    /// What the sandbox reaches through the relay: the addresses that stand for names, and ranges of the policy's.
    public var routes: [AddressRange]
    /// A name that no rule covers is asked about.
    public var asks = false
    /// Where the policy says so.
    public var asksOrigin: String?

    /// Each name that the command looks up has an address of its own in here.
    public static let names = AddressRange(literal: "198.18.0.0/16")
    public static let resolver = HostAddress(v4: 0xC612_0001)
    /// The sandbox's own: what is connected to there never leaves it.
    public static func isInside(_ address: HostAddress) -> Bool { inside.contains { $0.contains(address) } }
    private static let inside = ["127.0.0.0/8", "0.0.0.0/32", "::/128", "::1/128"].map { AddressRange(literal: $0) }
    static let everything = [AddressRange(literal: "0.0.0.0/0"), AddressRange(literal: "::/0")]
    static let mostRoutes = 256

    /// What was there of the host's own files, in mode `host`.
    public struct HostFiles: Equatable, Sendable {
        public var resolvers: Bytes
        public var hosts: Bytes

        public init(resolvers: Bytes, hosts: Bytes) {
            self.resolvers = resolvers
            self.hosts = hosts
        }
    }

    static func make(_ policy: Policy.Network) throws(Failure) -> NetworkPlan {
        var routes: [AddressRange] = []
        if policy.mode.isRelayed { routes.append(names) }
        if policy.mode == .guarded { routes += everything }
        for rule in policy.allow where policy.mode == .allow {
            guard case .range(let range) = rule.pattern.host, !routes.contains(where: { $0.contains(range) }) else {
                continue
            }
            routes.append(range)
        }
        if routes.count > mostRoutes {
            throw Failure("network.rules", "network.allow has more than \(mostRoutes - 1) addresses and ranges")
        }
        if policy.mode == .host, let rule = policy.deny.first {
            throw Failure(
                "network.deny",
                "network.mode = \"host\" gives the host's own network, where nothing can be denied: \(rule.text). Use "
                    + "mode = \"guarded\", or take the rule out")
        }
        return NetworkPlan(
            mode: policy.mode, allow: policy.allow, deny: policy.deny, inspect: policy.inspect,
            resolvers: policy.resolvers.compactMap(ResolverAddress.init), routes: routes, asks: policy.asks)
    }

    /// What programs inside read for name servers.
    func resolverFile(_ facts: HostFacts) -> Bytes {
        switch mode {
        case .none: []
        case .allow, .guarded: Bytes("nameserver \(NetworkPlan.resolver.text)\noptions timeout:10 attempts:2\n")
        case .host: facts.networkFiles?.resolvers ?? []
        }
    }

    /// One sentence for `enforcement`.
    public var asked: String {
        switch mode {
        case .none: "none"
        case .allow:
            "allow: \(allow.count) rule\(allow.count == 1 ? "" : "s")" + (asks ? ", other names are asked about" : "")
        case .guarded: "guarded: every name and address but private ones and \(deny.count) denied"
        case .host: "host"
        }
    }

    public var mechanism: String {
        switch mode {
        case .none: "empty network namespace"
        case .allow, .guarded:
            "network namespace whose only way out is the relay"
                + (inspect ? ", TLS and HTTP names compared" : ", TLS and HTTP names not compared (network.inspect)")
        case .host: "not held: the host's own network namespace, by network.mode = \"host\""
        }
    }

    var json: JSON {
        [
            "mode": .string(mode.rawValue), "allow": .array(allow.map { .string($0.text) }),
            "deny": .array(deny.map { .string($0.text) }), "inspect": .bool(inspect),
            "resolvers": .array(resolvers.map { .string("\($0.address.text):\($0.port)") }),
            "routes": .array(routes.map { .string($0.text) }), "unknown": .string(asks ? "approve" : "deny"),
        ]
    }
}

extension NetworkPlan {
    /// What a tier can't give.
    static func check(_ policy: Policy, facts: HostFacts) throws(Failure) {
        guard policy.network.mode == .host else { return }
        if policy.require == .sealed {
            throw Failure(
                "tier.network",
                "tier sealed has a network namespace of its own, and network.mode = \"host\" has none. Accept "
                    + "`--require isolated`, or use mode = \"guarded\"")
        }
        // Without it a command reaches the abstract sockets of the host's services: session buses, X11, containers.
        if facts.landlockABI < TierPlan.leastABI {
            throw Failure(
                "network.host",
                "network.mode = \"host\" needs Landlock ABI \(TierPlan.leastABI) (Linux 6.12), which keeps the host's abstract "
                    + "sockets out of reach. Use mode = \"guarded\"")
        }
    }

    static func checkConfined(_ policy: Policy.Network) throws(Failure) {
        if policy.mode == .none { return }
        throw Failure(
            "tier.network",
            "tier confined has no network (network.mode = \"\(policy.mode.rawValue)\"): the relay needs a network namespace, "
                + "which can't be had here")
    }
}
