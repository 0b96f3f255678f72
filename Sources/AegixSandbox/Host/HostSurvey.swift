// Side effects: reads the host. Fills HostFacts; decides nothing.

import AegixPlan
import AegixPolicy
import AegixSystem
import CAegix
import Glibc

/// Looks at the host once, before the plan: a few dozen system calls.
public enum HostSurvey {
    public struct Request {
        public var workspace: Bytes
        /// Where the workspace lies on the host, if elsewhere.
        public var source: Bytes?
        public var cwd: Bytes
        /// What the command's environment is made from, instead of the caller's. Secrets still come from the caller's own.
        public var environment: [HostFacts.Variable]?
        public var policy: Policy
        public var guarded: [(path: Bytes, what: String)]
        /// Nothing less will do, so what costs more is tried as well.
        public var needsSealed: Bool

        public init(
            workspace: Bytes, source: Bytes? = nil, cwd: Bytes, environment: [HostFacts.Variable]? = nil,
            policy: Policy, guarded: [(path: Bytes, what: String)], needsSealed: Bool = false
        ) {
            self.workspace = workspace
            self.source = source
            self.environment = environment
            self.cwd = cwd
            self.policy = policy
            self.guarded = guarded
            self.needsSealed = needsSealed
        }
    }

    public static func facts(_ request: Request) throws(Failure) -> HostFacts {
        var workspace = try look(
            request.source ?? request.workspace, origin: "--workspace", code: "workspace.missing", what: "the workspace"
        )
        if request.source != nil { (workspace.source, workspace.path) = (workspace.path, request.workspace) }
        if workspace.kind != .directory {
            throw Failure("workspace.missing", "the workspace \(workspace.path.shown) isn't a directory")
        }
        var facts = HostFacts(uid: geteuid(), gid: getegid(), cwd: request.cwd, workspace: workspace)
        facts.environment = environment()
        let home = Bytes("HOME")
        facts.home = (request.environment ?? facts.environment).first { $0.name == home }?.value
        if facts.home.map(Path.isAbsolute) != true { facts.home = nil }
        facts.kernel = kernel()
        facts.landlockABI = Int(aegix_landlock_abi())
        facts.ptraceScope = ProbeFiles.number("/proc/sys/kernel/yama/ptrace_scope") ?? 0
        facts.processors = Int(aegix_processors())
        facts.dumpsToSocket = dumpsToSocket
        let isRequired = request.policy.require == .sealed
        switch isRequired ? CgroupSearch.find(enters: request.needsSealed) : CgroupSearch.find() {
        case .place(let place): facts.cgroup = place
        case .lack(let lack): facts.cgroupLack = lack
        }
        facts.userName = userName(facts.uid == 0 ? workspace.uid : facts.uid)
        facts.base = base()
        // A policy that accepts no less doesn't pay for a probe.
        if request.policy.require == .confined { facts.namespaces = HostProbe.namespaces(workspace: workspace.host) }
        var isConfined = false
        if case .refused = facts.namespaces { isConfined = true }
        if isConfined { facts.shared = SharedView.all.filter { $0.withCString { access($0, R_OK) == 0 } } }
        // Twice, so that each entry is checked against every place that a command may write to.
        facts.writes = try views(request.policy.files.write, facts: facts)
        facts.writes = try views(request.policy.files.write, facts: facts)
        facts.reads = try views(request.policy.files.read, facts: facts)
        facts.secrets = try secrets(request.policy, facts)
        facts.environment = request.environment ?? facts.environment
        for item in request.guarded { guardPath(item.path, what: item.what, &facts.guarded) }
        var denials: [DenialPattern] = []
        for rule in request.policy.files.deny {
            for pattern in try PatternSearch.denied(rule, home: facts.home, workspace: facts.workspace.path) {
                denials.append((pattern, rule.origin))
            }
        }
        facts.denials = denials.map(\.pattern)
        var walk = ViewWalk(facts: facts)
        facts.denied = try walk.denied(denials)
        var writable = facts.writes
        if request.policy.workspace.mode == .direct { writable.append(workspace) }
        for fact in writable { try walk.refuseSockets(in: fact) }
        if isConfined {
            var read = facts.reads
            if request.policy.workspace.mode == .readOnly { read.append(workspace) }
            for fact in read { try walk.refuseFIFOs(in: fact) }
        }
        if request.policy.network.mode == .host { facts.networkFiles = try networkFiles() }
        return facts
    }

