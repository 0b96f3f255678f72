// Pure. The steps that assemble the root: what is mounted where, from what, and in an order that works.

import AegixSystem
import Testing

@testable import AegixPlan
@testable import AegixPolicy

struct StepTests {
    /// Callers, homes and views in many combinations.
    static let hosts: [Host] = {
        var hosts: [Host] = []
        for uid in [0, 1000] as [UInt32] {
            for home in ["/home/ada", "/", nil, "/tmp/home", "/srv/work"] as [String?] {
                for workspace in ["/home/ada/project", "/home/ada", "/home", "/tmp", "/tmp/a/b", "/srv/work", "/run/x"]
                {
                    var host = Host()
                    (host.uid, host.gid, host.owner) = (uid, uid, (1000, 1000))
                    (host.home, host.workspace) = (home, workspace)
                    hosts.append(host)
                    host.reads = [
                        fact(workspace + "/vendor/deep/er"), fact("/opt/x"), fact("/opt"), fact("/data/file", .file),
                        fact("/usr/local/share/y"), fact(workspace),
                    ]
                    host.writes = [
                        fact("/tmp/shared/out"), fact(workspace + "/out"), fact("/opt/x/cache"),
                        fact("/var/log.txt", .file),
                    ]
                    host.denied = [.init(path: Bytes(workspace + "/out/.env"), isDirectory: false, origin: "")]
                    hosts.append(host)
                }
            }
        }
        return hosts
    }()

    private func forEachPlan(_ body: (Plan) throws -> Void) throws {
        let script = Invocation(.script(.init(path: Bytes("/tmp/deep/er/x.sh"), content: Bytes("x")), arguments: []))
        for host in Self.hosts {
            for mode in Policy.Workspace.Mode.allCases {
                try body(try plan(host, policy(mode)))
                try body(try plan(host, policy(mode), script))
            }
        }
    }

    /// What there is in the new root after some steps.
    private struct Root {
        var made: Set<Bytes> = [Bytes("/"), Staging.root]
        /// Mounts of something that has content of its own, at and beneath which anything may be.
        var filled: [Bytes] = [Bytes("/.old/x")]

        func has(_ path: Bytes) -> Bool { made.contains(path) || filled.contains { Path.contains($0, path) } }

        mutating func take(_ step: Step) {
            switch step {
            case .directory, .file, .symlink: made.insert(step.path)
            case .bind(let path, .inside(let source), _): if source != path { filled.append(path) }
            default: filled.append(step.path)
            }
        }
    }

