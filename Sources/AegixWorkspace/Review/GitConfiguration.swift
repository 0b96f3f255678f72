// Pure but for what it asks of its Surroundings. What the git configuration of a workspace makes git read or run elsewhere in it.

import AegixSystem

/// `core.hooksPath = .husky`, `include.path = ../.gitconfig`, `diff.x.textconv = tools/show`: git obeys these files although they lie in no git
/// directory. The configuration is the workspace's own, from before the run; what the run makes of it is protected itself.
struct GitConfiguration {
    /// Paths of the workspace as folded names.
    private(set) var named: [[Bytes]] = []
    private let around: any Surroundings
    private var read: Set<Bytes> = []

    /// Looks for a repository in each directory above a change.
    init(_ list: ChangeList, _ around: any Surroundings) throws(SystemError) {
        self.around = around
        var above: Set<Bytes> = [[]]
        for change in list.changes {
            var directory = Path.relativeParent(change.path)
            while above.insert(directory).inserted { directory = Path.relativeParent(directory) }
        }
        for top in above {
            let git = GitConfiguration.under(top, ".git")
            switch try around.kind(git) {
            case .directory: try take(GitConfiguration.under(git, "config"), top: top, depth: 0)
            case .file:
                // A worktree or a submodule: `gitdir: ../.git/modules/x`.
                guard let text = around.before(git), text.starts(with: Bytes("gitdir: ")) else { continue }
                let target = Bytes(text.dropFirst(8).prefix { $0 != 0x0A && $0 != 0x0D })
                if let place = resolved(target, from: top) {
                    try take(GitConfiguration.under(place, "config"), top: top, depth: 0)
                }
            default: continue
            }
        }
    }

    func names(_ path: [Bytes]) -> Bool { named.contains { path.starts(with: $0) } }

    /// A link at a directory above such a file puts another in its place.
    func leads(_ path: [Bytes]) -> Bool { named.contains { $0.starts(with: path) } }

    // MARK: - Reading

    private mutating func take(_ path: Bytes, top: Bytes, depth: Int) throws(SystemError) {
        guard depth < 8, read.insert(path).inserted, let text = around.before(path) else { return }
        for setting in GitConfiguration.settings(text) {
            if GitConfiguration.paths.contains(setting.key) {
                let isInclude = setting.key == Bytes("path")
                guard let place = resolved(setting.value, from: isInclude ? Path.relativeParent(path) : top) else {
                    continue
                }
                named.append(FoldedName.components(place))
                if isInclude { try take(place, top: top, depth: depth + 1) }
            } else if GitConfiguration.commands.contains(setting.key) || setting.isShell {
                for word in setting.value.split(whereSeparator: { " \t\"';|&()!".utf8.contains($0) }) {
                    guard let place = resolved(Bytes(word), from: top) else { continue }
                    // A bare word is a program of the host's or an argument, unless such a file is here.
                    if !word.contains(Path.slash), try around.kind(place) != .file { continue }
                    named.append(FoldedName.components(place))
                }
            }
        }
    }

    /// A path of the workspace, if it is in it, and not the workspace itself.
    private func resolved(_ value: Bytes, from directory: Bytes) -> Bytes? {
        if value.isEmpty || value.contains(0) { return nil }
        let whole = Path.normalized(Path.join(Path.join(around.workspace, directory), value))
        guard Path.contains(around.workspace, whole), whole != around.workspace else { return nil }
        return Bytes(whole.dropFirst(around.workspace == [Path.slash] ? 1 : around.workspace.count + 1))
    }

    private static func under(_ path: Bytes, _ name: String) -> Bytes {
        path.isEmpty ? Bytes(name) : Path.join(path, Bytes(name))
    }

    private static let paths = Set(["hookspath", "path", "attributesfile", "templatedir"].map { Bytes($0) })
    private static let commands = Set(
        [
            "fsmonitor", "sshcommand", "editor", "pager", "gitproxy", "askpass", "external", "textconv", "command",
            "clean",
            "smudge", "process", "driver", "program", "helper", "cmd", "difffilter", "packobjectshook",
            "defaultkeycommand",
        ].map { Bytes($0) })

    // MARK: - The format

    struct Setting: Equatable {
        var section: Bytes
        var key: Bytes
        var value: Bytes

        /// An alias that isn't one of git's own commands, or a pager.
        var isShell: Bool {
            section == Bytes("pager") || section == Bytes("alias") && value.first == UInt8(ascii: "!")
        }
    }

    /// Section and key in lower case, without subsections; a value with its quotes and comments taken off.
    static func settings(_ text: Bytes) -> [Setting] {
        var found: [Setting] = []
        var section = Bytes()
        for line in joined(text) {
            var rest = line.drop(while: isBlank)
            if rest.first == UInt8(ascii: "["), let end = rest.firstIndex(of: UInt8(ascii: "]")) {
                section = lower(rest[..<end].dropFirst().prefix { !isBlank($0) && $0 != UInt8(ascii: ".") })
                rest = rest[(end + 1)...].drop(while: isBlank)
            }
            guard let equals = rest.firstIndex(of: UInt8(ascii: "=")) else { continue }
            let key = lower(rest[..<equals].prefix { !isBlank($0) })
            found.append(Setting(section: section, key: key, value: plain(rest[(equals + 1)...].drop(while: isBlank))))
        }
        return found
    }

    /// Lines, of which one that ends in a backslash goes on.
    private static func joined(_ text: Bytes) -> [Bytes] {
        var lines: [Bytes] = []
        var goesOn = false
        for line in text.split(separator: 0x0A, omittingEmptySubsequences: false) {
            var line = Bytes(line)
            if line.last == 0x0D { line.removeLast() }
            let continues = line.last == UInt8(ascii: "\\")
            if continues { line.removeLast() }
            if goesOn { lines[lines.count - 1] += line } else { lines.append(line) }
            goesOn = continues
        }
        return lines
    }

    private static func plain(_ value: ArraySlice<UInt8>) -> Bytes {
        var out = Bytes()
        var (isQuoted, isEscaped) = (false, false)
        for byte in value {
            if isEscaped {
                out.append(byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isQuoted.toggle()
            } else if !isQuoted, byte == UInt8(ascii: "#") || byte == UInt8(ascii: ";") {
                break
            } else {
                out.append(byte)
            }
        }
        while let last = out.last, isBlank(last) { out.removeLast() }
        return out
    }

    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 }
    private static func lower(_ bytes: ArraySlice<UInt8>) -> Bytes { bytes.map { 0x41...0x5A ~= $0 ? $0 | 0x20 : $0 } }
}
