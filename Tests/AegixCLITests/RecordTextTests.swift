import AegixSystem
import Testing

@testable import AegixCLI

@Suite struct RecordTextTests {
    private func exec(_ pid: Int, _ parent: Int?, _ argv: [JSON]) -> JSON {
        [
            "pid": .int(pid), "parent": parent.map(JSON.int) ?? .null, "program": argv[0], "argv": .array(argv),
            "argv_cut": false, "decision": "allow", "rule": nil, "time": "2026-11-21T00:00:00.000000000Z",
        ]
    }

    @Test func showsExecsAsATree() {
        let record: JSON = [
            "processes": [
                exec(2, 1, ["/bin/sh"]), exec(3, 2, ["/bin/ls"]), exec(4, 2, ["/bin/env"]), exec(5, 3, ["/bin/deep"]),
                exec(4, 2, ["/bin/true"]),
            ]
        ]
        #expect(
            ProcessTree.lines(record, limit: 10) == [
                "  /bin/sh  /bin/sh", "    /bin/ls  /bin/ls", "      /bin/deep  /bin/deep", "    /bin/env  /bin/env",
                "    /bin/true  /bin/true",
            ])
        #expect(ProcessTree.lines(record, limit: 2).last == "  … and 3 more")
    }

    /// E3: no name of the command's can move the cursor or imitate a line of ours.
    @Test func neutralisesEscapes() {
        let nasty: JSON = "\u{1B}[2Jx\nrun ok"
        let record: JSON = [
            "run_id": nasty, "command": ["argv": [nasty], "program": nasty], "processes": [exec(2, 1, [nasty])],
            "outcome": ["status": nasty, "message": nasty, "rule": nasty, "limit": nasty],
            "violations": [["control": nasty, "rule": nasty, "errno": nasty, "count": 1]],
            "labels": ["\u{1B}]0;": nasty],
            "enforcement": [
                "tier": nasty, "controls": [["name": nasty, "asked": nasty, "mechanism": nasty, "held": true]],
            ],
            "streams": ["stdout": ["bytes": 1, "captured": 1, "path": nasty]], "layer": ["path": nasty],
            "workspace": ["path": nasty, "mode": nasty], "policy": ["name": nasty], "parent": nasty,
            "cut": ["\u{1B}": nil], "started_at": nasty,
        ]
        for line in RecordText.lines(record) {
            #expect(!line.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x7F })
        }
    }

    @Test func writesNumbersForAPerson() {
        #expect(Units.duration(1_500) == "1.5 µs")
        #expect(Units.duration(12_340_000) == "12.3 ms")
        #expect(Units.duration(90_000_000_000) == "90.0 s")
        #expect(Units.size(1023) == "1023 B")
        #expect(Units.size(1536) == "1.5 KiB")
    }
}
