// The one fixture: the binary under test, a state directory and a workspace of its own, and what is asserted after each run.

import Foundation
import Testing

/// A string as the kernel takes it.
func bytes(_ text: String) -> Bytes { Array(text.utf8) }

/// For long texts: #expect(a == b) would print a megabyte that differs, byte by byte.
func expectSame(_ one: Bytes?, _ other: Bytes?, _ what: String, at location: SourceLocation = #_sourceLocation) {
    let equal = one != nil && one == other
    #expect(equal, "\(what): \(one?.count ?? -1) bytes against \(other?.count ?? -1)", sourceLocation: location)
}

final class Ground {
    /// AEGIX_BINARY, else dist/aegix, else what was built last. None is a failure, never a pass.
    static let binary: String? = {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().path
        let given = ProcessInfo.processInfo.environment["AEGIX_BINARY"].map { [$0] }
        let candidates = given ?? ["\(root)/dist/aegix", "\(root)/.build/dist/release/aegix"]
        return candidates.first { access($0, X_OK) == 0 }
    }()

    /// The checkout, for the files that tests refer to.
    static let checkout = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .deletingLastPathComponent().path

    static let isRoot = geteuid() == 0

    /// Whether a program is here. With AEGIX_MUST_WORK it has to be: `make test` installs them all.
    static func has(_ path: String) -> Bool {
        access(path, X_OK) == 0 || ProcessInfo.processInfo.environment["AEGIX_MUST_WORK"] == "1"
    }

    let aegix: String
    let directory: String
    let workspace: String
    let state: String
    private let temporary: String
    private var cleanup: [() -> Void] = []

    init() throws {
        aegix = try #require(Ground.binary, "no binary to test: AEGIX_BINARY, dist/aegix or .build/dist/release/aegix")
        try #require(Leaks.isReaper)
        var template = Array((NSTemporaryDirectory() + "/aegix-integration-XXXXXX").utf8CString)
        let made = try #require(mkdtemp(&template))
        directory = try #require(realpath(made, nil).map { String(cString: $0) })
        chmod(directory, 0o755)
        (workspace, state, temporary) = ("\(directory)/workspace", "\(directory)/state", "\(directory)/tmp")
        for path in [workspace, temporary, "\(directory)/home"] {
            try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
        }
        if ProcessInfo.processInfo.environment["AEGIX_KEEP"] == nil {
            atEnd { [directory] in try? FileManager.default.removeItem(atPath: directory) }
        }
    }

    deinit { for action in cleanup.reversed() { action() } }

    /// Later actions run first.
    func atEnd(_ action: @escaping () -> Void) { cleanup.append(action) }

    // MARK: Files

    @discardableResult func write(_ name: String, _ content: Bytes, mode: mode_t = 0o644) throws -> String {
        let path = name.hasPrefix("/") ? name : "\(workspace)/\(name)"
        try Data(content).write(to: URL(fileURLWithPath: path))
        chmod(path, mode)
        return path
    }

    @discardableResult func write(_ name: String, _ text: String, mode: mode_t = 0o644) throws -> String {
        try write(name, bytes(text), mode: mode)
    }

    func read(_ path: String) -> Bytes? { FileManager.default.contents(atPath: path).map(Array.init) }

    /// A policy file outside of the workspace; returns the options that choose it.
    func policy(_ text: String) throws -> [String] {
        ["--policy", try write("\(directory)/policy.toml", "version = 1\nname = \"test\"\n" + text)]
    }

    // MARK: Runs

