// Side effects: looks along PATH on the host. The record's findings in the words that learning has for them.

import AegixAudit
import AegixNetwork
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import AegixWorkspace
import Glibc

struct LessonMaterial {
    private(set) var observations: Observations
    /// Names that held a declared secret, and were passed over.
    private(set) var hidden = 0
    /// What was written to and is in view for reading only.
    private(set) var unwritable: [String] = []

    private let preparation: RunPreparation
    private let plan: Plan
    private var programs: [Int32: Bytes] = [:]

    init(
        _ preparation: RunPreparation, _ plan: Plan, _ recorder: RunRecorder, _ result: RunResult,
        _ sightings: Sightings,
        _ changes: RunEnd.Changes
    ) {
        self.preparation = preparation
        self.plan = plan
        observations = Observations(command: plan.command.argv.first ?? [])
        observations.hasMoreExecs = recorder.execsLeftOut > 0
        observations.tracer = sightings.tracer
        observations.hasMoreFiles = sightings.leftOut > 0
        observations.nanoseconds = Clock.monotonic() - recorder.began
        observations.peakBytes = max(result.usage.peakResidentBytes, result.usage.cgroup.memoryPeak ?? 0)
        observations.execCount = result.usage.execs
        for event in recorder.execs where event.decision != .deny { add(event, sightings) }
        for (path, sighting) in sightings.seen.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            add(path, sighting)
        }
        if observations.workspaceChange == nil, case .listed(let list) = changes, let first = list.changes.first {
            observations.workspaceChange = change(first.path, by: [])
        }
        for event in result.network where event.isAllowed { add(event) }
        observations.hasMoreHosts = result.networkLeftOut > 0
    }

    private func isSecret(_ bytes: Bytes) -> Bool { preparation.redactor.map { $0.redact(bytes) != bytes } ?? false }

    private func change(_ path: Bytes, by program: Bytes) -> Observations.Change {
        .init(path: isSecret(path) ? Bytes("a name that holds a secret") : path, by: isSecret(program) ? [] : program)
    }

    // MARK: - Execs

    private mutating func add(_ event: ExecEvent, _ sightings: Sightings) {
        let by = programs[event.pid] ?? event.parent.flatMap { programs[$0] }
        programs[event.pid] = event.program
        if isSecret(event.program) {
            hidden += 1
            return
        }
        let argv = event.argv.map { isSecret($0) ? CommandShapeMark.hidden : $0 }
        observations.execs.append(
            .init(
                program: event.program, argv: argv, by: by, name: name(event.program, argv.first ?? []),
                wasAsked: event.approval != nil))
        addInterpreters(event, sightings)
    }

    /// A script that the sandbox can write doesn't bring its interpreters along, so they need rules of their own.
    private mutating func addInterpreters(_ event: ExecEvent, _ sightings: Sightings) {
        var script = event.program
        var tail = [Path.name(script)]
        for _ in 0..<5 {
            guard let words = sightings.interpreters[script], isWritable(event.program) else { return }
            let interpreter = PathInside.canonical(words[0]) ?? words[0]
            var exec = Observations.Exec(
                program: interpreter, argv: words + tail, by: event.program, name: name(interpreter, words[0]),
                wasAsked: false)
            exec.endsWithScript = true
            observations.execs.append(exec)
            tail = words.dropFirst() + tail
            script = interpreter
        }
    }

    private func isWritable(_ path: Bytes) -> Bool { !BaseView.rootPaths.contains { Path.contains($0, path) } }

    /// The name that it was called by, else its own, where a search along PATH leads to this very file.
    private func name(_ program: Bytes, _ called: Bytes) -> Bytes? {
        if isWritable(program) { return nil }
        for name in [Path.name(called), Path.name(program)] where !name.isEmpty && !name.contains(0) {
            for place in plan.search {
                guard let found = PathInside.canonical(Path.join(place, name)) else { continue }
                if found == program || PathInside.isSame(found, program) { return name }
                break
            }
        }
        return nil
    }

    // MARK: - Files

    private mutating func add(_ path: Bytes, _ sighting: Sightings.Sighting) {
        let facts = preparation.facts
        var views: [(fact: PathFact, isWritten: Bool)] = facts.reads.map { ($0, false) }
        views += facts.writes.map { ($0, true) }
        views.append((facts.workspace, false))
        let place = views.filter { Path.contains($0.fact.path, path) }.max { $0.fact.path.count < $1.fact.path.count }
        guard let place else { return }
        let use = sighting.use
        if place.fact.path == facts.workspace.path {
            if use.contains(.written) || use.contains(.named), observations.workspaceChange == nil {
                observations.workspaceChange = change(path, by: sighting.by)
            }
            return
        }
        if isSecret(path) {
            hidden += 1
            return
        }
        let list = place.isWritten ? preparation.loaded.policy.files.write : preparation.loaded.policy.files.read
        guard let rule = self.rule(list, place.fact) else { return }
        var names = Path.components(Bytes(path.dropFirst(place.fact.path.count)))
        func put(_ kind: Observations.File.Use, isDirectory: Bool, hasLink: Bool = false) {
            observations.files.append(
                .init(rule: rule, names: names, use: kind, isDirectory: isDirectory, hasLink: hasLink, by: sighting.by))
        }
        let isDirectory = use.contains(.directory)
        if !place.isWritten, use.contains(.written) || use.contains(.named) {
            let by = LearnedText.program(sighting.by)
            unwritable.append(
                "files: \(LearnedText.short(path)) was to be written by \(by), and can only be read; --write lets it")
            if use.isDisjoint(with: [.listed, .read, .link]) { return }
        }
        if place.isWritten, use.contains(.written) { put(.written, isDirectory: isDirectory) }
        if place.isWritten, use.contains(.named) { put(.named, isDirectory: isDirectory) }
        if use.contains(.listed) { put(.listed, isDirectory: true) }
        if use.contains(.read) { put(.read, isDirectory: isDirectory) }
        if use.isDisjoint(with: [.written, .named, .listed, .read, .link]) { put(.looked, isDirectory: isDirectory) }
        if use.contains(.link), !names.isEmpty {
            names.removeLast()
            put(.looked, isDirectory: true, hasLink: true)
        }
    }

    /// The one that brought it into view.
    private func rule(_ rules: [Policy.PathRule], _ fact: PathFact) -> Policy.PathRule? {
        let alike = rules.filter { $0.origin == fact.origin }
        let anchors = (preparation.facts.home, preparation.facts.workspace.path)
        return alike.first { rule in
            do {
                let pattern = try PathPattern(rule.pattern).absolute(home: anchors.0, workspace: anchors.1)
                return pattern?.literalPath.flatMap(PathInside.canonical) == fact.path
            } catch {
                return false
            }
        }
            ?? alike.first { rule in
                do {
                    let pattern = try PathPattern(rule.pattern).absolute(home: anchors.0, workspace: anchors.1)
                    return pattern?.literalPath == nil
                } catch {
                    return false
                }
            }
    }

    // MARK: - Network

    private mutating func add(_ event: NetworkEvent) {
        let name = event.name.flatMap { HostName.canonical($0) }
        if event.name != nil, name == nil { return }
        if let given = event.name, isSecret(given) {
            hidden += 1
            return
        }
        let by = event.pid.flatMap { programs[$0] } ?? []
        observations.hosts.append(
            .init(
                name: name, address: event.kind == .connect ? event.address : nil,
                port: event.kind == .connect ? event.port : nil, by: by))
    }
}

/// The base system and what is in view have the same paths on the host.
enum PathInside {
    static func canonical(_ path: Bytes) -> Bytes? {
        if path.contains(0) || path.isEmpty { return nil }
        do throws(SystemError) { return try HostSurvey.canonicalPath(path) } catch { return nil }
    }

    static func isSame(_ one: Bytes, _ other: Bytes) -> Bool {
        if other.contains(0) { return false }
        var (first, second) = (stat(), stat())
        return one.withCString { stat($0, &first) } == 0 && other.withCString { stat($0, &second) } == 0
            && first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }
}