    /// How the host looks names up, for a command that shares its network.
    private static func networkFiles() throws(Failure) -> NetworkPlan.HostFiles {
        func content(_ path: String) throws(Failure) -> Bytes {
            do {
                return try Descriptor.open(Bytes(path), O_RDONLY).readAll(limit: 1 << 20)
            } catch {
                if error.errno == ENOENT { return [] }
                throw Failure("network.files", "can't read \(path)", error)
            }
        }
        return .init(resolvers: try content("/etc/resolv.conf"), hosts: try content("/etc/hosts"))
    }

    /// Opens without side effects, follows symlinks once, and says what is really there.
    static func look(_ path: Bytes, origin: String, code: String, what: String) throws(Failure) -> PathFact {
        do {
            return try look(path, origin: origin)
        } catch {
            let remedy = error.errno == ENOENT ? ". Create it, or name another" : ""
            throw Failure(
                code, "can't use \(what) \(path.shown) (\(origin)): \(error.reason)\(remedy)", errno: error.errno)
        }
    }

    private static func look(_ path: Bytes, origin: String) throws(SystemError) -> PathFact {
        let file = try Descriptor.open(path, Descriptor.pathOnly)
        var facts = stat()
        if fstat(file.raw, &facts) < 0 { throw SystemError.last("fstat", path) }
        let kind: PathFact.Kind
        switch facts.st_mode & S_IFMT {
        case S_IFDIR: kind = .directory
        case S_IFREG: kind = .file
        default: throw SystemError("open", path, errno: ENOTSUP)
        }
        return PathFact(
            path: try canonical(file.raw), kind: kind, device: UInt64(facts.st_dev), inode: UInt64(facts.st_ino),
            uid: facts.st_uid, gid: facts.st_gid, mode: facts.st_mode & 0o7777, origin: origin)
    }

    /// The path of an open file, as the kernel names it.
    static func canonical(_ descriptor: Int32) throws(SystemError) -> Bytes {
        try readLink(Bytes("/proc/self/fd/\(descriptor)"))
    }

