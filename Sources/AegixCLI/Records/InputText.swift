// Pure. Inputs for a person.

import AegixAudit
import AegixSystem
import AegixWorkspace

enum InputText {
    /// In `aegix show`; nil: nothing was asked for.
    static func line(_ record: JSON) -> String? {
        let detail = record["policy"]?["effective"]?["audit"]?["detail"]?.string
        let retention = record["retention"]
        if detail != "files", retention == nil || retention == .null { return nil }
        var parts: [String] = []
        let all = record["inputs"]?.array ?? []
        let isCut = record["cut"]?["inputs"] != nil
        let read = all.filter { $0["use"]?.array?.contains("read") == true }.count
        if detail == "files" || retention?["mode"]?.string == "read" {
            parts.append("\(isCut ? "at least " : "")\(counted(read, "file")) read")
        }
        if let retention, retention != .null {
            if let error = retention["error"]?.string {
                parts.append(Bytes(error).shown)
            } else {
                let size = Units.size(retention["bytes"]?.int ?? 0)
                parts.append("\(counted(retention["contents"]?.int ?? 0, "content")) kept (\(size))")
            }
            let bounds = (retention["bounds"]?.array ?? []).map { RecordText.shown($0) }
            if !bounds.isEmpty { parts.append("cut short by \(bounds.joined(separator: " and "))") }
        }
        let loaded = record["loaded"]?.array?.count ?? 0
        if loaded > 0 { parts.append("\(counted(loaded, "program or library", "programs and libraries")) loaded") }
        return parts.joined(separator: ", ")
    }

    static func words(_ reason: String) -> String {
        // As a record has it, which may be a stranger's.
        switch reason {
        case "secret": "a secret was in it"
        case "terminal": "it is a terminal"
        default: Bytes(reason).shown
        }
    }

    private static func counted(_ count: Int, _ one: String, _ many: String? = nil) -> String {
        "\(count) \(count == 1 ? one : many ?? one + "s")"
    }
}
