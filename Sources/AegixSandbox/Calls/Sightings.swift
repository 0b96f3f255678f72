// Data. What a learning run was seen to do with files, bounded.

import AegixSystem

/// Filled by `PathWatch` while the command runs. A name is what it was when it was seen, and nothing is decided by it.
public final class Sightings {
    public struct Use: OptionSet, Sendable {
        public let rawValue: UInt8
        public init(rawValue: UInt8) { self.rawValue = rawValue }

        /// Asked about, and not opened.
        public static let looked = Use(rawValue: 1)
        public static let read = Use(rawValue: 2)
        /// A directory, opened.
        public static let listed = Use(rawValue: 4)
        public static let written = Use(rawValue: 8)
        /// A name of it made, removed or renamed.
        public static let named = Use(rawValue: 16)
        /// It is a directory.
        public static let directory = Use(rawValue: 32)
        /// A symbolic link that was gone through.
        public static let link = Use(rawValue: 64)
    }

    public struct Sighting: Sendable {
        public var use: Use
        /// The program that was the first.
        public var by: Bytes
    }

    /// In view, and of no base system; canonical paths.
    public private(set) var seen: [Bytes: Sighting] = [:]
    /// Not there inside. Whether the host has them isn't asked here.
    public private(set) var missing: [Bytes: Bytes] = [:]
    /// What the first lines of scripts name, by the script's path.
    public private(set) var interpreters: [Bytes: [Bytes]] = [:]
    /// The first program that held another one as a debugger does.
    public internal(set) var tracer: Bytes?
    /// More than there is room for.
    public private(set) var leftOut = 0

    private static let mostSeen = 20_000
    private static let mostMissing = 2_000
    private static let mostScripts = 2_000

    public init() {}

    func add(_ path: Bytes, _ use: Use, by program: () -> Bytes) {
        if let known = seen[path] {
            if !known.use.isSuperset(of: use) { seen[path]?.use.formUnion(use) }
        } else if seen.count < Sightings.mostSeen {
            seen[path] = Sighting(use: use, by: program())
        } else {
            leftOut += 1
        }
    }

    func add(missing path: Bytes, by program: () -> Bytes) {
        if missing[path] == nil, missing.count < Sightings.mostMissing { missing[path] = program() }
    }

    func add(script path: Bytes, _ words: [Bytes]) {
        if interpreters.count < Sightings.mostScripts { interpreters[path] = words }
    }
}
