// Pure. Which paths of a workspace are artifacts, told name by name on the way down.

import AegixPolicy
import AegixSystem

/// Patterns as a walk needs them: what is of no use beneath a directory is known before it is opened. A pattern that names a
/// directory names all that lies beneath it.
struct ArtifactPatterns {
    private let patterns: [PathPattern]

    init(_ texts: [String]) throws(PathPattern.Defect) {
        var patterns: [PathPattern] = []
        for text in texts { patterns.append(try InsidePattern.parse(Bytes(text))) }
        self.patterns = patterns
    }

    /// How far each pattern has been followed.
    struct Place {
        fileprivate var states: Set<State>
        /// Patterns that name the path itself, or a directory above it.
        var matched: [Int] = []
        /// A pattern names this very directory and something in it: more than `**` would.
        var isOnTheWay = false

        var leadsNowhere: Bool { states.isEmpty }
    }

    fileprivate struct State: Hashable {
        var pattern: Int
        var component: Int
    }

    var top: Place {
        var states: Set<State> = []
        for index in patterns.indices { reach(State(pattern: index, component: 0), &states) }
        return Place(states: states)
    }

    func step(_ place: Place, _ name: Bytes) -> Place {
        var next: Set<State> = []
        var isOnTheWay = false
        for state in place.states {
            let components = patterns[state.pattern].components
            if state.component == components.count || components[state.component] == .anyDepth {
                reach(state, &next)
            } else if components[state.component].matches(name) {
                reach(State(pattern: state.pattern, component: state.component + 1), &next)
                isOnTheWay = isOnTheWay || state.component + 1 < components.count
            }
        }
        let matched = next.filter { $0.component == patterns[$0.pattern].components.count }.map(\.pattern)
        return Place(states: next, matched: matched.sorted(), isOnTheWay: isOnTheWay)
    }

    /// `**` stands for no directory, too.
    private func reach(_ state: State, _ states: inout Set<State>) {
        var state = state
        while states.insert(state).inserted {
            let components = patterns[state.pattern].components
            if state.component == components.count || components[state.component] != .anyDepth { return }
            state.component += 1
        }
    }
}
