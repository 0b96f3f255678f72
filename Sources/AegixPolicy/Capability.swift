// Pure but for libcap's table of names.

import AegixSystem
import CCap

/// Names of capabilities as libcap spells them.
enum Capability {
    /// `cap_net_raw` for `net_raw`, `CAP_NET_RAW` and itself; nil for a name that libcap doesn't know.
    static func name(_ text: String) -> String? {
        let lower = text.lowercased()
        let whole = lower.hasPrefix("cap_") ? lower : "cap_" + lower
        // libcap takes numbers too, and those mean something else on another kernel.
        guard !whole.utf8.dropFirst(4).allSatisfy({ (0x30...0x39).contains($0) }), !whole.utf8.contains(0) else {
            return nil
        }
        var value: cap_value_t = 0
        return cap_from_name(whole, &value) == 0 ? whole : nil
    }

    static func nearest(_ text: String) -> String? {
        let lower = text.lowercased()
        let names = all.map { lower.hasPrefix("cap_") ? $0 : String($0.dropFirst(4)) }
        return Spelling.nearest(lower, in: names)
    }

    static var all: [String] {
        (0...CAP_LAST_CAP).compactMap { number in
            guard let pointer = cap_to_name(cap_value_t(number)) else { return nil }
            defer { cap_free(pointer) }
            return String(cString: pointer)
        }
    }
}
