// Pure but for the looks that it is given. What a path of the command's leads to, by the steps that the child would take.

import AegixPolicy
import AegixSystem

/// The finished root of a plan, without its being made: the same steps, looked up instead of carried out.
public struct FileView: Sendable {
    enum Node: Equatable {
        /// Made by aegix: a directory on the way, a file of its own.
        case made(isDirectory: Bool)
        case link(Bytes)
        case host(Bytes, isWritable: Bool)
        /// Private and empty.
        case scratch
        case masked
        case kernel
    }

    public enum Look: Equatable, Sendable {
        case missing
        case link(Bytes)
        case directory, file
    }

    /// A path that was followed to its end.
    public enum Finding: Equatable, Sendable {
        /// In view, and nothing there.
        case missing(Bytes)
        /// No view shows it, whether it is on the host or not.
        case outside(Bytes)
        /// What masks it.
        case masked(Bytes)
        /// - host: where it lies on the host; nil: the sandbox's own. - under: the path of the view that it is in.
        case there(Bytes, host: Bytes?, under: Bytes, isWritable: Bool)
    }

    private var nodes: [Bytes: Node] = [:]
    /// Other places of the host can be walked through, as without mounts.
    private let isConfined: Bool
    private static let mostLinks = 40

    public init(_ plan: Plan) {
        isConfined = plan.confined != nil
        nodes[[Path.slash]] = .made(isDirectory: true)
        if let confined = plan.confined {
            confine(plan, confined)
            return
        }
        for step in plan.steps where !Path.contains(Staging.root, step.path) { add(step, plan) }
    }

    private mutating func add(_ step: Step, _ plan: Plan) {
        let path = step.path
        switch step {
        case .directory, .tmpfs:
            if nodes[path] == nil { nodes[path] = .made(isDirectory: true) }
        case .file(_, let content, _):
            if nodes[path] == nil || !content.isEmpty { nodes[path] = .made(isDirectory: false) }
        case .symlink(_, let target): nodes[path] = .link(target)
        case .proc, .devpts: nodes[path] = .kernel
        case .attach(_, let tree, let flags):
            nodes[path] = host(plan.trees[tree].path, path, plan, isWritable: !flags.contains(.readOnly))
        case .overlay(_, _, let flags): nodes[path] = .host(path, isWritable: !flags.contains(.readOnly))
        case .bind(_, .host(let source, _, _), let flags):
            // A device is there to be read and written.
            let isDevice = flags.contains(.devices)
            nodes[path] = host(source, path, plan, isWritable: isDevice || !flags.contains(.readOnly))
        case .bind(_, .inside(let source), _):
            if source == Staging.deniedFile || source == Staging.deniedDirectory {
                nodes[path] = .masked
            } else if plan.landlock.writable.contains(path), case .made? = nodes[path] {
                nodes[path] = .scratch
            }
        }
    }

    /// A copy of the workspace isn't there yet; it will be what the workspace is.
    private func host(_ source: Bytes, _ path: Bytes, _ plan: Plan, isWritable: Bool) -> Node {
        .host(source == plan.copy?.destination ? path : source, isWritable: isWritable)
    }

    private mutating func confine(_ plan: Plan, _ confined: ConfinedPlan) {
        let writable = Set(plan.landlock.writable)
        for rule in plan.landlock.rules {
            if rule.path == confined.tmp || rule.path == confined.home {
                nodes[rule.path] = .scratch
            } else if rule.path == confined.copy?.destination {
                nodes[plan.workspace] = .host(plan.workspace, isWritable: true)
            } else {
                nodes[rule.path] = .host(rule.path, isWritable: writable.contains(rule.path))
            }
        }
        for item in plan.hidden { nodes[item.path] = .masked }
    }

    /// - path: absolute. - look: at a path of the host, without following it.
    public func find(_ path: Bytes, look: (Bytes) -> Look) -> Finding {
        var names = Path.components(path)
        names.reverse()
        var (at, under, node) = ([Path.slash], [Path.slash], nodes[[Path.slash]] ?? .made(isDirectory: true))
        var links = 0
        while let name = names.popLast() {
            if name == [UInt8(ascii: ".")] { continue }
            let next = name == Bytes("..") ? Path.parent(at) : Path.join(at, name)
            if name == Bytes("..") {
                (at, under, node) = place(of: next)
                continue
            }
            var target: Bytes?
            if let own = nodes[next] {
                (at, under, node) = (next, next, own)
                if case .link(let to) = own { target = to }
                if case .host(let host, _) = own, isConfined, case .link(let to) = look(host) { target = to }
            } else {
                switch node {
                case .host(let base, let isWritable):
                    let host = Path.join(base, name)
                    (at, node) = (next, .host(host, isWritable: isWritable))
                    switch look(host) {
                    case .missing: return names.isEmpty || !isConfined ? .missing(next) : .outside(next)
                    case .link(let to): target = to
                    case .directory, .file: break
                    }
                case .masked: return .masked(under)
                case .scratch, .kernel: return .missing(next)
                case .made, .link:
                    // Without mounts the way to a view leads through the host's own directories.
                    guard isConfined else { return .outside(next) }
                    if case .link(let to) = look(next) { target = to }
                    if target == nil, !nodes.keys.contains(where: { Path.contains(next, $0) }) { return .outside(next) }
                    at = next
                }
            }
            if let target {
                links += 1
                if links > FileView.mostLinks { return .missing(next) }
                names += Path.components(target).reversed()
                (at, under, node) = place(of: Path.isAbsolute(target) ? [Path.slash] : Path.parent(next))
            }
        }
        switch node {
        case .masked: return .masked(under)
        case .host(let host, let isWritable): return .there(at, host: host, under: under, isWritable: isWritable)
        case .scratch: return .there(at, host: nil, under: under, isWritable: true)
        case .made, .link, .kernel: return .there(at, host: nil, under: under, isWritable: false)
        }
    }

    /// A directory that was walked through already, without its links.
    private func place(of path: Bytes) -> (Bytes, Bytes, Node) {
        var under = path
        while nodes[under] == nil, under != [Path.slash] { under = Path.parent(under) }
        let node = nodes[under] ?? .made(isDirectory: true)
        guard case .host(let base, let isWritable) = node, under != path else { return (path, under, node) }
        return (path, under, .host(base + path.dropFirst(under.count), isWritable: isWritable))
    }
}
