// Side effects: looks at files of the sandbox. What the kernel would load for an exec, and with which words.

import AegixPlan
import AegixSystem
import Glibc

/// The file that is called, and for a script its interpreters, as the kernel goes through them.
struct ExecChain: Equatable {
    struct Link: Equatable {
        var file: ExecFile
        /// argv as the program at this place of the chain would get it.
        var argv: [Bytes]
    }

    /// At least one; the last is what is loaded.
    var links: [Link]
    /// As the interpreter is told to open it.
    var script: Bytes?

    var image: Link? { links.last }

    private static let deepest = 5

    /// - name: the path as the kernel hands it on: of an execveat by descriptor, `/dev/fd/N` and what followed.
    static func follow(
        _ first: ExecFile, name: Bytes, argv: [Bytes], files: ExecFiles, of pid: pid_t
    ) throws(ExecFault) -> ExecChain {
        var argv = argv.isEmpty ? [Bytes()] : argv  // as the kernel does
        var chain = ExecChain(links: [Link(file: first, argv: argv)])
        var (file, called) = (first, name)
        while let words = Shebang.words(file.head) {
            if chain.links.count > deepest { throw .answer(ELOOP) }
            chain.script = called
            argv = words + [called] + argv.dropFirst()
            file = try files.find(words[0], of: pid)
            called = words[0]
            chain.links.append(Link(file: file, argv: argv))
        }
        return chain
    }
}
