// Pure. A policy to be written down: what it quotes of a secret isn't in it any more.

import AegixSystem

extension Policy {
    public func redacted(by redactor: Redactor) -> Policy {
        var policy = self
        policy.name = redactor.redact(name)
        policy.env.set = env.set.mapValues { redactor.redact($0) }
        policy.workspace.protect = workspace.protect.map(redactor.redact)
        policy.artifacts.collect = artifacts.collect.map(redactor.redact)
        for list in [\Policy.Files.read, \.write, \.deny] {
            for index in policy.files[keyPath: list].indices {
                policy.files[keyPath: list][index].pattern = redactor.redact(policy.files[keyPath: list][index].pattern)
            }
        }
        policy.secrets = secrets.mapValues { source in
            guard case .file(let path) = source.place else { return source }
            return SecretSource(.file(redactor.redact(path)), isFile: source.isFile)
        }
        return policy
    }
}

extension JSON {
    /// Its strings, but for the names of members.
    public func redacted(by redactor: Redactor?) -> JSON {
        guard let redactor else { return self }
        switch self {
        case .string(let text): return .string(redactor.redact(text))
        case .array(let items): return .array(items.map { $0.redacted(by: redactor) })
        case .object(let members):
            if members.count == 1, let bytes = bytesValue { return .bytes(redactor.redact(bytes)) }
            return .object(members.mapValues { $0.redacted(by: redactor) })
        default: return self
        }
    }
}
