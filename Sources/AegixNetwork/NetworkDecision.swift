// Pure. The one place that says whether a name may be looked up and an address connected to.

import AegixPlan
import AegixPolicy
import AegixSystem

public struct NetworkDecision: Sendable {
    public enum Verdict: Equatable, Sendable {
        /// By which rule, with its place: `pypi.org:443 (policy.toml:14:9)`.
        case allow(String)
        case deny(String)
        /// Somebody has to be asked first.
        case ask(String)

        public var isAllowed: Bool {
            if case .allow = self { return true }
            return false
        }
        public var isAsking: Bool {
            if case .ask = self { return true }
            return false
        }
        public var rule: String {
            switch self {
            case .allow(let rule), .deny(let rule), .ask(let rule): rule
            }
        }
    }

    /// What somebody said of a name.
    public enum Consent: Equatable, Sendable {
        /// Until a connection to it has begun.
        case once
        case run
        /// Why not. Holds for the run: a program that tries again asks nobody again.
        case refused(String)
    }

    private let plan: NetworkPlan
    /// Of names that no rule covers.
    private var consents: [String: Consent] = [:]

    public init(_ plan: NetworkPlan) { self.plan = plan }

    /// Where the policy says that names are asked about.
    var askedBy: String? { plan.asksOrigin }

    mutating func settle(_ name: String, _ consent: Consent) { consents[name] = consent }

    /// A connection to it begins.
    mutating func use(_ name: String) {
        if consents[name] == .once { consents[name] = nil }
    }

    /// - name: as HostName.canonical gives it; nil for what no host can be called.
    public func lookup(_ name: String?) -> Verdict {
        guard let name else { return .deny("not a host name") }
        if let rule = plan.deny.first(where: { $0.pattern.covers(name: name) && $0.pattern.port == nil }) {
            return .deny("network.deny: \(rule.text)")
        }
        if let rule = plan.allow.first(where: { $0.pattern.covers(name: name) }) { return .allow(rule.text) }
        return unknown(name)
    }

    public func connect(_ name: String?, port: UInt16) -> Verdict {
        guard let name else { return .deny("not a host name") }
        if let rule = plan.deny.first(where: { $0.pattern.covers(name: name) && $0.pattern.denies(port: port) }) {
            return .deny("network.deny: \(rule.text)")
        }
        if let rule = plan.allow.first(where: { $0.pattern.covers(name: name) && $0.pattern.allows(port: port) }) {
            return .allow(rule.text)
        }
        if plan.mode == .allow, plan.allow.contains(where: { $0.pattern.covers(name: name) }) {
            return .deny("network.allow: no rule covers the port")
        }
        return unknown(name, port: port)
    }

    /// A name that no rule covers; nil: an address, which nobody is asked about.
    private func unknown(_ name: String?, port: UInt16? = nil) -> Verdict {
        switch plan.mode {
        case .guarded, .host: return .allow("network.mode = \"\(plan.mode.rawValue)\"")
        case .none: return .deny("network.mode = \"none\"")
        case .allow: break
        }
        guard plan.asks, let name else { return .deny("network.allow: no rule covers it") }
        let rule = "network.unknown = \"approve\"" + (plan.asksOrigin.map { " (\($0))" } ?? "")
        if case .refused(let why) = consents[name] { return .deny("\(rule): \(why)") }
        // As an entry without a port would.
        if let port, !NetworkDecision.consented.contains(port) {
            return .deny("\(rule): a yes is for the ports 80 and 443")
        }
        return consents[name] == nil ? .ask(rule) : .allow(rule)
    }

    public static let consented: [UInt16] = [80, 443]

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
        return name ?? unknown(nil)
    }

    /// Whether a rule names the address itself, whatever name a client says.
    func names(_ address: HostAddress, port: UInt16) -> Bool {
        plan.allow.contains { $0.pattern.covers(address: address.unmapped) && $0.pattern.allows(port: port) }
    }

    func isRouted(_ address: HostAddress) -> Bool { plan.routes.contains { $0.contains(address) } }
}
