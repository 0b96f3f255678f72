// Pure. What of the inputs isn't as it was asked, in words.

import AegixSandbox
import AegixSystem
import AegixWorkspace

extension InputText {
    /// For the one line at a run's end; empty where all went as it was asked.
    static func problems(_ found: InputFindings?, _ stdin: InputSummary?) -> [String] {
        var parts: [String] = []
        if let error = found?.error, found?.isFailed == false { parts.append(error) }
        if let cut = found?.list?.cut, !cut.isEmpty {
            let names = InputList.Bound.allCases.filter(cut.contains).map(\.rawValue)
            parts.append("inputs are cut short by \(names.joined(separator: " and "))")
        }
        if let reason = stdin?.reason { parts.append("stdin isn't kept: \(words(reason.rawValue))") }
        return parts
    }
}