    @Test func everyTargetAndSourceIsThereBefore() throws {
        try forEachPlan { plan in
            var root = Root()
            for step in plan.steps {
                #expect(root.has(step.isMount ? step.path : Path.parent(step.path)), "\(step)")
                if case .bind(_, .inside(let source), _) = step { #expect(root.has(source), "\(step)") }
                if case .overlay(_, let options, _) = step {
                    for place in Self.places(options) { #expect(root.has(place), "\(step)") }
                }
                root.take(step)
            }
        }
    }

    /// The directories that an overlay names; those in the kept layer are the supervisor's.
    private static func places(_ options: String) -> [Bytes] {
        options.split(separator: ",").flatMap { option -> [Bytes] in
            let words = option.split(separator: "=", maxSplits: 1)
            return words.count == 2 ? words[1].split(separator: ":").map { Bytes(String($0)) } : []
        }
    }

    @Test func noMountCoversAnEarlierOne() throws {
        try forEachPlan { plan in
            var mounted: [Bytes] = []
            for step in plan.steps where step.isMount {
                // A directory bound onto itself, recursively, keeps what is mounted beneath it in view.
                if case .bind(let path, .inside(let source), _) = step, path == source { continue }
                let isCovering = mounted.contains { $0 != step.path && Path.contains(step.path, $0) }
                #expect(!isCovering, "\(step)")
                mounted.append(step.path)
            }
        }
    }

    @Test func optionsOfOverlaysHaveNoPathsOfTheCallers() throws {
        try forEachPlan { plan in
            for case .overlay(_, let options, _) in plan.steps {
                let isOurs = Self.places(options).allSatisfy { Path.contains(Staging.root, $0) }
                #expect(isOurs, "\(options)")
            }
        }
    }

    @Test func onlyDevicesOfOursAreDevices() throws {
        try forEachPlan { plan in
            for case .bind(let path, _, let flags) in plan.steps where flags.contains(.devices) {
                #expect(Path.parent(path) == Bytes("/dev"))
            }
        }
    }

    @Test func treesAreAttachedOnceEachAndOnlyForRoot() throws {
        try forEachPlan { plan in
            var attached: [Int] = []
            for case .attach(_, let tree, _) in plan.steps { attached.append(tree) }
            #expect(attached == Array(plan.trees.indices))
            #expect(plan.identity.selfMapped == plan.trees.isEmpty)
        }
    }

    @Test(arguments: Policy.Workspace.Mode.allCases)
    func scratchComesBeforeAWorkspaceUnderIt(_ mode: Policy.Workspace.Mode) throws {
        var host = Host()
        host.workspace = "/tmp/work"
        let made = try plan(host, policy(mode))
        let (scratch, workspace) = (try #require(made.mount(at: "/tmp")), try #require(made.mount(at: "/tmp/work")))
        #expect(scratch < workspace)
        #expect(made.steps[scratch] == .bind(Bytes("/tmp"), source: .inside(Bytes("/tmp")), flags: []))
        host.workspace = "/home/ada/project"
        let inHome = try plan(host, policy(mode))
        #expect(
            try #require(inHome.mount(at: "/home/ada")) < (try #require(inHome.mount(at: "/home/ada/project"))))
    }

    @Test func aWorkspaceAtTmpIsTheOnlyTmp() throws {
        var host = Host()
        host.workspace = "/tmp"
        let made = try plan(host, policy(.readOnly))
        #expect(made.steps.filter { $0.path == Bytes("/tmp") && $0.isMount }.count == 1)
        #expect(!made.landlock.rules.contains { $0.path == Bytes("/tmp") })
    }

    // MARK: - The modes

    private func workspaceMount(_ host: Host, _ mode: Policy.Workspace.Mode) throws -> Step {
        let made = try plan(host, policy(mode))
        return made.steps[try #require(made.mount(at: host.workspace))]
    }

    @Test func directIsTheDirectoryItself() throws {
        let path = Bytes(Host().workspace)
        #expect(
            try workspaceMount(Host(), .direct)
                == .bind(path, source: .host(path, device: 2, inode: 42), flags: []))
    }

    @Test func readOnlyAndLayerAreOverlays() throws {
        let path = Bytes(Host().workspace)
        #expect(
            try workspaceMount(Host(), .readOnly)
                == .overlay(path, options: "lowerdir=/.old/view0:/.old/empty,userxattr", flags: .readOnly))
        #expect(
            try workspaceMount(Host(), .layer)
                == .overlay(
                    path,
                    options:
                        "lowerdir=/.old/view0,upperdir=/.old/layer/upper,workdir=/.old/layer/work,userxattr,volatile",
                    flags: []))
    }

    @Test func aDurableLayerIsNotVolatile() throws {
        var durable = policy(.layer)
        durable.audit.durable = true
        let made = try plan(Host(), durable)
        guard case .overlay(_, let options, _) = made.steps[try #require(made.mount(at: Host().workspace))] else {
            Issue.record("a layer is an overlay")
            return
        }
        #expect(options.hasSuffix(",userxattr"))
    }

    @Test func rootsTreesAreTheWorkspaceAndTheLayer() throws {
        var host = Host()
        host.uid = 0
        let workspace = PreparedTree(path: Bytes(host.workspace), device: 2, inode: 42, isMapped: true)
        var layered = workspace
        layered.layer = layerPlace.directory
        layered.isVolatile = true
        #expect(try plan(host, policy(.layer)).trees == [layered])
        #expect(try plan(host, policy(.direct)).trees == [workspace])
        #expect(try plan(host, policy(.readOnly)).trees == [workspace])
    }

    @Test func whatIsReadIsNotTheHostsOwnTree() throws {
        var host = Host()
        host.reads = [fact("/opt/x"), fact("/data/f", .file)]
        let made = try plan(host)
        guard case .overlay(_, _, let flags) = made.steps[try #require(made.mount(at: "/opt/x"))] else {
            Issue.record("a directory is read through an overlay: no socket of the host's can be reached")
            return
        }
        #expect(flags == .readOnly)
        let file = Bytes("/data/f")
        #expect(
            made.steps[try #require(made.mount(at: "/data/f"))]
                == .bind(file, source: .host(file, device: 2, inode: 7), flags: .readOnly))
    }

    @Test func nothingOfTheHostIsWritableButWhatIsNamed() throws {
        var host = Host()
        host.reads = [fact("/opt/x")]
        host.writes = [fact("/srv/out")]
        var writable: [String] = []
        for case .bind(let path, .host, let flags) in try plan(host, policy(.readOnly)).steps
        where !flags.contains(.readOnly) && !flags.contains(.devices) {
            writable.append(text(path))
        }
        #expect(writable == ["/srv/out"])
    }

    @Test func isPure() throws {
        var host = Host()
        host.reads = [fact("/opt/b"), fact("/opt/a")]
        let rules = policy(.layer, set: ["B": "2", "A": "1", "C": "3"])
        let first = try plan(host, rules)
        for _ in 0..<20 { #expect(try plan(host, rules) == first) }
        #expect(try JSON.parse(JSON.object(first.json).canonical) == .object(first.json))
    }
}
