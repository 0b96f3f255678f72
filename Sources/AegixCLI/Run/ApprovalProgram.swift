// Side effects: looks up and reads the files of `approval.command`. Whether the host runs them.

import AegixPolicy
import AegixSystem
import Glibc

/// The approval command runs outside the sandbox, so nothing of it may be what a sandbox could have written (rule 15). Stages:
/// where each word leads to, who owns it, whether it lies where this run or the previous one writes, and then whether the
/// user has pinned it.
struct ApprovalProgram {
    let workspace: Bytes
    /// Places that the run writes to in place.
    let written: [Bytes]
    let trust: TrustStore?
    /// Of the policy that names it; its key's place, for errors.
    let directory: Bytes
    let origin: String

    /// argv with paths that mean the same wherever it is run.
    func words(_ command: [String]) throws(Failure) -> [String] {
        guard let first = command.first, !first.isEmpty else {
            throw refuse("approval.via = \"command\" needs approval.command")
        }
        var words: [Bytes] = []
        for (index, text) in command.enumerated() {
            var word = Bytes(text)
            if index == 0 {
                word = word.contains(Path.slash) ? Path.join(directory, word) : try search(word)
            } else if text.hasPrefix("./") || text.hasPrefix("../") {
                word = Path.join(directory, word)
            }
            if Path.isAbsolute(word) {
                word = Path.normalized(word)
                try check(word, isProgram: index == 0)
            }
            words.append(word)
        }
        return words.map { String(decoding: $0, as: UTF8.self) }
    }

    private func search(_ name: Bytes) throws(Failure) -> Bytes {
        let path =
            getenv("PATH").map { Bytes(UnsafeRawBufferPointer(start: $0, count: strlen($0))) } ?? Bytes("/usr/bin:/bin")
        for place in path.split(separator: UInt8(ascii: ":")).map(Bytes.init) where Path.isAbsolute(place) {
            let candidate = Path.join(place, name)
            if candidate.withCString({ access($0, X_OK) }) == 0 { return candidate }
        }
        throw refuse("there is no program \(name.shown) along PATH")
    }

    private func check(_ path: Bytes, isProgram: Bool) throws(Failure) {
        guard let real = PolicyFile.resolve(path) else {
            if isProgram { throw refuse("there is no \(path.shown)") }
            return
        }
        var facts = stat()
        if real.withCString({ stat($0, &facts) }) < 0 { throw refuse("can't look at \(path.shown)") }
        let isFile = facts.st_mode & S_IFMT == S_IFREG
        if isProgram, !isFile || facts.st_mode & 0o111 == 0 { throw refuse("\(path.shown) isn't a program") }
        if !isFile { return }
        let isInWorkspace = Path.contains(workspace, real) || Path.contains(workspace, Path.normalized(path))
        if isProgram || isInWorkspace {
            try PolicyFile.check(real.shown, owner: facts.st_uid, mode: facts.st_mode, owners: [geteuid(), 0])
        }
        if written.contains(where: { Path.contains($0, real) || Path.contains($0, Path.normalized(path)) }) {
            throw refuse("\(path.shown) lies where this run may write, and it would run on the host. Keep it elsewhere")
        }
        if isInWorkspace, try !isPinned(real) {
            throw Failure(
                "policy.untrusted",
                "\(origin): \(path.shown) isn't trusted: it lies in the workspace, so a previous run may have written it, and it "
                    + "would run on the host. Look at it, then say `aegix policy trust \(real.shown)`")
        }
    }

    private func isPinned(_ real: Bytes) throws(Failure) -> Bool {
        guard let trust, let file = try PolicyFile.read(real, named: real.shown, flags: O_NOFOLLOW) else {
            return false
        }
        return try trust.holds(file)
    }

    private func refuse(_ message: String) -> Failure { Failure("policy.invalid", "\(origin): \(message)") }
}
