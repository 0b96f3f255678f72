// Pure. Writes canonical JSON straight into bytes: a record is written on every run, and a tree of dictionaries to be
// sorted would cost more than all the rest of it.

/// Appends values in the order of the calls. The caller names members in the order of RFC 8785 (ASCII keys, so plain
/// byte order); a test parses what comes out and compares it with the canonical form.
public struct JSONWriter {
    public private(set) var bytes: Bytes
    private var separate = false
    private var second: UInt64 = .max
    private var datePrefix = Bytes()

    public init(capacity: Int = 4096) {
        bytes = []
        bytes.reserveCapacity(capacity)
    }

    public mutating func object(_ members: (inout JSONWriter) -> Void) {
        open("{")
        members(&self)
        close("}")
    }

    public mutating func array<Items: Sequence>(
        _ items: Items, each: (inout JSONWriter, Items.Element) -> Void
    ) {
        open("[")
        for item in items { each(&self, item) }
        close("]")
    }

    public mutating func key(_ name: StaticString) {
        comma()
        bytes.append(UInt8(ascii: "\""))
        name.withUTF8Buffer { bytes.append(contentsOf: $0) }
        bytes.append(UInt8(ascii: "\""))
        bytes.append(UInt8(ascii: ":"))
    }

    public mutating func key(_ name: String) {
        comma()
        quote(name)
        bytes.append(UInt8(ascii: ":"))
    }

    public mutating func null() { word("null") }

    public mutating func bool(_ flag: Bool) { word(flag ? "true" : "false") }

    public mutating func int(_ number: Int) {
        comma()
        CanonicalJSON.number(number, into: &bytes)
        separate = true
    }

    public mutating func int<N: FixedWidthInteger>(_ number: N) { int(Int(number)) }

    /// Sizes and counts: exact below 2^53, and what lies beyond is held there.
    public mutating func size(_ number: UInt64) { int(min(number, 1 << 53 - 1)) }

    /// A number that may pass 2^53, as a string.
    public mutating func big(_ number: UInt64) {
        comma()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(decimal: number)
        bytes.append(UInt8(ascii: "\""))
        separate = true
    }

    public mutating func string(_ text: String) {
        comma()
        quote(text)
        separate = true
    }

    /// Bytes as a string where they are UTF-8, else `{"base64": …}`.
    public mutating func string(_ raw: Bytes) {
        if raw.allSatisfy({ $0 < 0x80 }) || raw.text != nil {
            comma()
            raw.withUnsafeBufferPointer { quote($0) }
            separate = true
        } else {
            object { json in
                json.key("base64")
                json.string(Base64.encode(raw))
            }
        }
    }

    /// A value that is canonical already.
    public mutating func raw(_ value: Bytes) {
        comma()
        bytes.append(contentsOf: value)
        separate = true
    }

    /// As `Clock.rfc3339`, without gmtime_r, which reads /etc/localtime once in every process. The second's part is
    /// kept: the execs of a run fall into few seconds.
    public mutating func time(_ nanoseconds: UInt64) {
        let whole = nanoseconds / 1_000_000_000
        if whole != second {
            second = whole
            datePrefix = Timestamp.seconds(whole)
        }
        comma()
        bytes.append(UInt8(ascii: "\""))
        bytes.append(contentsOf: datePrefix)
        bytes.append(digits: nanoseconds % 1_000_000_000, 9)
        bytes.append(UInt8(ascii: "Z"))
        bytes.append(UInt8(ascii: "\""))
        separate = true
    }

    /// A value or null.
    public mutating func optional<Value>(_ value: Value?, _ write: (inout JSONWriter, Value) -> Void) {
        if let value { write(&self, value) } else { null() }
    }

    /// Between two values that stand for themselves.
    public mutating func newline() {
        bytes.append(UInt8(ascii: "\n"))
        separate = false
    }

    private mutating func word(_ text: StaticString) {
        comma()
        text.withUTF8Buffer { bytes.append(contentsOf: $0) }
        separate = true
    }

    private mutating func open(_ bracket: Unicode.Scalar) {
        comma()
        bytes.append(UInt8(ascii: bracket))
    }

    private mutating func close(_ bracket: Unicode.Scalar) {
        bytes.append(UInt8(ascii: bracket))
        separate = true
    }

    private mutating func comma() {
        if separate { bytes.append(UInt8(ascii: ",")) }
        separate = false
    }

    private mutating func quote(_ text: String) {
        var text = text
        text.withUTF8 { quote($0) }
    }

    private mutating func quote(_ text: UnsafeBufferPointer<UInt8>) { CanonicalJSON.quote(text, into: &bytes) }
}
