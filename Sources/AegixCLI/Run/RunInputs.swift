// Side effects: reads the workspace after a run and copies what is kept of it. What a run has to do with its inputs.

import AegixAudit
import AegixPlan
import AegixPolicy
import AegixSandbox
import AegixSystem
import AegixWorkspace

/// What the policy's `[audit]` asks for beside processes: what was read, what was loaded, and what of the workspace is kept.
struct RunInputs {
    private let preparation: RunPreparation
    private let plan: Plan
    private let sightings: Sightings?
    private let began: UInt64
    private let denied: [PathPattern]
    private let isContinued: Bool

    init(
        _ preparation: RunPreparation, _ plan: Plan, _ sightings: Sightings?, began: UInt64, denied: [PathPattern],
        isContinued: Bool
    ) {
        (self.preparation, self.plan, self.sightings) = (preparation, plan, sightings)
        (self.began, self.denied, self.isContinued) = (began, denied, isContinued)
    }

    static func asks(_ audit: Policy.Audit) -> Bool { audit.detail == .files || audit.inputs != .none }

    /// nil: no file has to be watched for.
    static func sightings(_ preparation: RunPreparation) -> Sightings? {
        let audit = preparation.loaded.policy.audit
        if audit.detail == .files { return Sightings(loads: true) }
        return audit.inputs == .read || preparation.learns ? Sightings() : nil
    }

    /// Whether a layer has anything in it yet.
    static func holdsChanges(_ upper: Bytes) -> Bool {
        do throws(SystemError) { return try !Tree(at: upper).entries().isEmpty } catch { return true }
    }

    /// - place: makes the directory for contents.
    func note(_ end: inout RunEnd, into place: () throws -> Bytes) {
        let audit = preparation.loaded.policy.audit
        end.keeps = InputList.Mode(rawValue: audit.inputs.rawValue)
        var mode = end.keeps
        var refusal: String?
        if let asked = mode, let reason = lack(asked) { (mode, refusal) = (nil, reason) }
        var found = InputFindings()
        if !isContinued {
            found = InputSurvey.survey(ground, keeps: mode, into: place)
        } else if audit.detail == .files {
            // What lies in the workspace isn't what the command saw there.
            found = InputSurvey.survey(ground.withoutWorkspace, keeps: nil, into: place)
        }
        found.error = found.error ?? refusal
        end.inputs = found
        end.readsLeftOut = UInt64(sightings?.leftOut ?? 0)
        if audit.detail == .files, let sightings { loaded(sightings, found.digests, &end) }
    }

    /// Why nothing can be kept; nil: it can.
    private func lack(_ mode: InputList.Mode) -> String? {
        if isContinued {
            return "nothing is kept: the sandbox held changes of earlier runs, and what the command found there is gone"
        }
        if mode == .read, !plan.syscalls.watchesReads {
            return "nothing is kept: what a command reads can't be seen in tier confined; inputs = \"all\" works there"
        }
        return nil
    }

    private func loaded(_ sightings: Sightings, _ known: [Bytes: String], _ end: inout RunEnd) {
        let files = sightings.loaded
        let cache = CacheDirectory(path: Path.join(preparation.state, Bytes("cache")))
        let system = LoadDigests(files, views: plan.views, cache: cache)
        end.loaded = files.map {
            .init(path: $0.path, kind: $0.kind, digest: system.digests[$0.path] ?? known[$0.path])
        }
        end.isLoadedCut = system.isCut
    }

    private var ground: InputGround {
        let facts = preparation.facts
        let workspace = facts.workspace
        var ground = InputGround(
            workspace: workspace.path, (workspace.device, workspace.inode),
            identity: facts.uid == 0 ? .owner(uid: workspace.uid, gid: workspace.gid) : .caller, began: Int64(began))
        ground.source = workspace.source
        ground.redactor = preparation.redactor
        ground.denied = denied
        ground.hidden = Set(plan.hidden.map(\.path))
        ground.views = (facts.reads + facts.writes).map {
            .init($0.path, isFile: $0.kind == .file, device: $0.device, inode: $0.inode)
        }
        for (path, sighting) in sightings?.seen ?? [:] {
            let uses = sighting.use.inputs
            if !uses.isEmpty { ground.uses[path] = uses }
        }
        return ground
    }
}

extension InputGround {
    fileprivate var withoutWorkspace: InputGround {
        var ground = self
        ground.uses = uses.filter { !Path.contains(workspace, $0.key) }
        return ground
    }
}

extension Sightings.Use {
    fileprivate var inputs: Set<Input.Use> {
        var uses: Set<Input.Use> = []
        for (use, word) in [
            (Sightings.Use.read, Input.Use.read), (.listed, .listed), (.written, .written), (.named, .named),
            (.link, .link),
        ] where contains(use) { uses.insert(word) }
        return uses
    }
}
