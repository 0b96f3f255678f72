// Data. What a run was seen to do with files, bounded.

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

    /// Programs that were executed, by their canonical paths, and what their loading took besides.
    private var programs: [Bytes: Program] = [:]
    /// Files opened that a dynamic loader would map.
    private var libraries: [Bytes: LoadedFile] = [:]
    /// Programs and libraries are told, too.
    let tellsLoads: Bool
    private static let mostLoads = 10_000

    /// - loads: programs and libraries are told, too.
    public init(loads: Bool = false) { tellsLoads = loads }

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

    // MARK: - What was loaded

    private struct Program {
        var file: LoadedFile
        var others: [LoadedFile]
        var asked = 1
        var denied = 0
    }

    func isKnown(program path: Bytes) -> Bool {
        programs[path]?.asked += 1
        return programs[path] != nil
    }

    func add(program file: LoadedFile, _ others: [LoadedFile]) {
        if programs.count < Sightings.mostLoads { programs[file.path] = Program(file: file, others: others) }
    }

    /// What was asked for last was denied by a rule.
    func deny(program path: Bytes) { programs[path]?.denied += 1 }

    func add(library file: LoadedFile) {
        if libraries[file.path] == nil, libraries.count < Sightings.mostLoads { libraries[file.path] = file }
    }

    /// All of it, each path once, in the order of the paths' bytes.
    public var loaded: [LoadedFile] {
        var all = libraries
        for program in programs.values where program.asked > program.denied {
            for file in [program.file] + program.others where all[file.path].map({ $0.kind < file.kind }) ?? true {
                all[file.path] = file
            }
        }
        return all.values.sorted { $0.path.lexicographicallyPrecedes($1.path) }
    }

    func add(script path: Bytes, _ words: [Bytes]) {
        if interpreters.count < Sightings.mostScripts { interpreters[path] = words }
    }
}

/// A file that was made a part of a process.
public struct LoadedFile: Sendable {
    public var path: Bytes
    public var kind: Kind
    /// What it was when it was seen.
    var facts: FileFacts

    /// Of a file that is several, the last counts.
    public enum Kind: String, CaseIterable, Comparable, Sendable {
        case library, script
        /// What the first line of a script or the head of a program names.
        case interpreter
        case program

        public static func < (a: Kind, b: Kind) -> Bool { a.rank < b.rank }

        private var rank: Int {
            switch self {
            case .library: 0
            case .script: 1
            case .interpreter: 2
            case .program: 3
            }
        }
    }
}
