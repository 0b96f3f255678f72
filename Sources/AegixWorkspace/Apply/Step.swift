// Pure data. What a transaction does to a workspace, step by step, and what each step finds and leaves.

import AegixSystem
import Glibc

/// One visible step. Its inverse is a step too, so that what was applied is reset by the same means.
struct Step: Equatable, Sendable {
    var verb: Verb
    /// Relative to the workspace's top; where it lies when the step's turn has come.
    var path: Bytes
    /// Name in the staging directory of what comes or goes.
    var slot = 0
    /// What has to be there before; nil: nothing.
    var old: Image?
    /// What is there afterwards; nil: nothing.
    var new: Image?
    /// Of `attributes` alone.
    var oldAttributes: FileAttributes?
    var newAttributes: FileAttributes?

    enum Verb: String, Sendable {
        /// From the slot to a path where nothing is.
        case put
        /// What is in the slot and what is at the path change places.
        case exchange
        /// From the path to the slot.
        case take
        /// In place.
        case attributes
    }

    var inverse: Step {
        var step = self
        switch verb {
        case .put: step.verb = .take
        case .take: step.verb = .put
        case .exchange, .attributes: break
        }
        (step.old, step.new) = (new, old)
        (step.oldAttributes, step.newAttributes) = (newAttributes, oldAttributes)
        return step
    }

    var slotName: Bytes { Bytes(String(slot)) }
}

/// What lies at a path, as it was last looked at.
struct Image: Equatable, Sendable {
    /// The path itself first; a directory before what is in it.
    var nodes: [Node]
    /// Whether these are all that lie there. Of a directory that only moves nothing but itself is known.
    var isWhole = true

    struct Node: Equatable, Sendable {
        /// Beneath the image's own; the first is empty.
        var path: Bytes
        var entry: Entry
    }

    init(_ nodes: [Node], isWhole: Bool = true) {
        self.nodes = nodes
        self.isWhole = isWhole
    }

    init(_ entry: Entry, isWhole: Bool = true) { self.init([Node(path: [], entry: entry)], isWhole: isWhole) }

    /// There is always one: no image is made without.
    var root: Entry { nodes[0].entry }
}

/// A path that isn't as it has to be.
public struct Conflict: Equatable, Sendable {
    public var path: Bytes
    /// A clause: "it was changed since the run began".
    public var reason: String

    public init(_ path: Bytes, _ reason: String) {
        self.path = path
        self.reason = reason
    }
}

/// Why a transaction didn't happen. The workspace is as it was, but for `stuck`.
public enum TransactionFault: Error, Sendable {
    case conflicts([Conflict])
    /// What couldn't be done, on which path.
    case failed(String, SystemError)
    /// It couldn't be finished and couldn't be undone: the next command tries again.
    case stuck(SystemError)
    /// It has happened, all of it, and only couldn't be written down: the next command tries again.
    case untidy(SystemError)
}
