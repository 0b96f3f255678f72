// Pure. The plan as a document: every step and rule, in the order in which they are taken.

import AegixSystem
import AegixWorkspace

extension Plan {
    public var json: [String: JSON] {
        var all = common
        if let confined { all["confined"] = confined.json }
        if let copy { all["copy"] = copy.json }
        return all
    }

    private var common: [String: JSON] {
        [
            "tier": .string(tier.name),
            "command": [
                "argv": .array(command.argv.map(JSON.bytes)), "candidates": .array(command.candidates.map(JSON.bytes)),
            ],
            "commands": [
                "default": .string(commands.unmatched.rawValue),
                "rules": .array(
                    commands.rules.map { rule in
                        ["origin": .string(rule.origin), "rule": rule.json]
                    }),
            ],
            "cwd": .bytes(cwd), "home": .bytes(home),
            "workspace": ["path": .bytes(workspace), "mode": .string(workspaceMode.rawValue)],
            "identity": [
                "inside": ["uid": .int(Int(identity.insideUID)), "gid": .int(Int(identity.insideGID))],
                "outside": ["uid": .int(Int(identity.outsideUID)), "gid": .int(Int(identity.outsideGID))],
            ],
            "environment": .array(
                environment.map { variable in
                    // Values of the caller's own stay out, as in the record.
                    let value: JSON = variable.source.isShown ? .bytes(variable.value) : .null
                    return ["name": .bytes(variable.name), "source": .string(variable.source.rawValue), "value": value]
                }),
            "capabilities": .array(capabilities.map { .string($0) }),
            "steps": .array(steps.map(\.json)),
            "hidden": .array(hidden.map { ["path": .bytes($0.path), "reason": .string($0.reason)] }),
            "landlock": [
                "abi": .int(landlock.abi),
                "rules": .array(landlock.rules.map { ["path": .bytes($0.path), "access": .int(Int($0.access))] }),
            ],
            "system_calls": [
                "allowed": .array(syscalls.plan.allowed.sorted().map { .string($0) }),
                "conditional": .array(syscalls.plan.conditional.map { .string($0.call) }),
                "watched": .array(syscalls.plan.watched.map { .string($0) }),
            ],
            "network": network.json,
            "determinism": .array(determinism.pins.map(\.json)),
            "limits": limitsJSON,
            "limit_mechanisms": .array(
                limitPlan.controls.map {
                    ["name": .string($0.name), "asked": .string($0.asked), "mechanism": .string($0.mechanism)]
                }),
        ]
    }
}

extension Plan {
    private var limitsJSON: JSON {
        func amount(_ value: UInt64?) -> JSON { value.map { .big($0) } ?? .null }
        return [
            "wall_ns": amount(limits.wall), "grace_ns": .big(limits.grace), "cpu_time_ns": amount(limits.cpuTime),
            "cpus_thousandths": amount(limits.cpus), "memory": amount(limits.memory), "pids": amount(limits.pids),
            "disk": amount(limits.disk), "output": amount(limits.output),
            "on_output": .string(limits.onOutput.rawValue),
            "open_files": amount(limits.openFiles), "execs": amount(limits.execs),
        ]
    }
}

extension DeterminismPlan.Pin {
    var json: JSON {
        [
            "name": .string(name), "value": value.map { .string($0) } ?? .null, "pinned": .bool(isPinned),
            "mechanism": mechanism.map { .string($0) } ?? .null,
        ]
    }
}

extension Step {
    var json: JSON {
        switch self {
        case .directory(let path, let mode):
            ["step": "directory", "path": .bytes(path), "mode": .string(String(mode, radix: 8))]
        case .file(let path, let content, let mode):
            [
                "step": "file", "path": .bytes(path),
                "bytes": Path.contains(SecretPlan.directory, path) ? .null : .int(content.count),
                "mode": .string(String(mode, radix: 8)),
            ]
        case .symlink(let path, let target): ["step": "symlink", "path": .bytes(path), "to": .bytes(target)]
        case .bind(let path, let source, let flags):
            ["step": "bind", "path": .bytes(path), "source": source.json, "flags": flags.json]
        case .attach(let path, let tree, let flags):
            ["step": "attach", "path": .bytes(path), "tree": .int(tree), "flags": flags.json]
        case .proc(let path): ["step": "proc", "path": .bytes(path)]
        case .devpts(let path): ["step": "devpts", "path": .bytes(path)]
        case .tmpfs(let path, let options, let flags):
            ["step": "tmpfs", "path": .bytes(path), "options": .string(options), "flags": flags.json]
        case .overlay(let path, let options, let flags):
            ["step": "overlay", "path": .bytes(path), "options": .string(options), "flags": flags.json]
        }
    }
}

extension Step.Source {
    var json: JSON {
        switch self {
        case .host(let path, _, _): ["host": .bytes(path)]
        case .inside(let path): ["inside": .bytes(path)]
        }
    }
}

extension MountFlags {
    var json: JSON {
        var names: [JSON] = []
        if contains(.readOnly) { names.append("read-only") }
        if contains(.noExec) { names.append("no-exec") }
        if contains(.devices) { names.append("devices") }
        return .array(names)
    }
}

extension ConfinedPlan {
    var json: JSON {
        [
            "reason": .string(reason), "place": .bytes(place), "copy": copy?.json ?? .null,
            "script": script.map { .bytes($0.path) } ?? .null, "held_open": .array(pinned.map(JSON.bytes)),
        ]
    }
}

extension WorkspaceCopy {
    var json: JSON {
        [
            "from": .bytes(source), "to": .bytes(destination), "left_out": .array(leftOut.map(JSON.bytes)),
            "most_entries": .int(mostEntries), "most_bytes": .big(mostBytes),
        ]
    }
}
