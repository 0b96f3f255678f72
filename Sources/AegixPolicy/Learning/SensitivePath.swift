// Pure data. Where keys, tokens and histories lie. A learned policy never brings them into view by itself.

import AegixSystem

public enum SensitivePath {
    /// As `files.deny` has them; the preset `learn` masks them too.
    static let patterns: [String] = [
        "**/.ssh", "**/.gnupg", "**/.aws", "**/.azure", "**/.kube", "**/.docker", "**/.password-store", "**/.mozilla",
        "**/.thunderbird", "**/.netrc", "**/.npmrc", "**/.pypirc", "**/.pgpass", "**/.my.cnf", "**/.git-credentials",
        "**/.env", "**/.env.*", "**/.envrc", "**/id_rsa", "**/id_dsa", "**/id_ecdsa", "**/id_ed25519", "**/*_history",
        "**/.vault-token", "**/.terraform.d", "**/.config/gcloud", "**/.config/gh", "**/.config/google-chrome",
        "**/.config/chromium", "**/.config/op", "**/.local/share/keyrings", "**/.cargo/credentials",
        "**/.cargo/credentials.toml", "**/.gem/credentials", "**/shadow", "**/gshadow", "**/*.kdbx", "**/*.p12",
        "**/*.pfx",
    ]

    /// What lies in directories of projects.
    static let fewPatterns = [
        "**/.env", "**/.env.*", "**/.netrc", "**/.npmrc", "**/.pypirc", "**/.git-credentials", "**/.ssh", "**/.aws",
        "**/.gnupg", "**/id_rsa", "**/id_ed25519",
    ]

    private static let parsed: [PathPattern] = patterns.map { text in
        do {
            var pattern = try PathPattern(Bytes(text))
            pattern.anchor = .root
            return pattern
        } catch {
            return PathPattern(literal: Bytes(text))
        }
    }

    /// The path, or a directory on the way to it, is one of them.
    public static func isOne(_ names: [Bytes]) -> Bool {
        names.indices.contains { end in parsed.contains { $0.matches(names: Array(names[...end])) } }
    }
}
