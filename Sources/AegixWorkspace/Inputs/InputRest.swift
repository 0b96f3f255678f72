// Side effects: reads files in view. What was read and isn't in the list: files outside of the workspace, and all of them where nothing is kept.

import AegixSystem
import Glibc

extension InputSurvey {
    func tellRest(_ top: Tree) {
        let listed = Set(list.inputs.map(\.path))
        for (path, uses) in ground.uses.sorted(by: { $0.key.lexicographicallyPrecedes($1.key) }) {
            if let place = InputSurvey.relative(path, to: ground.workspace) {
                if listed.contains(place) { continue }
                // A name that was left out of a list is in none.
                if mode != nil, ground.redactor?.finds(in: place) == true { continue }
                tell(place, uses, path, in: top, place)
            } else if let view = view(of: path) {
                tell(in: view, path, uses)
            }
        }
        for input in list.inputs + found.told {
            guard let digest = input.digest else { continue }
            found.digests[Path.isAbsolute(input.path) ? input.path : Path.join(ground.workspace, input.path)] = digest
        }
    }

    /// The innermost one.
    private func view(of path: Bytes) -> InputGround.View? {
        ground.views.filter { Path.contains($0.path, path) }.max { $0.path.count < $1.path.count }
    }

    private func tell(in view: InputGround.View, _ path: Bytes, _ uses: Set<Input.Use>) {
        do throws(SystemError) {
            let place = view.isFile ? Path.parent(view.path) : view.path
            let tree = try ground.identity.reading { () throws(SystemError) in try Tree(at: place) }
            let facts = try tree.facts(name: view.isFile ? Path.name(view.path) : Bytes("."))
            if facts?.device != view.device || facts?.inode != view.inode {
                throw SystemError("open", view.path, errno: ESTALE)
            }
            let inside = view.isFile ? Path.name(view.path) : InputSurvey.relative(path, to: view.path) ?? []
            tell(path, uses, path, in: tree, inside)
        } catch {
            var input = Input(path, .other)
            (input.uses, input.reason) = (uses, .unreadable)
            found.told.append(input)
        }
    }

    /// - name: what it is called in the record.
    /// - path: from the root.
    private func tell(_ name: Bytes, _ uses: Set<Input.Use>, _ path: Bytes, in tree: Tree, _ inside: Bytes) {
        var input = Input(name, .file)
        input.uses = uses
        defer { found.told.append(input) }
        input.reason = isDenied(path) ? .denied : nil
        if input.reason != nil { return }
        do {
            let opened = try ground.identity.reading { () throws(SystemError) in
                try Opened(inside, in: tree) { facts in
                    input = self.input(name, facts)
                    input.uses = uses
                    return input.kind == .file && input.reason == nil && mattered(input)
                }
            }
            if opened.facts == nil { input.reason = .made }
            if input.kind == .other { input.reason = .special }
            if let error = opened.error { input.reason = InputSurvey.reason(error) }
            if opened.file.isOpen, let facts = opened.facts { try take(&input, opened.file, facts, keeps: false) }
        } catch let error as SystemError {
            let isGone = [ENOENT, ENOTDIR].contains(error.errno)
            input.reason = isGone ? .made : InputSurvey.reason(error)
        } catch {
            input.reason = .unreadable
        }
    }
}

/// What was found at a path; the file is open where it is wanted.
private final class Opened {
    private(set) var facts: FileFacts?
    private(set) var file = Descriptor.none
    private(set) var error: SystemError?

    init(_ path: Bytes, in tree: Tree, if isWanted: (FileFacts) -> Bool) throws(SystemError) {
        let parent = try tree.parent(of: path)
        guard let found = try parent.facts(name: path.isEmpty ? Bytes(".") : Path.name(path)) else { return }
        facts = found
        if !isWanted(found) { return }
        do throws(SystemError) { file = try parent.file(Path.name(path)) } catch { self.error = error }
    }
}
