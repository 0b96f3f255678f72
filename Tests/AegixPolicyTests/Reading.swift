// Pure. What the tests of policies have in common.

import AegixSystem
import Testing

@testable import AegixPolicy

/// The errors of a text, as `line:column: message`; a text without errors has none.
func errors(_ text: String, quotes: Bool = true) -> [String] {
    do {
        _ = try PolicyReader.read(Bytes(text), source: "p.toml", quotes: quotes)
        return []
    } catch {
        return error.list.map { String($0.description.dropFirst("p.toml:".count)) }
    }
}

func chain(_ text: String, name: String = "p.toml") throws(Failure) -> PolicyChain {
    try PolicyChain.load(PolicySource(name: name, bytes: Bytes(text))) { parent, _, _ throws(Failure) in
        guard let preset = Preset.named(parent) else { throw Failure("policy.missing", "no \(parent)") }
        return .preset(preset)
    }
}

let anchors = PolicyAnchors(home: Bytes("/home/u"), workspace: Bytes("/home/u/ws"))

func policy(_ text: String) throws -> Policy {
    try LayeredPolicy(chain("version = 1\n" + text), anchors: anchors).policy
}

/// Without what a text can't hold.
func bare(_ policy: Policy) -> Policy {
    var policy = policy
    func strip(_ rules: [Policy.PathRule]) -> [Policy.PathRule] { rules.map { .init(pattern: $0.pattern, origin: "") } }
    policy.files.read = strip(policy.files.read)
    policy.files.write = strip(policy.files.write)
    policy.files.deny = strip(policy.files.deny)
    policy.network.allow = policy.network.allow.map { .init($0.pattern, origin: "") }
    policy.network.deny = policy.network.deny.map { .init($0.pattern, origin: "") }
    return policy
}
