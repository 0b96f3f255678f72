// The walk-throughs of the documentation, run as they stand: each command, and what the page says that it prints.

import Foundation
import Testing

extension Integration {
    @Suite struct WalkThroughTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        /// A command of a page and the lines under it.
        private struct Step {
            var command: String
            var said: [String] = []
        }

        /// What stands between `<!-- walk -->` and `<!-- /walk -->`.
        private static func steps(_ page: String) throws -> [Step] {
            let text = try String(contentsOfFile: "\(Ground.checkout)/docs/\(page)", encoding: .utf8)
            let begun = try #require(text.range(of: "<!-- walk -->"), "\(page) has no walk-through")
            let ended = try #require(text.range(of: "<!-- /walk -->"), "\(page) has no walk-through")
            var steps: [Step] = []
            for line in text[begun.upperBound..<ended.lowerBound].components(separatedBy: "\n")
            where line.hasPrefix("    ") {
                let plain = String(line.dropFirst(4))
                if plain.hasPrefix("$ ") {
                    steps.append(Step(command: String(plain.dropFirst(2))))
                } else if !steps.isEmpty {
                    steps[steps.count - 1].said.append(plain)
                }
            }
            return steps
        }

        /// `…` stands for anything, as ids, digests and sizes are another each time.
        private static func matches(_ said: String, _ line: String) -> Bool {
            let parts = said.components(separatedBy: "…")
            var rest = Substring(line)
            for (index, part) in parts.enumerated() {
                if index == 0 {
                    guard rest.hasPrefix(part) else { return false }
                    rest = rest.dropFirst(part.count)
                } else if index == parts.count - 1 {
                    return rest.hasSuffix(part)
                } else {
                    guard let found = rest.range(of: part) else { return false }
                    rest = rest[found.upperBound...]
                }
            }
            return rest.isEmpty
        }

        @Test(arguments: ["evidence.md"]) func itIsAsThePageSays(_ page: String) throws {
            let steps = try Self.steps(page)
            #expect(steps.count > 5)
            let tools = "\(ground.directory)/bin"
            try FileManager.default.createDirectory(atPath: tools, withIntermediateDirectories: false)
            symlink(ground.aegix, "\(tools)/aegix")
            for step in steps {
                let ended = try ground.outside(
                    "/bin/sh", "-c", "PATH=\(tools):$PATH; export PATH; exec 2>&1; \(step.command)")
                let lines = ended.text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) }
                let said = step.said.map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
                let isSame = lines.count == said.count && zip(said, lines).allSatisfy(Self.matches)
                #expect(
                    isSame,
                    "$ \(step.command)\nsays\n\(ended.text)\nand in \(page) it says\n\(said.joined(separator: "\n"))")
            }
        }
    }
}
