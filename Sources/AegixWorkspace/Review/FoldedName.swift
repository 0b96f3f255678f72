// Pure. A name as the most forgiving of file systems would take it.

import AegixSystem

/// A workspace may lie on a file system that takes several spellings for one name: without case, with characters that HFS+
/// ignores, with the trailing dots and spaces, streams and short names of NTFS. git itself guards its directories
/// against these. Folded, all spellings of a name are one.
enum FoldedName {
    static func fold(_ name: Bytes) -> Bytes {
        var out = name.allSatisfy { $0 < 0x80 } ? name.map(lower) : unicode(name)
        if let colon = out.firstIndex(of: UInt8(ascii: ":")), colon > 0 { out.removeSubrange(colon...) }
        while out.count > 1, let last = out.last, last == UInt8(ascii: " ") || last == UInt8(ascii: ".") {
            out.removeLast()
        }
        return long(out) ?? out
    }

    static func components(_ path: Bytes) -> [Bytes] { Path.components(path).map(fold) }

    private static func lower(_ byte: UInt8) -> UInt8 { 0x41...0x5A ~= byte ? byte | 0x20 : byte }

    private static func unicode(_ name: Bytes) -> Bytes {
        guard let text = name.text else { return name.map(lower) }
        var out = ""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x200C...0x200F, 0x202A...0x202E, 0x206A...0x206F, 0xFEFF: continue  // HFS+ takes no notice of them
            case 0x017F: out += "s"  // the long s, which is an s but for its case
            default: out += scalar.properties.lowercaseMapping
            }
        }
        return Bytes(out)
    }

    /// `git~1` is `.git`: six characters without the leading dots, a tilde, a number.
    private static func long(_ name: Bytes) -> Bytes? {
        guard let tilde = name.firstIndex(of: UInt8(ascii: "~")), tilde > 0 else { return nil }
        let rest = name[(tilde + 1)...]
        let digits = rest.prefix { 0x30...0x39 ~= $0 }
        if digits.isEmpty || digits.count < rest.count && rest[digits.endIndex] != UInt8(ascii: ".") { return nil }
        return shortened[Bytes(name[..<tilde]) + rest.dropFirst(digits.count)]
    }

    /// What stands before the tilde, with the extension, and the name it stands for.
    private static let shortened: [Bytes: Bytes] = {
        var table: [Bytes: Bytes] = [:]
        for name in HostNames.all
            + [".git", ".gitmodules", ".gitattributes", "hooks", "config.worktree"].map({ Bytes($0) })
        {
            let bare = name.drop { $0 == UInt8(ascii: ".") }
            let dot = bare.lastIndex(of: UInt8(ascii: "."))
            let base = bare[..<(dot ?? bare.endIndex)].filter { $0 != UInt8(ascii: ".") }
            let tail = dot.map { bare[$0...].prefix(4) } ?? []
            table[Bytes(base.prefix(6)) + tail] = name
        }
        return table
    }()
}