    var environment: [String: Bytes] {
        [
            "PATH": bytes("/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), "LANG": bytes("C.UTF-8"),
            "HOME": bytes("\(directory)/home"), "TMPDIR": bytes(temporary), "AEGIX_STATE": bytes(state),
        ]
    }

    func spawn(
        raw arguments: [Bytes], env: [String: Bytes] = [:], directory: Bytes? = nil, stdin: Stream = .nothing,
        stdout: Stream = .pipe, stderr: Stream = .pipe
    ) throws -> Child {
        let pairs = environment.merging(env) { $1 }.map { bytes($0.key) + bytes("=") + $0.value }
        return try Child(
            [bytes(aegix)] + arguments, environment: pairs, directory: directory ?? bytes(workspace), stdin: stdin,
            stdout: stdout, stderr: stderr)
    }

    func spawn(_ arguments: [String], env: [String: Bytes] = [:], stdin: Stream = .nothing, stdout: Stream = .pipe)
        throws
        -> Child
    {
        try spawn(raw: arguments.map(bytes), env: env, stdin: stdin, stdout: stdout)
    }

    /// aegix with this command line, from the workspace; then the search for what it left.
    @discardableResult func run(
        raw arguments: [Bytes], env: [String: Bytes] = [:], directory: Bytes? = nil, input: Bytes? = nil,
        stdin: Stream? = nil, slowly: Bool = false, deadline: Double = 60,
        at location: SourceLocation = #_sourceLocation
    ) throws -> Ended {
        let (before, recorded) = (Leaks.mounts(), runs.count)
        let feed: Stream = stdin ?? (input == nil ? .nothing : .pipe)
        var child = try spawn(raw: arguments, env: env, directory: directory, stdin: feed)
        let ended = child.finish(input: input ?? [], deadline: deadline, slowly: slowly)
        #expect(ended.seconds < deadline, "killed after \(deadline) s", sourceLocation: location)
        nothingLeft(since: before, at: location)
        let runs = Set(["--cmd", "--python", "--script", "--"].map(bytes))
        let asks = [bytes("plan"), bytes("policy")]
        if !asks.contains(arguments.first ?? []), ended.code != 125, !runs.isDisjoint(with: arguments) {
            self.recorded(recorded + 1, at: location)
        }
        return ended
    }

    @discardableResult func run(
        _ arguments: String..., env: [String: Bytes] = [:], input: Bytes? = nil, slowly: Bool = false,
        deadline: Double = 60, at location: SourceLocation = #_sourceLocation
    ) throws -> Ended {
        try run(
            raw: arguments.map(bytes), env: env, input: input, slowly: slowly, deadline: deadline, at: location)
    }

    /// Another program, which may call aegix, from the workspace.
    func outside(_ words: [String]) throws -> Ended {
        let pairs = environment.map { bytes($0.key) + bytes("=") + $0.value }
        var child = try Child(
            words.map(bytes), environment: pairs, directory: bytes(workspace), stdin: .nothing, stdout: .pipe,
            stderr: .pipe)
        return child.finish()
    }

    func outside(_ words: String...) throws -> Ended { try outside(words) }

    /// The common case: `aegix [OPTIONS] --cmd SCRIPT`.
    @discardableResult func shell(
        _ script: String, _ options: [String] = [], env: [String: Bytes] = [:], input: Bytes? = nil,
        slowly: Bool = false, deadline: Double = 60, at location: SourceLocation = #_sourceLocation
    ) throws -> Ended {
        try run(
            raw: (options + ["--cmd", script]).map(bytes), env: env, input: input, slowly: slowly, deadline: deadline,
            at: location)
    }

    func nothingLeft(since before: [String], at location: SourceLocation = #_sourceLocation) {
        #expect(Leaks.processes() == [], "processes left behind", sourceLocation: location)
        #expect(Leaks.mounts() == before, "mounts left behind", sourceLocation: location)
        let files = (try? FileManager.default.contentsOfDirectory(atPath: temporary)) ?? []
        #expect(files == [], "temporary files left behind", sourceLocation: location)
        let known: Set = [
            "runs", "sandboxes", "gone", "ledger.jsonl", "ledger.head.dsse.json", "keys", "cache", "live", "trust",
        ]
        let kept = Set((try? FileManager.default.contentsOfDirectory(atPath: state)) ?? [])
        #expect(kept.subtracting(known) == [], "unknown files in the state directory", sourceLocation: location)
        let alive = (try? FileManager.default.contentsOfDirectory(atPath: "\(state)/live")) ?? []
        #expect(alive == [], "a run that is over still counts as alive", sourceLocation: location)
    }

    // MARK: Records

    /// After runs that a test has spawned by itself: each has left its record, and nothing else.
    func recorded(_ count: Int, at location: SourceLocation = #_sourceLocation) {
        #expect(runs.count == count, "runs that left a record", sourceLocation: location)
        nothingLeft(since: Leaks.mounts(), at: location)
    }

    /// Run directories, oldest first: run ids are ordered by time.
    var runs: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: "\(state)/runs")) ?? []).sorted().map {
            "\(state)/runs/\($0)"
        }
    }

    /// The newest run's record.
    func record(at location: SourceLocation = #_sourceLocation) throws -> JSON {
        let newest = try #require(runs.last, "no run was recorded", sourceLocation: location)
        let text = try #require(read("\(newest)/audit.json"), "no audit.json", sourceLocation: location)
        return try JSON(text)
    }

    /// The only document on stdout.
    static func document(_ ended: Ended, at location: SourceLocation = #_sourceLocation) throws -> JSON {
        let parsed = try? JSON(ended.out)
        return try #require(
            parsed, "stdout isn't one JSON document: \(ended.text.prefix(300)) \(ended.errorText.prefix(300))",
            sourceLocation: location)
    }
}

/// Loose access to a document: a missing member is nil all the way down.
struct JSON {
    let value: Any?

    init(_ text: Bytes) throws {
        value = try JSONSerialization.jsonObject(with: Data(text), options: .fragmentsAllowed)
    }
    private init(value: Any?) { self.value = value is NSNull ? nil : value }

    subscript(_ key: String) -> JSON { JSON(value: (value as? [String: Any])?[key]) }
    subscript(_ index: Int) -> JSON {
        let items = value as? [Any] ?? []
        return JSON(value: items.indices.contains(index) ? items[index] : nil)
    }
    var string: String? { value as? String }
    var int: Int? { (value as? NSNumber)?.intValue ?? string.flatMap { Int($0) } }
    var bool: Bool? { (value as? NSNumber)?.boolValue }
    var array: [JSON] { (value as? [Any] ?? []).map { JSON(value: $0) } }
    var isList: Bool { value is [Any] }
    var keys: Set<String> { Set((value as? [String: Any] ?? [:]).keys) }
    /// Text, or the bytes of `{"base64": …}`.
    var bytes: Bytes? {
        string.map { Array($0.utf8) } ?? self["base64"].string.flatMap { Data(base64Encoded: $0) }.map(Array.init)
    }
}
