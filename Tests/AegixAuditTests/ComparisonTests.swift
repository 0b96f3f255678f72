// Two records, and what a comparison makes of them.

import AegixSystem
import AegixWorkspace
import Testing

@testable import AegixAudit

struct ComparisonTests {
    /// A record with what is compared, and `change` made to it.
    private func record(_ change: (inout [String: JSON]) -> Void = { _ in }) -> JSON {
        var members: [String: JSON] = [
            "command": ["argv": ["cc", "a.c"], "program": "/usr/bin/cc", "digest": "aa"],
            "invocation": ["cwd": "/w", "argv": ["aegix"], "how": "program"],
            "policy": ["effective": ["limits": ["wall": "1000"], "commands": ["default": "allow"], "version": 1]],
            "enforcement": ["tier": "isolated", "controls": [["name": "root", "mechanism": "tmpfs", "held": true]]],
            "environment": [["name": "LANG", "value": "C.UTF-8"], ["name": "TOKEN", "value": nil]],
            "identity": ["inside": ["uid": 1000, "gid": 1000]],
            "host": ["kernel": "6.1", "cpu": "x", "distribution": "d", "processors": 2, "landlock_abi": 2],
            "inputs": [], "network": [], "violations": [], "artifacts": [], "cut": [:],
            "processes": [["program": "/usr/bin/cc", "argv": ["cc", "-o", "/tmp/ccAbC1.s"], "decision": "allow"]],
            "outcome": ["status": "exited", "exit_code": 0, "signal": nil, "limit": nil, "rule": nil],
            "streams": ["stdout": ["sha256": "s1", "bytes": 3, "truncated": false], "stderr": nil],
        ]
        change(&members)
        return .object(members)
    }

    private func compare(
        _ one: JSON, _ other: JSON, _ logs: (String, String) = ("", ""), given: [Difference] = [], strict: Bool = false,
        changes: (ChangeList, ChangeList) = (ChangeList(), ChangeList())
    ) -> Comparison {
        Comparison.of(
            ComparedRun(record: one, changes: changes.0) { _ in Bytes(logs.0) },
            ComparedRun(record: other, changes: changes.1) { _ in Bytes(logs.1) }, given: given, strict: strict)
    }

    @Test func theSameIsTheSame() {
        let comparison = compare(record(), record())
        #expect(comparison.isSame && comparison.causes.isEmpty && comparison.disregarded.isEmpty)
        #expect(comparison.unknown == ["the value of TOKEN, which is never recorded"])
    }

    @Test(arguments: [
        ("command", "argv", Difference.Area.command), ("enforcement", "tier", .enforcement), ("host", "kernel", .host),
    ])
    func aCauseIsNamed(_ member: String, _ name: String, _ area: Difference.Area) {
        let other = record { members in
            guard case .object(var inner)? = members[member] else { return }
            inner[name] = "another"
            members[member] = .object(inner)
        }
        let comparison = compare(record(), other)
        #expect(comparison.causes.map(\.area) == [area] && comparison.causes.first?.subject == Bytes(name))
        #expect(comparison.isSame)
    }

    @Test func policyLimitsAndRefusals() {
        let other = record { members in
            members["policy"] = ["effective": ["limits": ["wall": "5"], "commands": ["default": "deny"], "version": 1]]
            members["violations"] = [["control": "commands", "rule": "r", "path": nil]]
        }
        let causes = compare(record(), other).causes
        #expect(causes.map(\.area) == [.policy, .policy, .limits])
        #expect(causes.map(\.subject) == ["commands.default", "commands r", "limits.wall"].map { Bytes($0) })
    }

    @Test func theEnvironmentByNameAndValue() {
        let other = record { $0["environment"] = [["name": "LANG", "value": "de"], ["name": "NEW", "value": "1"]] }
        let causes = compare(record(), other).causes
        #expect(causes.map(\.subject) == ["LANG", "NEW", "TOKEN"].map { Bytes($0) })
        #expect(causes.map(\.area).allSatisfy { $0 == .environment })
    }

