// Pure. The record without the run's secrets. Only what comes from outside is looked through: the record's own words, figures and
// digests stay what they are, whatever a secret looks like. Paths that aegix goes by later stay too: the workspace's own, and changes.jsonl's.

import AegixNetwork
import AegixPlan
import AegixSandbox
import AegixSystem
import AegixWorkspace

extension RunStart {
    func redacted() -> RunStart {
        guard let redactor else { return self }
        var start = self
        start.parent = parent.map(redactor.redact)
        start.labels = [:]
        for (name, value) in labels { start.labels[redactor.redact(name)] = redactor.redact(value) }
        start.invocation.argv = invocation.argv.map { redactor.redact($0) }
        start.command.argv = command.argv.map { redactor.redact($0) }
        start.command.program = command.program.map { redactor.redact($0) }
        start.determinism = determinism.map { pin in
            var pin = pin
            pin.value = pin.value.map(redactor.redact)
            return pin
        }
        start.environment = environment.map { variable in
            var variable = variable
            variable.value = redactor.redact(variable.value)
            return variable
        }
        return start
    }
}

extension RunEnd {
    func redacted(by redactor: Redactor?) -> RunEnd {
        guard let redactor else { return self }
        var end = self
        end.outcome = outcome.redacted(by: redactor)
        end.program = program.map { redactor.redact($0) }
        end.enforcement = enforcement?.redacted(by: redactor)
        end.execs = execs.map { $0.redacted(by: redactor) }
        end.violations = violations.map { $0.redacted(by: redactor) }
        end.network = network.map { $0.redacted(by: redactor) }
        end.artifacts = artifacts?.redacted(by: redactor)
        end.inputs = inputs?.redacted(by: redactor)
        for index in loaded.indices { end.loaded[index].path = redactor.redact(loaded[index].path) }
        if case .listed(var list) = changes {
            list.changes = list.changes.map { $0.redacted(by: redactor) }
            end.changes = .listed(list)
        }
        return end
    }
}

extension Outcome {
    func redacted(by redactor: Redactor) -> Outcome {
        var outcome = self
        outcome.message = message.map(redactor.redact)
        outcome.rule = rule.map(redactor.redact)
        return outcome
    }
}

extension RunEnd.Enforcement {
    func redacted(by redactor: Redactor) -> RunEnd.Enforcement {
        var enforcement = self
        enforcement.controls = controls.map { control in
            var control = control
            // Names of secrets, paths of the policy's.
            control.asked = redactor.redact(control.asked)
            control.mechanism = redactor.redact(control.mechanism)
            return control
        }
        return enforcement
    }
}

extension ExecEvent {
    func redacted(by redactor: Redactor) -> ExecEvent {
        var event = self
        event.program = redactor.redact(program)
        for index in argv.indices {
            event.argv[index] = redactor.redact(argv[index], isCut: argvCut && index == argv.count - 1)
        }
        event.rule = rule.map(redactor.redact)
        event.approval = approval?.redacted(by: redactor)
        return event
    }
}

extension Approval {
    func redacted(by redactor: Redactor) -> Approval {
        var approval = self
        approval.by = by.map(redactor.redact)
        approval.message = message.map(redactor.redact)
        approval.cwd = cwd.map { redactor.redact($0) }
        return approval
    }
}

extension NetworkEvent {
    /// A name is one of the few things that a command without any allowed name can still send to the record.
    func redacted(by redactor: Redactor) -> NetworkEvent {
        var event = self
        event.name = name.map { redactor.redact($0) }
        event.rule = redactor.redact(rule)
        event.approval = approval?.redacted(by: redactor)
        return event
    }
}

extension Violation {
    func redacted(by redactor: Redactor) -> Violation {
        var violation = self
        violation.rule = redactor.redact(rule)
        violation.path = path.map { redactor.redact($0) }
        return violation
    }
}

extension ArtifactCollection {
    /// What was copied has no secret in its name; what was skipped may have.
    func redacted(by redactor: Redactor) -> ArtifactCollection {
        var collection = self
        for index in skipped.indices { collection.skipped[index].path = redactor.redact(skipped[index].path) }
        for index in patterns.indices { collection.patterns[index].text = redactor.redact(patterns[index].text) }
        collection.error = error.map(redactor.redact)
        collection.out?.path = redactor.redact(out?.path ?? [])
        collection.out?.error = out?.error.map(redactor.redact)
        return collection
    }
}

extension InputFindings {
    /// The list is another file, and has no name with a secret in it.
    func redacted(by redactor: Redactor) -> InputFindings {
        var found = self
        for index in told.indices { found.told[index].path = redactor.redact(told[index].path) }
        found.error = error.map(redactor.redact)
        return found
    }
}

extension Change {
    func redacted(by redactor: Redactor) -> Change {
        var change = self
        change.path = redactor.redact(path)
        change.from = from.map { redactor.redact($0) }
        change.linkOf = linkOf.map { redactor.redact($0) }
        change.before?.target = before?.target.map { redactor.redact($0) }
        change.after?.target = after?.target.map { redactor.redact($0) }
        return change
    }
}
