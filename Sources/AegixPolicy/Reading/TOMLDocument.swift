// Pure. TOML bytes ─► a tree with the position of every key and value, copied out of toml++.

import AegixSystem
import CTOML

/// A place in a source text, both from 1; columns count characters.
public struct Position: Equatable, Comparable, Sendable {
    public var line: Int
    public var column: Int

    public init(line: Int, column: Int) {
        self.line = line
        self.column = column
    }

    public static func < (a: Position, b: Position) -> Bool { (a.line, a.column) < (b.line, b.column) }
}

/// A value of a TOML document with where it stands. Members are in the order in which they were written.
struct TOMLNode {
    enum Value {
        case table([Member])
        case array([TOMLNode])
        case string(String)
        case integer(Int)
        case float(Double)
        case boolean(Bool)
        case time
    }

    struct Member {
        var key: String
        var keyPosition: Position
        var node: TOMLNode
    }

    var value: Value
    var position: Position

    /// As an error says it: never the value itself, which may be a secret of a file that wasn't a policy.
    var kind: String {
        switch value {
        case .table: "a table"
        case .array: "a list"
        case .string: "a string"
        case .integer: "a whole number"
        case .float: "a number with a fraction"
        case .boolean: "a boolean"
        case .time: "a date or time"
        }
    }
}

/// Why a text isn't TOML.
struct TOMLSyntaxError: Error {
    var position: Position
    var message: String
}

enum TOMLDocument {
    static func parse(_ bytes: Bytes) throws(TOMLSyntaxError) -> TOMLNode {
        guard let document = bytes.withUnsafeBufferPointer({ aegix_toml_parse($0.baseAddress, $0.count) }) else {
            throw TOMLSyntaxError(position: Position(line: 1, column: 1), message: "no memory to read it")
        }
        defer { aegix_toml_free(document) }
        if let message = aegix_toml_error(document) {
            let place = Position(
                line: Int(aegix_toml_error_line(document)), column: Int(aegix_toml_error_column(document)))
            throw TOMLSyntaxError(position: place, message: String(cString: message))
        }
        let nodes = UnsafeBufferPointer(start: aegix_toml_nodes(document), count: aegix_toml_count(document))
        var index = 0
        return subtree(nodes, &index)
    }

    /// The array is in pre-order, so a node's children follow it for as long as they name it as their parent.
    private static func subtree(_ nodes: UnsafeBufferPointer<aegix_toml_node>, _ index: inout Int) -> TOMLNode {
        let own = index
        let flat = nodes[own]
        index += 1
        let value: TOMLNode.Value
        switch Int(flat.kind) {
        case AEGIX_TOML_TABLE:
            var members: [TOMLNode.Member] = []
            while index < nodes.count, Int(nodes[index].parent) == own {
                let child = nodes[index]
                let place = Position(line: Int(child.key_line), column: Int(child.key_column))
                let key = text(child.key, child.key_length)
                members.append(TOMLNode.Member(key: key, keyPosition: place, node: subtree(nodes, &index)))
            }
            members.sort { $0.keyPosition < $1.keyPosition }
            value = .table(members)
        case AEGIX_TOML_ARRAY:
            var items: [TOMLNode] = []
            while index < nodes.count, Int(nodes[index].parent) == own { items.append(subtree(nodes, &index)) }
            value = .array(items)
        case AEGIX_TOML_STRING: value = .string(text(flat.text, flat.text_length))
        case AEGIX_TOML_INTEGER: value = .integer(Int(flat.integer))
        case AEGIX_TOML_FLOAT: value = .float(flat.real)
        case AEGIX_TOML_BOOLEAN: value = .boolean(flat.integer != 0)
        default: value = .time
        }
        return TOMLNode(value: value, position: Position(line: Int(flat.line), column: Int(flat.column)))
    }

    private static func text(_ pointer: UnsafePointer<CChar>?, _ length: Int) -> String {
        let raw = UnsafeRawBufferPointer(start: pointer, count: pointer == nil ? 0 : length)
        return String(decoding: raw, as: UTF8.self)
    }
}
