// Pure. What of a command line another input leaves as it is.

import AegixSystem

enum CommandShape {
    struct Head: Equatable {
        /// Patterns.
        var words: [Bytes]
        /// Anything may follow.
        var goesOn = true
    }

    /// Their first word says which of many things they do.
    private static let manyVerbs: Set<Bytes> = Set(
        [
            "apt", "apt-get", "bun", "bundle", "cargo", "composer", "conda", "dnf", "docker", "dotnet", "flutter",
            "gem", "gh", "git",
            "glab", "go", "gradle", "helm", "hg", "kubectl", "meson", "npm", "pip", "pip3", "pnpm", "podman", "poetry",
            "rustup", "svn", "swift", "systemctl", "terraform", "uv", "yarn",
        ].map { Bytes($0) })

    private static let shells: Set<Bytes> = Set(["sh", "bash", "dash", "zsh", "ksh", "ash"].map { Bytes($0) })
    private static let interpreters = ["python", "pypy", "node", "ruby", "perl", "php", "lua", "Rscript"].map {
        Bytes($0)
    }

    /// What git starts of itself, one time and not the other: by the size of a fetch, by when it last tidied up. None publishes.
    static let gitHelpers = [
        "check-ref-format", "fetch-pack", "for-each-ref", "gc", "index-pack", "maintenance", "pack-objects",
        "pack-refs",
        "prune", "prune-packed", "reflog", "repack", "rerere", "rev-list", "rev-parse", "unpack-objects", "upload-pack",
        "worktree",
    ].map { Bytes($0) }

    static func hasVerbs(_ name: Bytes) -> Bool { manyVerbs.contains(name) || manyVerbs.contains(unversioned(name)) }

    static func startsItself(_ word: Bytes, _ verbs: [Bytes]) -> Bool {
        Path.name(word) == Bytes("git") && !verbs.isEmpty
    }

    /// A memfd, a deleted file, something behind a link of /proc.
    static func isUnnamed(_ program: Bytes) -> Bool {
        let deleted = Bytes(" (deleted)")
        return !Path.isAbsolute(program) || program.starts(with: Bytes("/memfd:"))
            || program.suffix(deleted.count) == deleted[...]
            || Path.contains(Bytes("/proc"), program) || Path.contains(Bytes("/dev/fd"), program) || program.contains(0)
    }

    /// The first word of a rule.
    static func program(_ exec: Observations.Exec, _ anchors: PolicyAnchors) -> Bytes {
        if let name = exec.name, !name.isEmpty, !name.contains(Path.slash) { return NameShape.pattern(name) }
        func shaped(_ path: Bytes, from base: Bytes) -> Bytes {
            let names = Path.components(Bytes(path.dropFirst(base == [Path.slash] ? 0 : base.count)))
            let patterns = names.map(NameShape.pattern)
            // Never all that lies there.
            let isBare = patterns.allSatisfy { $0 == Bytes("*") }
            return Bytes((isBare ? names.map(Wildcard.escaped) : patterns).joined(separator: [Path.slash]))
        }
        if let workspace = anchors.workspace, Path.contains(workspace, exec.program), workspace != [Path.slash] {
            return Bytes("./") + shaped(exec.program, from: workspace)
        }
        if let home = anchors.home, Path.contains(home, exec.program), home != [Path.slash] {
            return Bytes("~/") + shaped(exec.program, from: home)
        }
        // Private to the run, and called something else in each: `*` crosses slashes here.
        for place in scratch where exec.program.starts(with: place) {
            let isDeep = exec.program.dropFirst(place.count).contains(Path.slash)
            return place + Bytes("*") + (isDeep ? [Path.slash] + NameShape.pattern(Path.name(exec.program)) : [])
        }
        return [Path.slash] + shaped(exec.program, from: [Path.slash])
    }

    static func head(_ exec: Observations.Exec) -> Head {
        var head = shape(exec)
        head.words = head.words.map { $0.text == nil ? Bytes("*") : $0 }
        return head
    }

    private static func shape(_ exec: Observations.Exec) -> Head {
        let name = Path.name(exec.name ?? exec.program)
        let words = Array(exec.argv.dropFirst())
        if exec.endsWithScript, let script = words.last {
            return Head(words: words.dropLast().map(Wildcard.escaped) + [Bytes("*") + NameShape.pattern(script)])
        }
        if hasVerbs(name) { return verb(words) }
        if shells.contains(name) { return script(words, isShell: true) }
        if interpreters.contains(where: { name.starts(with: $0) }) { return script(words, isShell: false) }
        return Head(words: [])
    }

    /// The first word that is no option, with the options before it: a rule of `**` there would let any verb through.
    private static func verb(_ words: [Bytes]) -> Head {
        var out: [Bytes] = []
        var index = 0
        while index < words.count, out.count < 12 {
            let word = words[index]
            index += 1
            guard word.first == UInt8(ascii: "-") else {
                // A path is no verb, but what one is to work on: git-upload-pack is git, too.
                if word.contains(Path.slash) { return Head(words: out + [Bytes(word[0] == Path.slash ? "/*" : "*/*")]) }
                return Head(words: out + [argument(word)])
            }
            if word == Bytes("-C") || word == Bytes("--git-dir") || word == Bytes("--work-tree") {
                out += [word, Bytes("*")]
                index += 1
            } else if word == Bytes("-c"), index < words.count {
                out += [word, argument(words[index])]
                index += 1
            } else {
                out.append(argument(word))
            }
        }
        return Head(words: out, goesOn: index < words.count)
    }

    /// Up to the script, or to the option that says what to run.
    private static func script(_ words: [Bytes], isShell: Bool) -> Head {
        var out: [Bytes] = []
        for (index, word) in words.enumerated() where out.count < 8 {
            guard word.first == UInt8(ascii: "-"), word.count > 1 else { return Head(words: out + [argument(word)]) }
            out.append(argument(word))
            let isLong = word.starts(with: Bytes("--"))
            if isShell, !isLong, word.contains(UInt8(ascii: "c")) { return Head(words: out) }
            if !isShell, !isLong, let last = word.last, last == UInt8(ascii: "c") || last == UInt8(ascii: "e") {
                return Head(words: out)
            }
            if !isShell, word == Bytes("-m"), index + 1 < words.count {
                return Head(words: out + [argument(words[index + 1])])
            }
        }
        // What it runs comes by its stdin; or it is asked for its version.
        return Head(words: out, goesOn: false)
    }

    /// A path in a place of one run stands for all of its kind.
    private static func argument(_ word: Bytes) -> Bytes {
        if word.count > 4000 || word == CommandShapeMark.hidden { return Bytes("*") }
        for place in scratch where word.starts(with: place) { return place + Bytes("*") }
        let parts = word.split(separator: Path.slash, omittingEmptySubsequences: false)
        return Bytes(parts.map { NameShape.pattern(Bytes($0)) }.joined(separator: [Path.slash]))
    }

    private static let scratch = ["/tmp/", "/dev/shm/"].map { Bytes($0) }

    private static func unversioned(_ name: Bytes) -> Bytes {
        var name = name
        while let last = name.last,
            (0x30...0x39).contains(last) || last == UInt8(ascii: ".") || last == UInt8(ascii: "-")
        {
            name.removeLast()
        }
        return name
    }
}

/// Stands for a word that held a declared secret. No word of an argv can be it: it has a NUL.
public enum CommandShapeMark {
    public static let hidden: Bytes = [0] + Bytes("hidden")
}
