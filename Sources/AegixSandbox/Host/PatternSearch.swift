// Side effects: reads directories to expand globs of `files.read` and `files.write`.

import AegixPolicy
import AegixSystem
import Glibc

public enum PatternSearch {
    static let mostMatches = 4096

    /// The rule's pattern from the root.
    static func pattern(of rule: Policy.PathRule, home: Bytes?, workspace: Bytes) throws(Failure) -> PathPattern {
        do {
            if let pattern = try PathPattern(rule.pattern).absolute(home: home, workspace: workspace) { return pattern }
        } catch {
            throw Failure("files.pattern", "\(rule.pattern.shown) \(error.reason) (\(rule.origin))")
        }
        throw Failure(
            "files.pattern", "\(rule.pattern.shown) needs $HOME, which isn't set to an absolute path (\(rule.origin))")
    }

    /// A deny that begins with `**` holds in every view, not only in the workspace. One whose literal beginning leads
    /// through a symlink also stands for where that leads, since views are canonical.
    public static func denied(_ rule: Policy.PathRule, home: Bytes?, workspace: Bytes) throws(Failure) -> [PathPattern]
    {
        do {
            var pattern = try PathPattern(rule.pattern)
            if pattern.anchor == .workspace, pattern.components.first == .anyDepth {
                pattern.anchor = .root
                return [pattern]
            }
        } catch {
            throw Failure("files.pattern", "\(rule.pattern.shown) \(error.reason) (\(rule.origin))")
        }
        let lexical = try pattern(of: rule, home: home, workspace: workspace)
        let resolved = resolved(lexical)
        return resolved == lexical ? [lexical] : [lexical, resolved]
    }

    /// With as long a literal beginning as exists replaced by its canonical path.
    private static func resolved(_ pattern: PathPattern) -> PathPattern {
        var prefix = pattern.literalPrefix
        while !prefix.isEmpty {
            do {
                let file = try Descriptor.open(Path.absolute(prefix), Descriptor.pathOnly)
                var whole = PathPattern(literal: try HostSurvey.canonical(file.raw))
                whole.components += pattern.components.dropFirst(prefix.count)
                return whole
            } catch {
                prefix.removeLast()  // not there, or closed: its parent decides
            }
        }
        return pattern
    }

    /// The paths that a rule names now. A literal one is itself, there or not; a glob is what it matches.
    static func paths(of rule: Policy.PathRule, home: Bytes?, workspace: Bytes) throws(Failure) -> [Bytes] {
        let pattern = try pattern(of: rule, home: home, workspace: workspace)
        if let literal = pattern.literalPath { return [literal] }
        var level: [Bytes] = [[Path.slash] + pattern.literalPrefix.joined(separator: [Path.slash])]
        for component in pattern.components.dropFirst(pattern.literalPrefix.count) {
            if case .anyDepth = component {
                // Everything beneath is what a directory's view shows anyway.
                break
            }
            var next: [Bytes] = []
            for directory in level {
                for name in names(directory) where component.matches(name) { next.append(Path.join(directory, name)) }
            }
            if next.count > mostMatches {
                throw Failure(
                    "files.pattern", "\(rule.pattern.shown) matches more than \(mostMatches) paths (\(rule.origin))")
            }
            level = next
        }
        return level
    }

    private static func names(_ directory: Bytes) -> [Bytes] {
        do {
            return try DirectoryListing.entries(try Descriptor.open(directory, O_RDONLY | O_DIRECTORY)).map(\.name)
        } catch {
            return []  // what can't be listed matches nothing
        }
    }
}
