// Pure. Programs that do nothing but start another: with which words they would. For who asks beforehand; a run judges each
// exec as it comes.

import AegixPolicy
import AegixSystem

public enum LaunchedCommand: Equatable, Sendable {
    /// It isn't one of them.
    case nothing
    case command([Bytes])
    /// It starts something, and what can't be told from its words.
    case untold(String)

    /// - program: as resolved; its name says what it is.
    public static func next(of program: Bytes, argv: [Bytes]) -> LaunchedCommand {
        // A program of many names is what it is called.
        var argv = argv
        if MultiCall.isOne(program), let words = MultiCall.applet(argv) { argv = words }
        let name = argv.first.map { Path.name(MultiCall.isOne(program) ? $0 : program) } ?? []
        let rest = argv.dropFirst()
        switch name.text {
        case "env": return env(rest)
        case "nohup": return plain(rest)
        case "setsid": return options(rest, flags: ["-c", "-f", "-w", "--ctty", "--fork", "--wait"])
        case "nice": return options(rest, flags: [], valued: ["-n", "--adjustment"], numbers: true)
        case "timeout":
            let found = options(
                rest, flags: ["--foreground", "--preserve-status", "-v", "--verbose", "-p", "-f"],
                valued: ["-k", "-s", "--kill-after", "--signal"])
            guard case .command(let words) = found else { return found }
            return plain(words.dropFirst())
        case "sh", "dash", "bash", "ash", "ksh": return shell(rest)
        default: return .nothing
        }
    }

    private static func plain(_ words: ArraySlice<Bytes>) -> LaunchedCommand {
        let words = words.first == Bytes("--") ? words.dropFirst() : words
        return words.isEmpty ? .nothing : .command(Array(words))
    }

    private static func options(
        _ words: ArraySlice<Bytes>, flags: [String], valued: [String] = [], numbers: Bool = false
    ) -> LaunchedCommand {
        var words = words
        while let word = words.first, word.first == UInt8(ascii: "-"), word != Bytes("--") {
            guard let text = word.text else { return .untold("an option that isn't known") }
            words = words.dropFirst()
            if flags.contains(text) || numbers && Int(text.dropFirst()) != nil { continue }
            if valued.contains(text) {
                words = words.dropFirst()
            } else if !valued.contains(where: { text.hasPrefix($0 + "=") || $0.count == 2 && text.hasPrefix($0) }) {
                return .untold("the option \(word.shown) isn't followed")
            }
        }
        return plain(words)
    }

    /// What it changes of PATH would change where the next program is found.
    private static func env(_ words: ArraySlice<Bytes>) -> LaunchedCommand {
        var words = words
        while let word = words.first {
            guard let text = word.text else { break }
            if text == "--" { return plain(words) }
            if let equals = text.firstIndex(of: "="), equals != text.startIndex, !text.hasPrefix("-") {
                if text.hasPrefix("PATH=") { return .untold("env changes PATH") }
                words = words.dropFirst()
            } else if ["-i", "-", "--ignore-environment", "-0", "--null", "-v", "--debug"].contains(text) {
                // Without PATH the C library looks in the usual places.
                words = words.dropFirst()
            } else if ["-u", "--unset"].contains(text) {
                if words.dropFirst().first == Bytes("PATH") { return .untold("env changes PATH") }
                words = words.dropFirst(2)
            } else if text.hasPrefix("-S") || text.hasPrefix("--split-string") {
                var line: Bytes
                words = words.dropFirst()
                if text == "-S" || text == "--split-string" {
                    line = words.first ?? []
                    words = words.dropFirst()
                } else {
                    line = Bytes(String(text.drop { $0 != "S" && $0 != "=" }.dropFirst()))
                }
                guard case .success(let more) = ShellLine.split(line) else {
                    return .untold("env -S with more than plain words")
                }
                words = (more + words)[...]
            } else if text.hasPrefix("-") {
                return .untold("env's option \(word.shown) isn't followed")
            } else {
                break
            }
        }
        return words.isEmpty ? .nothing : .command(Array(words))
    }

