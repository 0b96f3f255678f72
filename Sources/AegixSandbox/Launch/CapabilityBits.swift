// Pure but for libcap's tables.

import AegixSystem
import CCap

enum CapabilityBits {
    /// Names were checked when the policy was read.
    static func bits(_ names: [String]) -> UInt64 {
        names.reduce(0) { bits, name in
            var value: cap_value_t = 0
            return cap_from_name(name, &value) == 0 ? bits | 1 << UInt64(value) : bits
        }
    }
}
