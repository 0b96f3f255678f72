// Side effects: reads the environment, the clock and the caller's own git configuration. No git is run.

import AegixSystem
import AegixWorkspace
import Glibc

/// Who commits with `apply --commit`, as git would find it out, but for the workspace's own configuration, which isn't the
/// caller's word.
enum CommitOptions {
    static func request(_ message: Bytes) throws(Failure) -> CommitRequest {
        guard message.text != nil, !message.contains(0), message.contains(where: { $0 > 0x20 }) else {
            throw Failure("usage.value", "--commit needs a message that isn't empty, in UTF-8")
        }
        let configured = configuration()
        return CommitRequest(
            message: message, author: try identity("AUTHOR", configured),
            committer: try identity("COMMITTER", configured))
    }

    private static func identity(
        _ role: String, _ configured: (name: Bytes?, email: Bytes?)
    ) throws(Failure) -> GitIdentity {
        let name = variable("GIT_\(role)_NAME") ?? configured.name
        let email = variable("GIT_\(role)_EMAIL") ?? configured.email ?? variable("EMAIL")
        let date = try date(variable("GIT_\(role)_DATE"), role)
        if let name, let email, let identity = GitIdentity(name: name, email: email, date: date) { return identity }
        throw Failure(
            "commit.identity",
            "it isn't known who commits, and nothing was applied: set GIT_\(role)_NAME and GIT_\(role)_EMAIL, or "
                + "`git config --global user.name` and user.email", exitCode: 1)
    }

    /// Of the user, before that of the machine.
    private static func configuration() -> (name: Bytes?, email: Bytes?) {
        var found: (name: Bytes?, email: Bytes?) = (nil, nil)
        var places: [Bytes] = []
        if let named = variable("GIT_CONFIG_GLOBAL") {
            places.append(named)
        } else if let home = variable("HOME") {
            places.append(Path.join(home, Bytes(".gitconfig")))
            let configuration = variable("XDG_CONFIG_HOME") ?? Path.join(home, Bytes(".config"))
            places.append(Path.join(configuration, Bytes("git/config")))
        }
        if variable("GIT_CONFIG_NOSYSTEM") == nil { places.append(Bytes("/etc/gitconfig")) }
        for place in places where Path.isAbsolute(place) && !place.contains(0) {
            guard let text = read(place) else { continue }
            let one = GitIdentity.configured(text)
            found = (found.name ?? one.name, found.email ?? one.email)
        }
        return found
    }

    /// nil: not there, or nothing that git could read either.
    private static func read(_ path: Bytes) -> Bytes? {
        do throws(SystemError) {
            let file = try Descriptor.open(path, O_RDONLY | O_NONBLOCK)
            return try FileFacts(of: file).isFile ? try file.readAll(limit: 1 << 20) : nil
        } catch {
            return nil
        }
    }

    /// `1700000000 +0100`, with or without an `@`, or a time as aegix writes it; else now.
    private static func date(_ given: Bytes?, _ role: String) throws(Failure) -> Bytes {
        guard let given else { return now() }
        if let date = GitIdentity.date(given) { return date }
        if let time = Timestamp.parse(String(decoding: given, as: UTF8.self)), time >= 0 {
            return Bytes("\(time / 1_000_000_000) +0000")
        }
        throw Failure(
            "usage.value",
            "GIT_\(role)_DATE can't be \(given.shown): write seconds since 1970 and a zone, such as `1700000000 +0100`")
    }

    private static func now() -> Bytes {
        var seconds = time_t(Clock.realtime() / 1_000_000_000)
        var parts = tm()
        localtime_r(&seconds, &parts)
        let minutes = abs(parts.tm_gmtoff) / 60
        let digits = String(10_000 + minutes / 60 * 100 + minutes % 60).dropFirst()
        return Bytes("\(seconds) \(parts.tm_gmtoff < 0 ? "-" : "+")\(digits)")
    }

    private static func variable(_ name: String) -> Bytes? {
        getenv(name).map { Bytes(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
}
