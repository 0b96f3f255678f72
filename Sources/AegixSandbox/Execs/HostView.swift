// Side effects: looks at files of the host, without opening what could answer. What a sandbox would show, before there is one.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// A plan's file view over the host as it is now.
public struct HostView {
    public let view: FileView
    let cwd: Bytes

    public init(_ plan: Plan) {
        view = FileView(plan)
        cwd = plan.cwd
    }

    public func find(_ path: Bytes) -> FileView.Finding { view.find(Path.join(cwd, path), look: HostView.look) }

    struct Place {
        var inside: Bytes
        var host: Bytes
        var isWritable: Bool
    }

    /// A file to be executed; what the sandbox makes itself is none.
    func program(_ path: Bytes) throws(ExecFault) -> Place {
        switch find(path) {
        case .there(let inside, let host?, _, let isWritable):
            return Place(inside: inside, host: host, isWritable: isWritable)
        case .there, .masked: throw .answer(EACCES)
        case .missing, .outside: throw .answer(ENOENT)
        }
    }

    /// A path that was followed already: a link in it now was put there since.
    static func open(_ path: Bytes, _ flags: Int32) -> Descriptor? {
        let root = Glibc.open("/", Descriptor.pathOnly | O_CLOEXEC)
        if root < 0 { return nil }
        let top = Descriptor(owning: root)
        let raw = Bytes(path.dropFirst()).withCString { aegix_open_beneath(top.raw, $0, flags) }
        return raw < 0 ? nil : Descriptor(owning: raw)
    }

    private static func look(_ path: Bytes) -> FileView.Look {
        var facts = stat()
        if path.withCString({ lstat($0, &facts) }) < 0 { return .missing }
        switch facts.st_mode & S_IFMT {
        case S_IFDIR: return .directory
        case S_IFLNK:
            do throws(SystemError) { return .link(try HostSurvey.readLink(path)) } catch { return .missing }
        default: return .file
        }
    }
}