    @Test func anExitGetsTheLikeliestCause() {
        let other = record { members in
            members["outcome"] = ["status": "exited", "exit_code": 1, "signal": nil, "limit": nil, "rule": nil]
            members["host"] = ["kernel": "6.18", "cpu": "x", "distribution": "d", "processors": 2, "landlock_abi": 2]
        }
        let weak = compare(record(), other)
        #expect(weak.outputs.map(\.cause) == [.difference(.host, Bytes("kernel"))])
        #expect(weak.isUnexplained, "that the kernel is another one is worth a second look")
        let given = compare(record(), other, given: [Difference(.inputs, Bytes("a.c"), note: "changed")])
        #expect(given.outputs.map(\.cause) == [.difference(.inputs, Bytes("a.c"))])
        #expect(!given.isUnexplained)
    }

    @Test func aSecondReplayTellsChanceFromWhatIsUnexplained() {
        func streams(_ digest: String) -> JSON {
            record { $0["streams"] = ["stdout": ["sha256": .string(digest), "bytes": 3, "truncated": false]] }
        }
        var chance = compare(record(), streams("s2"), ("1", "2"))
        #expect(chance.isUnexplained)
        chance.settle(by: compare(streams("s2"), streams("s3"), ("2", "3")))
        #expect(chance.outputs.map(\.cause) == [.nondeterministic])
        var riddle = compare(record(), streams("s2"), ("1", "2"))
        riddle.settle(by: compare(streams("s2"), streams("s2")))
        #expect(riddle.outputs.map(\.cause) == [.unexplained])
    }

    @Test func measuredDurationsDontCount() {
        let other = record { $0["streams"] = ["stdout": ["sha256": "s2", "bytes": 3, "truncated": false]] }
        let logs = ("..\n2 passed in 0.01s\n", "..\n2 passed in 12.30s\n")
        #expect(compare(record(), other, logs).isSame)
        #expect(compare(record(), other, logs).disregarded.count == 1)
        let strict = compare(record(), other, logs, strict: true)
        #expect(strict.outputs.first?.subject == Bytes("line 2"))
        #expect(!compare(record(), other, ("2 passed", "3 passed")).isSame)
    }

    @Test(arguments: [
        ("1.5s", "2s", true), ("took 3 ms.", "took 4 ms.", true), ("duration_ms 1.5", "duration_ms 20", true),
        ("(12 µs)", "(9 µs)", true), ("3 strings", "4 strings", false), ("3s_total", "4s_total", false),
        ("v1.5s", "v1.6s", false), ("1 s 2 ms", "1 s", false), ("10 files", "11 files", false), ("3", "4", false),
    ])
    func whatADurationIs(_ one: String, _ other: String, _ isEqual: Bool) {
        #expect((MeasuredText.equal(Bytes(one), Bytes(other)) != nil) == isEqual)
    }

    @Test func madeUpNamesDontCount() {
        let other = record { members in
            members["processes"] = [
                ["program": "/usr/bin/cc", "argv": ["cc", "-o", "/tmp/ccXyZ9.s"], "decision": "allow"]
            ]
        }
        #expect(compare(record(), other).isSame)
        #expect(!compare(record(), other, strict: true).isSame)
        let more = record { members in
            let one: JSON = ["program": "/usr/bin/cc", "argv": ["cc", "-o", "/tmp/ccAbC1.s"], "decision": "allow"]
            members["processes"] = [one, one]
        }
        let outputs = compare(record(), more).outputs
        #expect(outputs.map(\.area) == [.processes] && outputs.first?.after == Bytes("2 times"))
    }

    @Test(arguments: [
        ("/tmp/ccA.s", "/tmp/ccB.s", true), ("-o/tmp/ccA.s", "-o/tmp/ccB.s", true), ("x=/tmp/a/f", "x=/tmp/b/f", true),
        ("/w/tmp/a", "/w/tmp/b", false), ("w/tmp/a", "w/tmp/b", false), ("-I/w/tmp/a", "-I/w/tmp/b", false),
        ("cat /tmp/a;rm x", "cat /tmp/b;rm y", false), ("cat /tmp/a\nrm x", "cat /tmp/b\nrm y", false),
        ("/tmp/a/f", "/tmp/a/g", false),
    ])
    func whatAMadeUpNameIs(_ one: String, _ other: String, _ isEqual: Bool) {
        #expect((MadeUpNames.without(Bytes(one)) == MadeUpNames.without(Bytes(other))) == isEqual)
    }

