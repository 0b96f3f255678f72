// Pure. How secrets get in, and what can't be one.

import AegixPolicy
import AegixSystem

enum SecretPlan {
    /// In the sandbox's root, which is in memory and read-only once it is assembled.
    static let directory = Bytes("/run/secrets")

    static func path(_ secret: Secret) -> Bytes { Path.join(directory, Bytes(secret.name)) }

    static func steps(_ secrets: [Secret]) -> [Step] {
        let files = secrets.filter(\.isFile)
        if files.isEmpty { return [] }
        return [.directory(Bytes("/run"), mode: 0o755), .directory(directory, mode: 0o700)]
            + files.map { .file(path($0), content: $0.value, mode: 0o400) }
    }

    /// - isConfined: there is no root of the run's own.
    static func check(policy: Policy, facts: HostFacts, isConfined: Bool = false) throws(Failure) {
        for secret in facts.secrets {
            if ["PATH", "HOME", "USER", "LOGNAME", "TMPDIR"].contains(secret.name) {
                throw Failure(
                    "secret.name", "\(secret.name) can't be a secret: aegix sets it itself. Give it another name")
            }
            if policy.env.set[secret.name] != nil {
                throw Failure(
                    "secret.name",
                    "\(secret.name) is a secret, and env.set or --env sets it, too: keep the one that is meant")
            }
            guard secret.isFile else { continue }
            if isConfined {
                throw Failure(
                    "secret.file",
                    "tier confined has no file system of its own that could hold the secret \(secret.name) in memory. Hand it "
                        + "over in the variable itself, with `--secret`, or allow namespaces")
            }
            let views = [facts.workspace] + facts.reads + facts.writes
            if let view = views.first(where: { Path.contains($0.path, directory) || Path.contains(directory, $0.path) })
            {
                throw Failure(
                    "secret.file",
                    "\(view.path.shown) is in view (\(view.origin)), where the secret \(secret.name) would lie. Hand it over in "
                        + "the variable itself, with `--secret`")
            }
        }
    }
}
