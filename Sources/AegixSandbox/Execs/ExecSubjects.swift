// Pure but for the programs that are known. What an exec would start, as the rules see it.

import AegixPolicy
import AegixSystem

/// An exec that is to be judged, and what has to be the same when it was loaded.
struct ExecPicture: Equatable {
    var chain: ExecChain
    /// For each link, the paths of the programs that it is a copy of.
    var originals: [[Bytes]]

    init(_ chain: ExecChain, known: KnownPrograms) throws(ExecFault) {
        self.chain = chain
        originals = []
        for link in chain.links { originals.append(try known.originals(link.file).map(\.named)) }
    }

    /// In the order of the chain.
    func subjects(_ known: KnownPrograms) -> [ExecSubject] {
        chain.links.indices.map { index in
            let (file, argv) = (chain.links[index].file, chain.links[index].argv)
            let aliases = originals[index]
            var readings = [
                ExecSubject.Reading(
                    paths: [file.path] + known.paths(file), aliases: [Path.normalized(file.named)] + aliases, argv: argv
                )
            ]
            let isMany = known.isMultiCall(file) || aliases.contains(where: MultiCall.isOne)
            if isMany, let words = MultiCall.applet(argv), let name = words.first.map(Path.name) {
                readings.append(
                    .init(paths: [Path.join(Path.parent(file.path), name)], aliases: [name], argv: words))
            }
            return ExecSubject(readings, isWritable: file.isWritable)
        }
    }

    /// The dynamic loader, called by hand with a program to start.
    func isLoaderByHand(_ known: KnownPrograms) -> Bool {
        chain.links.indices.contains { index in
            let paths = [chain.links[index].file.path] + known.paths(chain.links[index].file) + originals[index]
            return chain.links[index].argv.count > 1 && paths.contains(where: MultiCall.isLoader)
        }
    }

    /// Whether the interpreter could find another file under the script's name than the kernel did.
    var script: ExecFollower.Script? {
        guard let word = chain.script, chain.links.count > 1 else { return nil }
        let file = chain.links[chain.links.count - 2].file
        let isSwappable = file.isWritable || Path.normalized(file.named) != file.path
        return isSwappable ? .init(word: word, identity: file.identity) : nil
    }
}
