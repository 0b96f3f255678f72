// Side effects: those of the probes. The doctor's answers, and that nothing is left behind.

import AegixSystem
import CAegix
import Glibc
import Testing

@testable import AegixCLI
@testable import AegixSandbox

@Suite(.serialized) struct DoctorTests {
    private func facts(_ stage: Int32, _ errno: Int32, _ change: (inout UserNamespaceFacts) -> Void = { _ in })
        -> UserNamespaceFacts
    {
        var facts = UserNamespaceFacts(result: HostProbe.Result(stage: Int(stage), errno: errno))
        change(&facts)
        return facts
    }

    @Test func causesOfAMissingUserNamespaceAreToldApart() {
        let user = Int32(AEGIX_PROBE_AT_USER)
        let space = Int32(AEGIX_PROBE_AT_NAMESPACE)
        let cases: [(UserNamespaceFacts, reason: String, remedy: String)] = [
            (
                facts(user, EPERM) { $0.cloneAllowed = 0 }, "kernel.unprivileged_userns_clone is 0",
                "unprivileged_userns_clone=1"
            ),
            (facts(user, ENOSPC) { $0.most = 0 }, "user.max_user_namespaces is 0", "user.max_user_namespaces=15000"),
            (facts(space, EPERM) { $0.appArmorRestricts = 1 }, "AppArmor", "make install"),
            (facts(user, EACCES) { $0.appArmorRestricts = 1 }, "AppArmor", "apparmor_restrict_unprivileged_userns=0"),
            (facts(user, EPERM) { $0.seccompMode = 2 }, "seccomp filter", "seccomp=unconfined"),
            (
                facts(user, EPERM) { ($0.seccompMode, $0.appArmorRestricts) = (2, 1) }, "seccomp filter",
                "seccomp=unconfined"
            ),
            (
                facts(space, EACCES) { $0.appArmorProfile = "docker-default (enforce)" }, "docker-default",
                "apparmor=unconfined"
            ),
            (facts(user, ENOSPC) { $0.most = 100 }, "the limit on user namespaces is reached", "on the host"),
            (facts(user, EINVAL), "no user namespaces", "CONFIG_USER_NS"),
            (facts(user, EPERM) { $0.inChroot = true }, "chroot", "outside the chroot"),
            (facts(Int32(AEGIX_PROBE_AT_TIME), ETIMEDOUT), "no answer within", "dmesg"),
        ]
        for (facts, reason, remedy) in cases {
            #expect(facts.diagnosis.reason.contains(reason), "\(facts)")
            #expect(facts.diagnosis.remedy.contains(remedy), "\(facts)")
        }
        // Switches that hold users only aren't blamed for what root meets.
        let root = facts(user, EPERM) {
            ($0.isRoot, $0.cloneAllowed, $0.appArmorRestricts, $0.seccompMode) = (true, 0, 1, 2)
        }
        #expect(root.diagnosis.reason.contains("seccomp"))
    }

    @Test func theDiagnosisAgreesWithTheProbes() {
        let works = HostProbe.attempt(Int(AEGIX_PROBE_USER_NAMESPACE)).held
        let (reason, remedy) = HostProbe.userNamespaceDiagnosis()
        #expect(!reason.isEmpty && !reason.hasSuffix(".") && !remedy.isEmpty)
        if !works { #expect(!reason.contains("work here")) }
    }

    @Test func aProbeThatHangsIsEnded() {
        let start = Clock.monotonic()
        let result = HostProbe.attempt(Int(AEGIX_PROBE_HANG), milliseconds: 100)
        #expect(result.stage == Int(AEGIX_PROBE_AT_TIME))
        #expect(Clock.monotonic() - start < 1_500_000_000)
    }

    @Test func whatEveryLinuxHasIsFound() {
        for kind in [AEGIX_PROBE_PIDFD, AEGIX_PROBE_OPENAT2, AEGIX_PROBE_CLONE3, AEGIX_PROBE_CLOSE_RANGE] {
            #expect(HostProbe.attempt(Int(kind)).held)
        }
    }

    /// What the doctor says of the relay is what a run finds: the same code makes the same interfaces.
    @Test func theRelayIsTried() throws {
        let spaces = HostProbe.attempt(Int(AEGIX_PROBE_NETWORK_NAMESPACE)).held
        let relay = HostProbe.attempt(Int(AEGIX_PROBE_RELAY))
        if !spaces { #expect(!relay.held) }
        let probe = try #require(HostProbe.table.first { $0.id == "relay" })
        let missing = HostProbe.capability(probe, .init(stage: Int(AEGIX_PROBE_AT_CALL), errno: EOPNOTSUPP))
        #expect(!missing.have && missing.remedy == "sudo modprobe veth" && missing.need == .network)
    }

    @Test func nothingIsLeftBehind() throws {
        var template = Array("/tmp/aegix-doctor-XXXXXX".utf8CString)
        #expect(mkdtemp(&template) != nil)
        let place = template.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
        defer { _ = place.withCString { rmdir($0) } }
        let report = HostProbe.examine(stateDirectory: place + Bytes("/not/made"))
        #expect(report.capabilities.first { $0.id == "state_directory" }?.have == true)
        // Fails when anything is in it.
        #expect(place.withCString { rmdir($0) } == 0)
        #expect(place.withCString { mkdir($0, 0o700) } == 0)
        for capability in report.capabilities where !capability.have {
            #expect(!capability.detail.isEmpty && capability.cost.hasSuffix("."), "\(capability.id)")
        }
    }

    @Test func aStateDirectoryThatCantBe() {
        let report = HostProbe.examine(stateDirectory: Bytes("/proc/nowhere/aegix"))
        let state = report.capabilities.first { $0.id == "state_directory" }
        #expect(state?.have == false && state?.remedy.contains("AEGIX_STATE") == true)
        #expect(!report.works)
    }

    @Test func theVerdictFollowsTheNeeds() {
        func report(_ need: HostProbe.Need, uid: UInt32, have: Bool) -> HostProbe.Report {
            let one = HostProbe.Capability(
                id: "x", name: "x-ray", have: have, detail: "", need: need, cost: "Much.", remedy: "fix it")
            return HostProbe.Report(kernel: "6.0", uid: uid, capabilities: [one])
        }
        #expect(report(.isolated, uid: 1, have: true).works)
        #expect(!report(.isolated, uid: 1, have: false).isolated)
        #expect(report(.root, uid: 1, have: false).works && !report(.root, uid: 0, have: false).works)
        #expect(
            report(.defaultPolicy, uid: 1, have: false).isolated && !report(.defaultPolicy, uid: 1, have: false).works)
        #expect(report(.sealed, uid: 0, have: false).works && report(.network, uid: 0, have: false).works)

        let missing = DoctorCommand.text(report(.isolated, uid: 1, have: false))
        #expect(
            missing.contains("have not  x-ray") && missing.contains("cost: Much.") && missing.contains("fix:  fix it"))
        #expect(missing.hasSuffix("doesn't work here: x-ray."))
        guard case .object(let members) = DoctorCommand.document(report(.isolated, uid: 1, have: false), exitCode: 1)
        else {
            Issue.record("no document")
            return
        }
        #expect(members["tier"] == .null && members["works"] == false && members["exit_code"] == 1)
    }
}
