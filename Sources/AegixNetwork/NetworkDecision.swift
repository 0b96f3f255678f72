// Pure. The one place that says whether a name may be looked up and an address connected to.

import AegixPlan
import AegixPolicy
import AegixSystem

public struct NetworkDecision: Sendable {
    public enum Verdict: Equatable, Sendable {
        /// By which rule, with its place: `pypi.org:443 (policy.toml:14:9)`.
        case allow(String)
        case deny(String)

        public var isAllowed: Bool {
            if case .allow = self { return true }
            return false
        }
        public var rule: String {
            switch self {
            case .allow(let rule), .deny(let rule): rule
            }
        }
    }

    private let plan: NetworkPlan

    public init(_ plan: NetworkPlan) { self.plan = plan }

    /// - name: as HostName.canonical gives it; nil for what no host can be called.
    public func lookup(_ name: String?) -> Verdict {
        guard let name else { return .deny("not a host name") }
        if let rule = plan.deny.first(where: { $0.pattern.covers(name: name) && $0.pattern.port == nil }) {
            return .deny("network.deny: \(rule.text)")
        }
        if let rule = plan.allow.first(where: { $0.pattern.covers(name: name) }) { return .allow(rule.text) }
        return unknown()
    }

    public func connect(_ name: String?, port: UInt16) -> Verdict {
        guard let name else { return .deny("not a host name") }
        if let rule = plan.deny.first(where: { $0.pattern.covers(name: name) && $0.pattern.denies(port: port) }) {
            return .deny("network.deny: \(rule.text)")
        }
        if let rule = plan.allow.first(where: { $0.pattern.covers(name: name) && $0.pattern.allows(port: port) }) {
            return .allow(rule.text)
        }
        return unknown()
    }

    /// A name that no rule covers: what asks somebody will ask here.
    private func unknown() -> Verdict {
        switch plan.mode {
        case .guarded, .host: .allow("network.mode = \"\(plan.mode.rawValue)\"")
        case .none: .deny("network.mode = \"none\"")
        case .allow: .deny("network.allow: no rule covers it")
        }
    }

    /// The address that is really connected to.
    /// - isOwn: one of this host's interfaces has it.
    /// - name: the verdict on the name that led here; nil for an address that the command itself wrote.
    public func address(_ asked: HostAddress, port: UInt16, isOwn: Bool, name: Verdict?) -> Verdict {
        let address = asked.unmapped
        if let name, !name.isAllowed { return name }
        if let rule = plan.deny.first(where: { $0.pattern.covers(address: address) && $0.pattern.denies(port: port) }) {
            return .deny("network.deny: \(rule.text)")
        }
        if let rule = plan.allow.first(where: { $0.pattern.covers(address: address) && $0.pattern.allows(port: port) })
        {
            return name ?? .allow(rule.text)
        }
        if let kind = AddressClass.name(of: address) {
            return .deny("address class: \(kind), closed unless network.allow names the address")
        }
        if isOwn { return .deny("address class: this host's own, closed unless network.allow names the address") }
        return name ?? unknown()
    }

    /// Whether a rule names the address itself, whatever name a client says.
    func names(_ address: HostAddress, port: UInt16) -> Bool {
        plan.allow.contains { $0.pattern.covers(address: address.unmapped) && $0.pattern.allows(port: port) }
    }

    func isRouted(_ address: HostAddress) -> Bool { plan.routes.contains { $0.contains(address) } }
}
