// Pure. From what the caller asked for to argv and the places to look for the program.

import AegixPolicy
import AegixSystem

public struct CommandPlan: Equatable, Sendable {
    public var argv: [Bytes]
    /// Absolute paths inside, tried in this order.
    public var candidates: [Bytes]

    public static func make(_ invocation: Invocation, path: [Bytes], cwd: Bytes) throws(Failure) -> CommandPlan {
        switch invocation.form {
        case .shell(let line):
            return CommandPlan(argv: [Bytes("sh"), Bytes("-c"), line], candidates: [Bytes("/bin/sh")])
        case .python(let code, let arguments):
            let argv = [Bytes("python3"), Bytes("-c"), code] + arguments
            return CommandPlan(argv: argv, candidates: search(argv[0], path: path, cwd: cwd))
        case .script(let script, let arguments):
            let argv = interpreter(script) + [script.path] + arguments
            return CommandPlan(argv: argv, candidates: search(argv[0], path: path, cwd: cwd))
        case .program(let argv):
            guard let name = argv.first, !name.isEmpty else {
                throw Failure("usage.command", "the command is empty: name a program after `--`")
            }
            return CommandPlan(argv: argv, candidates: search(name, path: path, cwd: cwd))
        }
    }

    /// As a shell looks: a name with a slash is a path, others are sought along PATH.
    private static func search(_ name: Bytes, path: [Bytes], cwd: Bytes) -> [Bytes] {
        if name.contains(Path.slash) { return [Path.join(cwd, name)] }
        return path.map { Path.join($0, name) }
    }

    /// The words before the script's path: its shebang's, else its extension's, else a shell.
    private static func interpreter(_ script: Invocation.Script) -> [Bytes] {
        if let words = shebang(script.content) { return words }
        let name = Path.name(script.path)
        let parts = name.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        let ending = parts.count > 1 ? parts.last.map { String(decoding: $0, as: UTF8.self) } : nil
        switch ending {
        case "py": return [Bytes("python3")]
        case "js", "mjs", "cjs": return [Bytes("node")]
        case "bash": return [Bytes("bash")]
        case "rb": return [Bytes("ruby")]
        case "pl": return [Bytes("perl")]
        default: return [Bytes("/bin/sh")]
        }
    }

    /// `#!interpreter [argument]`, split as the kernel splits it: one argument at most, the rest of the line.
    static func shebang(_ content: Bytes) -> [Bytes]? {
        guard content.starts(with: [UInt8(ascii: "#"), UInt8(ascii: "!")]) else { return nil }
        let line = content.dropFirst(2).prefix(254).prefix { $0 != UInt8(ascii: "\n") && $0 != 0 }
        let blank: (UInt8) -> Bool = { $0 == 0x20 || $0 == 0x09 || $0 == 0x0D }
        let trimmed = line.drop(while: blank)
        let program = Bytes(trimmed.prefix { !blank($0) })
        if program.isEmpty { return nil }
        var rest = Bytes(trimmed.dropFirst(program.count).drop(while: blank))
        while let last = rest.last, blank(last) { rest.removeLast() }
        return rest.isEmpty ? [program] : [program, rest]
    }
}