    static func readLink(_ path: Bytes) throws(SystemError) -> Bytes {
        let target: Bytes? = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4096) { buffer in
            guard let base = buffer.baseAddress else { return nil }
            let count = path.withCString { readlink($0, base, buffer.count) }
            return count < 0 ? nil : Bytes(UnsafeRawBufferPointer(start: base, count: count))
        }
        guard let target else { throw SystemError.last("readlink", path) }
        return target
    }

    /// Where the path leads, and each symlink on the way there: who can replace one leads aegix elsewhere.
    private static func guardPath(_ path: Bytes, what: String, _ guarded: inout [GuardedPath]) {
        let real = canonicalOrLexical(path)
        func add(_ item: GuardedPath) {
            if !guarded.contains(where: { $0.path == item.path }) { guarded.append(item) }
        }
        add(GuardedPath(path: real.path, kind: real.kind, what: what))
        if real.path == path { return }
        var place = Bytes("/")
        for name in Path.components(path) {
            let next = Path.join(place, name)
            var facts = stat()
            if next.withCString({ lstat($0, &facts) }) == 0, facts.st_mode & S_IFMT == S_IFLNK {
                add(GuardedPath(path: next, kind: nil, what: "a symlink on the way to " + what))
            }
            place = canonicalOrLexical(next).path
        }
    }

    /// For one look at a path of the caller's own.
    public static func canonicalPath(_ path: Bytes) throws(SystemError) -> Bytes {
        let file = try Descriptor.open(path, Descriptor.pathOnly)
        return try canonical(file.raw)
    }

    private static func canonicalOrLexical(_ path: Bytes) -> (path: Bytes, kind: PathFact.Kind?) {
        do {
            let fact = try look(path, origin: "")
            return (fact.path, fact.kind)
        } catch {
            // Not there: its nearest existing ancestor decides where it would be.
            let parent = Path.parent(path)
            if parent == path || parent == [Path.slash] { return (Path.normalized(path), nil) }
            return (Path.join(canonicalOrLexical(parent).path, Path.name(path)), nil)
        }
    }

    private static func views(_ rules: [Policy.PathRule], facts: HostFacts) throws(Failure) -> [PathFact] {
        var found: [PathFact] = []
        for rule in rules {
            for path in try PatternSearch.paths(of: rule, home: facts.home, workspace: facts.workspace.path) {
                let fact = try look(path, origin: rule.origin, code: "files.missing", what: "the path")
                try check(fact, against: rule)
                try refusePlanted(path, areas: [facts.workspace.path] + facts.writes.map(\.path), origin: rule.origin)
                if !found.contains(where: { $0.path == fact.path }) { found.append(fact) }
            }
        }
        return found
    }

    /// A symlink in a place that commands write to may be one of theirs: what it leads to isn't what the policy means.
    static func refusePlanted(_ path: Bytes, areas: [Bytes], origin: String) throws(Failure) {
        var place = Bytes("/")
        for name in Path.components(path) {
            let next = Path.join(place, name)
            var facts = stat()
            if areas.contains(where: { Path.contains($0, place) }), next.withCString({ lstat($0, &facts) }) == 0,
                facts.st_mode & S_IFMT == S_IFLNK
            {
                throw Failure(
                    "files.escape",
                    "\(path.shown) goes through the symlink \(next.shown), which a command may have put there "
                        + "(\(origin)). Name what is meant by its own path")
            }
            place = canonicalOrLexical(next).path
        }
    }

    /// A policy that narrows another means a place beneath the other's, wherever symlinks lead by now.
    private static func check(_ fact: PathFact, against rule: Policy.PathRule) throws(Failure) {
        for base in rule.beneath where !Path.contains(canonicalOrLexical(base).path, fact.path) {
            throw Failure(
                "files.escape",
                "\(rule.pattern.shown) leads to \(fact.path.shown), outside of \(base.shown) that it narrows (\(rule.origin))"
            )
        }
    }

    private static func environment() -> [HostFacts.Variable] {
        var variables: [HostFacts.Variable] = []
        var cursor = aegix_environment()
        while let entry = cursor.pointee {
            if let split = strchr(entry, Int32(UInt8(ascii: "="))), split > entry {
                let name = Bytes(UnsafeRawBufferPointer(start: entry, count: split - entry))
                variables.append(.init(name: name, value: Bytes(cString: split + 1)))
            }
            cursor += 1
        }
        return variables
    }

    static func variable(_ name: String) -> Bytes? { getenv(name).map { Bytes(cString: $0) } }

    private static func kernel() -> String {
        var names = utsname()
        uname(&names)
        return withUnsafeBytes(of: names.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    }

    /// From /etc/passwd itself: a static binary has no name services.
    private static func userName(_ uid: UInt32) -> Bytes? {
        do {
            return name(of: uid, in: try Descriptor.open(Bytes("/etc/passwd"), O_RDONLY).readAll(limit: 1 << 20))
        } catch {
            return nil
        }
    }

    /// The first field of the line whose third is this number.
    static func name(of uid: UInt32, in passwd: Bytes) -> Bytes? {
        let newline = UInt8(ascii: "\n")
        let wanted = Bytes(String(uid))
        var (line, nameEnd, field, start) = (0, 0, 0, 0)
        for index in 0...passwd.count {
            let byte = index < passwd.count ? passwd[index] : newline
            if byte != newline, byte != UInt8(ascii: ":") { continue }
            if field == 0 { nameEnd = index }
            if field == 2, passwd[start..<index] == wanted[...] { return Bytes(passwd[line..<nameEnd]) }
            field += 1
            start = index + 1
            if byte == newline { (line, field) = (start, 0) }
        }
        return nil
    }

    // MARK: - The base system

    private static func base() -> [BaseEntry] {
        var entries: [BaseEntry] = []
        for root in BaseView.rootPaths { if let entry = entry(root) { entries.append(entry) } }
        let etc = Bytes("/etc")
        for name in etcNames() { if let entry = entry(Path.join(etc, name)) { entries.append(entry) } }
        return entries
    }

    /// With the configuration of each Java runtime: `java-17-openjdk-amd64` has /etc/java-17-openjdk.
    private static func etcNames() -> [Bytes] {
        var names = BaseView.etcNames
        for runtime in DirectoryListing.names(BaseView.javaRuntimes) {
            var hyphens = 0
            for index in runtime.indices where runtime[index] == UInt8(ascii: "-") {
                hyphens += 1
                if hyphens < 3 { continue }
                let name = Bytes(runtime[..<index])
                if !names.contains(name) { names.append(name) }
                break
            }
        }
        return names
    }

    /// A link into /usr stays a link; another one is replaced by what it leads to.
    private static func entry(_ path: Bytes) -> BaseEntry? {
        var facts = stat()
        if path.withCString({ lstat($0, &facts) }) < 0 { return nil }
        do {
            switch facts.st_mode & S_IFMT {
            case S_IFDIR: return BaseEntry(path: path, kind: .directory(device: 0, inode: 0, source: path))
            case S_IFREG: return BaseEntry(path: path, kind: .file(device: 0, inode: 0, source: path))
            case S_IFLNK:
                let target = try readLink(path)
                let absolute = Path.normalized(Path.join(Path.parent(path), target))
                if Path.contains(Bytes("/usr"), absolute) { return BaseEntry(path: path, kind: .symlink(target)) }
                let real = try look(path, origin: "")
                let kind: BaseEntry.Kind =
                    real.kind == .directory
                    ? .directory(device: real.device, inode: real.inode, source: real.path)
                    : .file(device: real.device, inode: real.inode, source: real.path)
                return BaseEntry(path: path, kind: kind)
            default: return nil
            }
        } catch {
            return nil  // a dangling link of the host's is as good as absent
        }
    }
}

