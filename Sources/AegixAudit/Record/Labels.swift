// Pure. Labels, as the record and the ledger write them.

import AegixSystem

/// In the order of UTF-16 code units, which canonical JSON asks for and which differs from that of the bytes.
func sortedLabels(_ labels: [String: String], count: Int, bytes: Int) -> [(key: String, value: String)] {
    if labels.isEmpty { return [] }
    let sorted = labels.sorted { $0.key.utf16.lexicographicallyPrecedes($1.key.utf16) }
    return Array(bounded(sorted, count: count, bytes: bytes) { $0.key.utf8.count + $0.value.utf8.count })
}

extension JSONWriter {
    mutating func labels(_ labels: [(key: String, value: String)]) {
        object { json in
            for label in labels {
                json.key(label.key)
                json.string(label.value)
            }
        }
    }
}
