// Pure data. The form in which a run's changes lie on disk until they are applied: overlayfs's upper directory.

import AegixSystem

/// The layer of a run or of a named sandbox. Also the copy of a workspace, and tier confined's, come to this form.
public struct Layer: Equatable, Sendable {
    /// The upper directory, absolute.
    public var upper: Bytes
    public var style: Style

    public init(upper: Bytes, style: Style) {
        self.upper = upper
        self.style = style
    }

    public enum Style: String, CaseIterable, Sendable {
        /// Mounted in a user namespace: a directory can't be renamed without copying it, hard links break when written to.
        case user
        /// Mounted by root: redirects of renamed directories, hard links through an index.
        case trusted

        var prefix: String {
            switch self {
            case .user: "user.overlay."
            case .trusted: "trusted.overlay."
            }
        }
    }
}
