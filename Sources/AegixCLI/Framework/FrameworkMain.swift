// Side effects: those of the command. From argv to the exit code.

import AegixSystem
import Glibc

/// The words of argv, as they are.
public func argumentBytes(_ count: Int32, _ argv: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> [Bytes] {
    var words: [Bytes] = []
    for index in 0..<Int(count) {
        if let word = argv[index] { words.append(Bytes(cString: word)) }
    }
    return words
}

/// Stages: fill closed descriptors, before anything can be opened; find the command; parse its words; run it; tell its
/// failure. What isn't done here: no policy, no plan; each command is its own pipeline, RunCommand the main one.
public func aegixMain(_ argv: [Bytes]) -> Int32 {
    Console.fillClosedStandardDescriptors()
    // A reader that went away is an error of write, told in our own words. The launcher resets it in the child.
    signal(SIGPIPE, SIG_IGN)

    let words = Array(argv.dropFirst())
    let console = Console(json: Arguments.mentions("json", in: words, ending: ["script", "python"]))
    do {
        return try dispatch(words, console)
    } catch {
        return console.report(error)
    }
}

/// The part of `aegixMain` that a test can call.
func dispatch(_ words: [Bytes], _ console: Console) throws(Failure) -> Int32 {
    // `--json` may stand before the command, so that a wrapper can always put it first.
    let leading = words.prefix { $0 == Bytes("--json") }.count
    guard leading < words.count else {
        throw Failure(
            "usage.missing", "there is nothing to run: aegix --cmd STRING, or aegix -- PROGRAM [ARG…]; see aegix --help"
        )
    }
    let first = words[leading]
    if first == Bytes("--help") || first == Bytes("-h") {
        try HelpCommand.overview(console)
        return 0
    }
    if first == Bytes("--version") {
        try version(console)
        return 0
    }
    guard first.first != UInt8(ascii: "-"), !first.isEmpty else { return try start(Commands.implied, words, console) }
    guard let command = Commands.named(first) else { throw HelpCommand.unknown(first) }
    var own = words
    own.remove(at: leading)
    return try start(command, own, console)
}

private func start<C: Command>(_ command: C.Type, _ words: [Bytes], _ console: Console) throws(Failure) -> Int32 {
    let arguments = try Arguments.parse(words, for: command)
    if arguments.flag("help") {
        try HelpCommand.explain(command, console)
        return 0
    }
    return try command.run(arguments, console)
}

private func version(_ console: Console) throws(Failure) {
    if console.json {
        try console.document(["schema": "aegix.version/v1", "version": .string(Version.number)])
    } else {
        try console.print("aegix \(Version.number)")
    }
}