    private static func shell(_ words: ArraySlice<Bytes>) -> LaunchedCommand {
        guard let first = words.first else { return .untold("a shell that reads its commands") }
        guard first == Bytes("-c"), let line = words.dropFirst().first else {
            return .untold("what a shell's script or options do")
        }
        switch ShellLine(line) {
        case .nothing, .builtin: return .nothing
        case .words(let words): return .command(words)
        case .syntax(let what): return .untold("the shell's line holds \(what), which isn't parsed")
        }
    }
}

/// A line of a shell's, as far as it is one command of plain words.
public enum ShellLine: Equatable, Sendable {
    case nothing
    case words([Bytes])
    /// The shell does it itself: no exec, so no rule has a say.
    case builtin(String)
    case syntax(String)

    private static let active = Set("$`()<>;&|*?[]{}~#!\n".utf8)
    private static let builtins: Set<String> = [
        ":", "[", "alias", "bg", "break", "cd", "continue", "echo", "exit", "export", "false", "fg", "getopts", "hash",
        "jobs", "kill", "printf", "pwd", "read", "readonly", "return", "set", "shift", "test", "times", "trap", "true",
        "type", "ulimit", "umask", "unalias", "unset", "wait",
    ]
    /// What starts something in a way of its own, and words that are none.
    private static let reserved: Set<String> = [
        ".", "case", "command", "do", "done", "elif", "else", "esac", "eval", "exec", "fi", "for", "function", "if",
        "in",
        "local", "source", "then", "time", "until", "while",
    ]

    public init(_ line: Bytes) {
        switch ShellLine.split(line) {
        case .failure(let other): self = .syntax(other.what)
        case .success(let words): self = ShellLine.told(words)
        }
    }

    private static func told(_ words: [Bytes]) -> ShellLine {
        guard let first = words.first else { return .nothing }
        let name = first.text ?? ""
        if first.contains(UInt8(ascii: "=")) { return .syntax("an assignment") }
        if reserved.contains(name) { return .syntax("`\(first.shown)`") }
        return builtins.contains(name) ? .builtin(name) : .words(words)
    }

    struct Other: Error { var what: String }

    /// Plain words, quotes taken off.
    static func split(_ line: Bytes) -> Result<[Bytes], Other> {
        var words: [Bytes] = []
        var word: Bytes?
        var quote: UInt8?
        var isEscaped = false
        for byte in line {
            if isEscaped {
                // Within double quotes it stands for itself before most.
                if quote != nil, !"$`\"\\\n".utf8.contains(byte) { word = (word ?? []) + [UInt8(ascii: "\\")] }
                word = (word ?? []) + [byte]
                isEscaped = false
            } else if byte == UInt8(ascii: "\\"), quote != UInt8(ascii: "'") {
                isEscaped = true
            } else if let open = quote {
                if byte == open {
                    quote = nil
                } else if open == UInt8(ascii: "\""), byte == UInt8(ascii: "$") || byte == UInt8(ascii: "`") {
                    return .failure(Other(what: "`\(Bytes([byte]).shown)`"))
                } else {
                    word = (word ?? []) + [byte]
                }
            } else if byte == UInt8(ascii: "'") || byte == UInt8(ascii: "\"") {
                quote = byte
                word = word ?? []
            } else if byte == 0x20 || byte == 0x09 {
                if let done = word { words.append(done) }
                word = nil
            } else if ShellLine.active.contains(byte) {
                return .failure(Other(what: byte == 0x0A ? "several lines" : "`\(Bytes([byte]).shown)`"))
            } else {
                word = (word ?? []) + [byte]
            }
        }
        if quote != nil || isEscaped { return .failure(Other(what: "a quote that doesn't end")) }
        if let done = word { words.append(done) }
        return .success(words)
    }
}