// MARK: - Single looks

extension HostSurvey {
    /// The canonical path of a workspace.
    public static func directory(_ path: Bytes) throws(Failure) -> Bytes {
        let fact = try look(path, origin: "--workspace", code: "workspace.missing", what: "the workspace")
        if fact.kind == .directory { return fact.path }
        throw Failure("workspace.missing", "the workspace \(path.shown) isn't a directory")
    }

    public static var ownBinary: Bytes? {
        do { return try readLink(Bytes("/proc/self/exe")) } catch { return nil }
    }

    private static let longestScript = 16 << 20

    /// A script of the caller's word: read once, so what runs is what was read.
    public static func script(_ path: Bytes) throws(Failure) -> Invocation.Script {
        let fact = try look(path, origin: "--script", code: "script.missing", what: "the script")
        do {
            let file = try Descriptor.open(fact.path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW)
            if fact.kind != .file { throw SystemError("read", path, errno: EISDIR) }
            return Invocation.Script(path: fact.path, content: try file.readAll(limit: longestScript))
        } catch let error as SystemError {
            throw Failure("script.missing", "can't read the script \(path.shown)", error)
        } catch {
            throw Failure("script.missing", "can't read the script \(path.shown): \(error)")
        }
    }
}

// MARK: - For the record

extension HostSurvey {
    /// As it calls itself; nil: it doesn't.
    public static var processor: Bytes? {
        var name = [CChar](repeating: 0, count: Int(AEGIX_PROCESSOR_NAME))
        aegix_processor_name(&name)
        let text = name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        let trimmed = text.drop { $0 == 0x20 }
        return trimmed.isEmpty
            ? nil : Bytes(trimmed.prefix(trimmed.lastIndex { $0 != 0x20 }.map { $0 - trimmed.startIndex + 1 } ?? 0))
    }

    /// PRETTY_NAME of os-release, which may be in either place; nil: there is none.
    public static var distribution: Bytes? {
        let key = Bytes("PRETTY_NAME=")
        for place in ["/etc/os-release", "/usr/lib/os-release"] {
            let text: Bytes
            do throws(SystemError) {
                text = try Descriptor.open(Bytes(place), O_RDONLY | O_NONBLOCK).readAll(limit: 1 << 16)
            } catch {
                continue
            }
            guard let line = text.split(separator: 0x0A).first(where: { $0.starts(with: key) }) else { continue }
            let value = line.dropFirst(key.count)
            let quotes = value.count > 1 && value.first == value.last && [0x22, 0x27].contains(value.first)
            return Bytes(quotes ? value.dropFirst().dropLast() : value)
        }
        return nil
    }
}

extension HostSurvey {
    /// A `core_pattern` of `@/path`, since Linux 6.16. One that can't be read is no such thing: then there is no /proc/sys.
    private static var dumpsToSocket: Bool {
        do throws(SystemError) {
            let pattern = try Descriptor.open(Bytes("/proc/sys/kernel/core_pattern"), O_RDONLY).readAll(limit: 4096)
            return pattern.first == UInt8(ascii: "@")
        } catch {
            return false
        }
    }
}
