// Side effects: those of the probes, and the console.

import AegixAudit
import AegixSandbox
import AegixSystem

/// `aegix doctor`.
public enum DoctorCommand: Command {
    public static let name = "doctor"
    public static let summary =
        "try what this host offers a sandbox, and say how to get the rest"
    public static let usage = ["doctor [--state-dir DIR] [--json]"]
    public static let details = """
        Each capability is tried for real, in a process of its own that has 2 seconds, because a version number says \
        nothing about a container's filters. For one that is missing it says what that costs you and the command that \
        fixes it. Nothing is changed, and nothing is left behind. At the end stands what the state directory takes on disk, \
        as far as that can be counted in a quarter of a second.

        The exit code is 0 when a run with the preset `default` would work here, else 1.
        """
    public static let options = [
        Option(
            "state-dir", "DIR", completes: .directory,
            help: """
                Try overlay and idmapped mounts where DIR lies, because they depend on the file system. Default: \
                $AEGIX_STATE, else $XDG_STATE_HOME/aegix, else ~/.local/state/aegix.
                """)
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        _ = try arguments.operands()
        if let directory = arguments.value("state-dir"), directory.isEmpty {
            throw Failure("usage.value", "--state-dir is empty")
        }
        let state = try StateLocation.current(option: arguments.value("state-dir"))
        var report = HostProbe.examine(stateDirectory: state)
        let size = judge(state, &report)
        let code: Int32 = report.works ? 0 : 1
        if console.json {
            var members = document(report, exitCode: code).object ?? [:]
            members["state"] = size.map { StateSizeText.document($0, state) } ?? .null
            try console.document(.object(members))
        } else {
            let line = size.map { "\nState directory " + StateSizeText.line($0, state) } ?? ""
            try console.print(text(report) + line)
        }
        return code
    }

    /// A state directory that is there may be one that a run refuses, such as one that others can write.
    ///
    /// Returns what it takes on disk; nil: it isn't there, or can't be used.
    private static func judge(_ path: Bytes, _ report: inout HostProbe.Report) -> StateSize? {
        do throws(Failure) {
            return try StateDirectory.openExisting(at: path)?.size(
                until: Clock.monotonic() + StateSizeText.patience)
        } catch {
            for index in report.capabilities.indices where report.capabilities[index].id == "state_directory" {
                report.capabilities[index].have = false
                report.capabilities[index].detail = error.message
            }
            return nil
        }
    }

    static func text(_ report: HostProbe.Report) -> String {
        var lines = ["Linux \(Bytes(report.kernel).shown), uid \(report.uid)", ""]
        let width = (report.capabilities.map { $0.name.count }.max() ?? 0) + 2
        for capability in report.capabilities {
            let padded = capability.name + String(repeating: " ", count: width - capability.name.count)
            let line = (capability.have ? "  have      " : "  have not  ") + padded + capability.detail
            lines.append(String(line.reversed().drop { $0 == " " }.reversed()))
            if capability.have { continue }
            lines.append("              cost: " + capability.cost)
            if !capability.remedy.isEmpty { lines.append("              fix:  " + capability.remedy) }
        }
        return (lines + ["", verdict(report)]).joined(separator: "\n")
    }

    static func verdict(_ report: HostProbe.Report) -> String {
        let tier =
            switch report.tier {
            case "confined":
                "Tier: confined, which the policy or `--require confined` has to accept"
                    + (report.uid == 0 ? "; by root, for another user's workspace only." : ".")
            case let tier?: "Tier: \(tier)."
            case nil: "Tier: none."
            }
        if report.works { return tier + "\nA run with the default policy works here." }
        let missing = report.capabilities.filter { !$0.have && needed($0, report.uid) }.map { $0.name }
        return tier + "\nA run with the default policy doesn't work here: " + missing.joined(separator: ", ") + "."
    }

    private static func needed(_ capability: HostProbe.Capability, _ uid: UInt32) -> Bool {
        switch capability.need {
        case .isolated, .defaultPolicy: true
        case .root: uid == 0
        case .sealed, .confined, .network: false
        }
    }

    /// `aegix.doctor/v1`.
    static func document(_ report: HostProbe.Report, exitCode: Int32) -> JSON {
        let capabilities = report.capabilities.map { capability -> JSON in
            [
                "id": .string(capability.id), "name": .string(capability.name), "have": .bool(capability.have),
                "detail": .string(capability.detail), "needed_for": .string(capability.need.rawValue),
                "cost": .string(capability.cost), "remedy": .string(capability.remedy),
            ]
        }
        return [
            "schema": "aegix.doctor/v1", "kernel": .string(report.kernel), "uid": .int(Int(report.uid)),
            "capabilities": .array(capabilities), "tier": report.tier.map { .string($0) } ?? .null,
            "works": .bool(report.works), "exit_code": .int(Int(exitCode)),
        ]
    }
}
