// Pure. Programs that are many: which of them runs is said by the name they are called by.

import AegixSystem

public enum MultiCall {
    public static let names = ["busybox", "toybox", "coreutils"].map { Bytes($0) }

    /// busybox takes any name that begins with its own for its own.
    public static func isOne(_ path: Bytes) -> Bool {
        names.contains(Path.name(path)) || Path.name(path).starts(with: names[0])
    }

    /// What such a program would run for these words, with the words that it would get; nil: itself.
    public static func applet(_ argv: [Bytes]) -> [Bytes]? {
        var argv = argv
        while let name = argv.first, isOne(name) { argv.removeFirst() }
        let option = Bytes("--coreutils-prog=")
        if let first = argv.first, first.starts(with: option) { argv[0] = Bytes(first.dropFirst(option.count)) }
        return argv.isEmpty ? nil : argv
    }

    /// The dynamic loader: run by hand it starts a program that no exec shows.
    public static func isLoader(_ path: Bytes) -> Bool {
        let name = Path.name(path)
        return ["ld-linux*.so*", "ld-*.so", "ld.so", "ld-musl-*", "ld64.so*"].contains {
            Wildcard.matches(Bytes($0), name)
        }
    }

    public static let loaders = [
        "/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-linux.so.2",
    ].map { Bytes($0) }
}
