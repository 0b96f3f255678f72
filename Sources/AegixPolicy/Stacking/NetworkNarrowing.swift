// Pure. Which of two network tables allows more.

import AegixSystem

extension Policy.Network {
    /// Without entries that mean nothing any more, so that what is in force reads as it is.
    mutating func settle() {
        if mode == .none || mode == .host { allow = [] }
        allow.removeAll { rule in deny.contains { $0.pattern.deniesWhole(rule.pattern) } }
    }
}

extension HostPattern {
    /// Nothing that the other one allows is left.
    func deniesWhole(_ other: HostPattern) -> Bool { covers(other.host) && (port == nil || port == other.port) }
}

enum NetworkNarrowing {
    static func reasons(_ key: PolicyKey, _ child: Policy.Network, _ parent: Policy.Network) -> [String] {
        switch key {
        case .networkAllow:
            // Its own list means nothing where nothing or everything gets through; that is judged by the mode. The other keys
            // are judged in any mode, since an option of the caller's may open it again.
            if child.mode == .none || child.mode == .host { return [] }
            return child.allow.filter { !covers($0.pattern, by: parent) }
                .map { "\"\($0.pattern.text)\" isn't within what may be connected to" }
        case .networkDeny: return undenied(child, parent).map { "leaves out \"\($0.pattern.text)\"" }
        case .networkUnknown:
            return child.unknown == .approve && parent.unknown == .deny ? ["\"approve\" is looser than \"deny\""] : []
        case .networkInspect: return !child.inspect && parent.inspect ? ["false is looser than true"] : []
        case .networkResolvers:
            // Who answers decides where a name leads.
            let added = child.resolvers.filter { !parent.resolvers.contains($0) }.map { "adds \"\($0)\"" }
            return child.resolvers.isEmpty && !parent.resolvers.isEmpty ? ["leaves them out"] : added
        default: return []
        }
    }

    static func covers(_ pattern: HostPattern, by parent: Policy.Network) -> Bool {
        if parent.allow.contains(where: { $0.pattern.covers(allowed: pattern) }) { return true }
        switch parent.mode {
        case .host: return true
        case .guarded:
            guard case .range(let range) = pattern.host else { return true }
            return !AddressClass.isTouched(by: range)
        case .none, .allow: return false
        }
    }

    static func undenied(_ child: Policy.Network, _ parent: Policy.Network) -> [Policy.HostRule] {
        parent.deny.filter { rule in !child.deny.contains { $0.pattern.deniesWhole(rule.pattern) } }
    }
}
