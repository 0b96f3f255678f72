// Side effects: makes directories that look like a cgroup hierarchy. What is found in one, and what is read from its files.

import AegixPlan
import AegixSystem
import CAegix
import Glibc
import Testing

@testable import AegixSandbox

/// Plain files with the kernel's names: the search only reads.
private final class FakeHierarchy {
    let mount: Bytes

    init() throws {
        var template = Array("/tmp/aegix-cgroup-XXXXXX".utf8CString)
        guard mkdtemp(&template) != nil else { throw SystemError.last("mkdtemp") }
        mount = template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    }

    private static func remove(_ path: Bytes) {
        for name in DirectoryListing.names(path) {
            let inside = Path.join(path, name)
            if inside.withCString({ unlink($0) }) < 0 { remove(inside) }
        }
        _ = path.withCString { rmdir($0) }
    }

    deinit { FakeHierarchy.remove(mount) }

    func add(
        _ path: String, controllers: String = "cpu io memory pids", on: String = "", processes: String = "",
        isTop: Bool = false
    ) throws {
        let directory = mount + Bytes(path)
        if !path.isEmpty, directory.withCString({ mkdir($0, 0o755) }) < 0 { throw SystemError.last("mkdir") }
        var files = [
            ("cgroup.controllers", controllers), ("cgroup.subtree_control", on), ("cgroup.procs", processes),
        ]
        if !isTop { files.append(("cgroup.type", "domain")) }
        for (name, text) in files {
            let file = try Descriptor.open(directory + Bytes("/" + name), O_WRONLY | O_CREAT | O_TRUNC, mode: 0o644)
            try file.writeAll(Bytes(text.isEmpty ? "" : text + "\n"))
        }
    }

    func find(_ own: String, isRoot: Bool) -> CgroupSearch.Found {
        CgroupSearch.find(.init(mount: mount, own: Bytes(own), isRoot: isRoot))
    }

    func place(_ path: String) -> CgroupSearch.Found {
        let parent = mount + Bytes(path + "/aegix-\(geteuid())")
        return .place(CgroupPlace(parent: parent, how: .delegated))
    }

    var slice: CgroupSearch.Found { .place(CgroupPlace(parent: mount + Bytes("/aegix"), how: .slice)) }
}

@Suite struct CgroupTests {
    @Test func theNearestEmptyCgroupOfOnesOwnIsTaken() throws {
        let fake = try FakeHierarchy()
        try fake.add("", isTop: true)
        try fake.add("/ours")
        try fake.add("/ours/shell", processes: "1\n\(getpid())")
        #expect(fake.find("/ours/shell", isRoot: false) == fake.place("/ours"))
        #expect(fake.find("/ours/shell", isRoot: true) == fake.place("/ours"))
    }

    @Test func whoIsAloneStepsAsideButOnlyThen() throws {
        let fake = try FakeHierarchy()
        try fake.add("", isTop: true)
        try fake.add("/ours", processes: "\(getpid())")
        #expect(fake.find("/ours", isRoot: false) == fake.place("/ours"))
        try fake.add("/pair", processes: "1\n\(getpid())")
        guard case .lack(let lack) = fake.find("/pair", isRoot: false) else {
            throw SystemError("found", errno: EEXIST)
        }
        #expect(lack.remedy.contains("/pair/shell/cgroup.procs"))
        #expect(fake.find("/pair", isRoot: true) == fake.slice)
    }

    @Test func whatSystemdManagesIsLeftAlone() throws {
        let fake = try FakeHierarchy()
        try fake.add("", on: "memory pids cpu", isTop: true)
        try fake.add("/system.slice", on: "memory pids cpu")
        try fake.add("/system.slice/a.service", processes: "\(getpid())")
        #expect(fake.find("/system.slice/a.service", isRoot: true) == fake.slice)
        #expect(fake.find("/system.slice", isRoot: true) == fake.slice)
        guard case .lack = fake.find("/system.slice", isRoot: false) else { throw SystemError("found", errno: EEXIST) }
        // A user's own systemd marks nothing: alone in a scope, it is ours.
        #expect(fake.find("/system.slice/a.service", isRoot: false) == fake.place("/system.slice/a.service"))
    }

    @Test func aContainersTopIsNoExemption() throws {
        let fake = try FakeHierarchy()
        try fake.add("", processes: "1\n\(getpid())")
        guard case .lack = fake.find("/", isRoot: true) else { throw SystemError("found", errno: EEXIST) }
    }

    @Test func withoutControllersThereIsNothing() throws {
        let fake = try FakeHierarchy()
        try fake.add("", controllers: "", isTop: true)
        guard case .lack(let lack) = fake.find("/", isRoot: true) else { throw SystemError("found", errno: EEXIST) }
        #expect(lack.reason.contains("memory, pids, cpu"))
        #expect(lack.reason.contains("cgroup v1"))
    }

    @Test(
        arguments: [
            (1500, "150000 100000"), (1, "1000 1000000"), (9, "9000 1000000"), (10, "1000 100000"),
            (1000, "100000 100000"),
        ] as [(UInt64, String)])
    func aShareBecomesAQuotaThatTheKernelTakes(_ thousandths: UInt64, _ text: String) {
        #expect(CgroupLimits.cpuMax(thousandths: thousandths) == Bytes(text))
    }

    @Test func countersAreRead() {
        var usage = CgroupUsage()
        usage.take(cpuStat: Bytes("usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_throttled 1\nthrottled_usec 5\n"))
        usage.take(memoryEvents: Bytes("low 0\nhigh 0\nmax 39\noom 2\noom_kill 3\noom_group_kill 1\n"))
        usage.take(memoryPeak: Bytes("4096\n"))
        usage.take(pidsEvents: Bytes("max 4\n"))
        usage.take(ioStat: Bytes("8:0 rbytes=4096 wbytes=1 rios=1 wios=1 dbytes=9 dios=0\n8:16 rbytes=1 wbytes=2\n"))
        #expect(usage.cpuUser == 10_000 && usage.cpuSystem == 20_000 && usage.throttled == 5_000)
        #expect(usage.memoryMaxHits == 39 && usage.ooms == 2 && usage.oomKills == 3 && usage.memoryPeak == 4096)
        #expect(usage.pidsRefused == 4 && usage.ioRead == 4097 && usage.ioWritten == 3)
    }

    /// Not counted is null, never 0; without the CPU controller there is no throttling to count.
    @Test func whatIsntThereIsUnknown() {
        var usage = CgroupUsage()
        usage.take(cpuStat: Bytes("usage_usec 30\nuser_usec 10\nsystem_usec 20\n"))
        usage.take(memoryPeak: Bytes("\n"))
        usage.take(pidsEvents: Bytes(""))
        #expect(usage.throttled == nil && usage.memoryPeak == nil && usage.pidsRefused == nil && usage.ioRead == nil)
        #expect(CgroupUsage.value("max", in: Bytes("max 99999999999999999999999\n")) == nil)
    }
}