    @Test func oneWordIsntTwo() {
        func ran(_ argv: JSON) -> JSON {
            record { $0["processes"] = [["program": "/usr/bin/rm", "argv": argv, "decision": "allow"]] }
        }
        let outputs = compare(ran(["rm", "a b"]), ran(["rm", "a", "b"])).outputs
        #expect(outputs.map(\.area) == [.processes, .processes])
        #expect(Set(outputs.map(\.subject)).count == 2, "each is told as what it is")
        #expect(!compare(ran(["rm", ""]), ran(["rm"])).isSame)
    }

    @Test func whatNobodySawIsNamed() {
        let cut = record { $0["streams"] = ["stdout": ["sha256": "s1", "bytes": 3, "truncated": true]] }
        #expect(compare(cut, cut).unknown.contains { $0.hasPrefix("stdout beyond") })
        let identity = Entry.Identity(device: 1, inode: 1, changed: 1, links: 1)
        let large = Entry(.file, mode: 0o644, size: 1 << 40, modified: 1, identity: identity)
        let list = ChangeList([Change(Bytes("big"), .added, before: nil, after: large)])
        #expect(compare(record(), record(), changes: (list, list)).unknown.contains { $0.contains("no digest") })
        let many = record { $0["cut"] = ["artifacts": ["kept": 1, "of": 2]] }
        #expect(compare(many, many).unknown.contains { $0.hasPrefix("artifacts") })
    }

    /// In a moment: neither names nor outputs are looked for in all the others.
    @Test func aRecordOfAnyLength() {
        func long(_ digit: String) -> JSON {
            record { members in
                members["environment"] = .array(
                    (0..<50_000).map { ["name": .string("VARIABLE_\($0)"), "value": .string(digit)] })
                members["processes"] = .array(
                    (0..<300).map { number in
                        ["program": .string("/p\(number)"), "argv": [.string(digit)], "decision": "allow"]
                    })
            }
        }
        let began = ContinuousClock.now
        let comparison = compare(long("1"), long("2"))
        #expect(ContinuousClock.now - began < .seconds(60))
        #expect(comparison.causes.count == 10_000)
        #expect(comparison.unknown.contains("40000 more differences in environment"))
    }

    @Test func changesByWhatAWorkspaceWouldGet() {
        func list(_ digest: String, modified: Int64) -> ChangeList {
            let identity = Entry.Identity(device: 1, inode: UInt64(modified), changed: modified, links: 1)
            let entry = Entry(.file, mode: 0o644, size: 3, modified: modified, digest: digest, identity: identity)
            return ChangeList([Change(Bytes("out"), .added, before: nil, after: entry)])
        }
        let times = compare(record(), record(), changes: (list("d1", modified: 1), list("d1", modified: 2)))
        #expect(times.isSame, "a time is never the same")
        let content = compare(record(), record(), changes: (list("d1", modified: 1), list("d2", modified: 1)))
        #expect(content.outputs.map(\.subject) == [Bytes("out")])
        var linked = list("d1", modified: 1)
        linked.changes[0].linkOf = Bytes("in")
        #expect(!compare(record(), record(), changes: (list("d1", modified: 1), linked)).isSame)
        let gone = compare(record(), record(), changes: (list("d1", modified: 1), ChangeList()))
        #expect(gone.outputs.first?.after == nil)
    }

    @Test func whatWasReached() {
        let reached = record { members in
            members["network"] = [
                ["kind": "connect", "decision": "allow", "name": "pypi.org", "address": "1.2.3.4", "port": 443]
            ]
        }
        let causes = compare(reached, record()).causes
        #expect(causes.map(\.subject) == [Bytes("pypi.org:443")])
    }

    @Test func theLineThatDiffers() throws {
        let found = try #require(OutputComparison.firstDifference(Bytes("a\nb\nc"), Bytes("a\nx\nc")))
        #expect(found.0 == 2 && found.1 == Bytes("b") && found.2 == Bytes("x"))
        #expect(OutputComparison.firstDifference(Bytes("a\n"), Bytes("a\n")) == nil)
        let longer = try #require(OutputComparison.firstDifference(Bytes("a\n"), Bytes("a\nb")))
        #expect(longer.0 == 2 && longer.1 == [] && longer.2 == Bytes("b"))
    }
}
