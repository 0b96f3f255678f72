// Side effects: reads files that the caller names as secrets.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

extension HostSurvey {
    /// From the policy's sources to values. What is wrong with one is said by its name; its value is never quoted.
    static func secrets(_ policy: Policy, _ facts: HostFacts) throws(Failure) -> [Secret] {
        if policy.secrets.isEmpty { return [] }
        var secrets: [Secret] = []
        for (name, source) in policy.secrets.sorted(by: { $0.key < $1.key }) {
            var value: Bytes
            switch source.place {
            case .variable(let variable):
                guard let found = facts.environment.first(where: { $0.name.elementsEqual(variable.utf8) }) else {
                    throw Failure("secret.missing", "the secret \(name) comes from $\(variable), which isn't set")
                }
                value = found.value
            case .file(let path):
                value = try content(of: path, for: name, facts)
                // Editors end a file with a newline that the value hasn't; who gets a file gets it as it is.
                if !source.isFile, value.last == 0x0A {
                    value.removeLast()
                    if value.last == 0x0D { value.removeLast() }
                }
            }
            let secret = Secret(name: name, value: value, isFile: source.isFile)
            try check(secret)
            secrets.append(secret)
        }
        return secrets
    }

    private static func check(_ secret: Secret) throws(Failure) {
        let (name, value) = (secret.name, secret.value)
        if value.isEmpty { throw Failure("secret.value", "the secret \(name) is empty") }
        if value.filter({ $0 > 0x20 }).count < Secret.least {
            throw Failure(
                "secret.value",
                "the secret \(name) has fewer than \(Secret.least) characters: to take it out of the output would take the "
                    + "output apart")
        }
        if value.count > Secret.most {
            throw Failure("secret.value", "the secret \(name) is longer than \(Secret.most >> 10) KiB")
        }
        if !secret.isFile, value.contains(0) {
            throw Failure(
                "secret.value",
                "the secret \(name) holds a NUL byte, which no variable can. Hand it over in a file, with `--secret-file`"
            )
        }
    }

    private static func content(of given: Bytes, for name: String, _ facts: HostFacts) throws(Failure) -> Bytes {
        var path = given
        if path.starts(with: Bytes("~/")) {
            guard let home = facts.home else {
                throw Failure("secret.missing", "the secret \(name) comes from \(path.shown), and $HOME isn't set")
            }
            path = Path.join(home, Bytes(path.dropFirst(2)))
        }
        path = Path.normalized(Path.join(facts.workspace.path, path))
        // A command could put a symbolic link where it may write, and have the next run handed any file of the caller's.
        let areas = [facts.workspace.path] + facts.writes.map(\.path)
        try refusePlanted(path, areas: areas, origin: "the secret \(name)")
        do throws(SystemError) {
            let file = try Descriptor.open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY)
            var facts = stat()
            if fstat(file.raw, &facts) < 0 { throw SystemError.last("stat", path) }
            if facts.st_mode & S_IFMT != S_IFREG { throw SystemError("open", path, errno: EINVAL) }
            let real = try canonical(file.raw)
            func isInReach(_ path: Bytes) -> Bool { areas.contains { Path.contains($0, path) } }
            if isInReach(path), !isInReach(real) { throw SystemError("open", path, errno: ELOOP) }
            return try file.readAll(limit: Secret.most + 3)
        } catch {
            let why =
                switch error.errno {
                case EINVAL: "it isn't a regular file"
                case EFBIG: "it is longer than \(Secret.most >> 10) KiB"
                default: error.reason
                }
            throw Failure(
                "secret.missing", "can't read the secret \(name) from \(path.shown): \(why)", errno: error.errno)
        }
    }
}
