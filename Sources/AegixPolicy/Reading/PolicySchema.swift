// Pure. The JSON Schema of a policy, for editors, from the same table that the reader goes by.

import AegixSystem

public enum PolicySchema {
    public static var document: JSON {
        var properties = members(Schema.top)
        for table in Schema.tables {
            var object: [String: JSON] = ["type": "object", "additionalProperties": false]
            if let entries = table.entries {
                object["propertyNames"] = ["pattern": "^[A-Za-z_][A-Za-z0-9_]*$"]
                object["additionalProperties"] = member(entries)
            } else {
                object["properties"] = .object(members(table.keys))
            }
            properties[table.name] = .object(object)
        }
        return [
            "$schema": "https://json-schema.org/draft/2020-12/schema", "title": "aegix policy, version 1",
            "type": "object",
            "required": ["version"], "additionalProperties": false, "properties": .object(properties),
        ]
    }

    private static func members(_ keys: [SchemaKey]) -> [String: JSON] {
        Dictionary(keys.map { ($0.name, member($0)) }) { $1 }
    }

    private static func member(_ key: SchemaKey) -> JSON {
        var members = type(key.type)
        members["description"] = .string(key.summary)
        return .object(members)
    }

    private static func type(_ type: ValueType) -> [String: JSON] {
        let duration: JSON = ["type": "string", "pattern": "^(0|[0-9]+(\\.[0-9]{1,9})?(ms|s|m|h|d))$"]
        let size: JSON = ["type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,9}(?=.))?(B|[KMGT]i?B)?$"]
        let zero: JSON = ["const": 0]
        let none: JSON = ["const": "none"]
        let bytes: JSON = [
            "anyOf": [
                ["type": "string"],
                [
                    "type": "object", "required": ["base64"], "additionalProperties": false,
                    "properties": ["base64": ["type": "string"]],
                ],
            ]
        ]
        func list(_ items: JSON) -> [String: JSON] { ["type": "array", "items": items] }
        func words(_ words: [String]) -> JSON { ["enum": .array(words.map { .string($0) })] }
        switch type {
        case .version: return ["const": 1]
        case .name: return ["type": "string", "minLength": 1, "maxLength": 64]
        case .text: return ["type": "string"]
        case .flag: return ["type": "boolean"]
        case .choice(let choices): return ["enum": .array(choices.map { .string($0) })]
        case .choices(let choices): return list(words(choices))
        case .integer(let range):
            var number: [String: JSON] = ["type": "integer", "minimum": .int(range.lowerBound)]
            if range.upperBound < Int.max { number["maximum"] = .int(range.upperBound) }
            return ["anyOf": [.object(number), none]]
        case .hostname: return ["type": "string", "pattern": .string(Hostname.pattern)]
        case .instant: return ["type": "string", "pattern": .string(Instant.pattern)]
        case .processors:
            return ["oneOf": [["type": "number", "minimum": .double(0.01), "maximum": 4096], ["enum": ["none", 0]]]]
        case .duration(let orNone): return ["anyOf": orNone ? [duration, zero, none] : [duration, zero]]
        case .size(let orNone):
            let number: JSON = ["type": "integer", "minimum": 0]
            return ["anyOf": orNone ? [size, number, none] : [size, number]]
        case .count(let orNone):
            let number: JSON = ["type": "integer", "minimum": 0]
            return ["anyOf": orNone ? [number, none] : [number]]
        case .paths: return list(bytes)
        case .pattern: return list(["anyOf": [["type": "string"], ["type": "array", "items": ["type": "string"]]]])
        case .inside, .hosts, .resolvers, .words, .capabilities: return list(["type": "string"])
        case .environmentNames: return list(["type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*\\*?$"])
        case .environment:
            return [
                "type": "object", "propertyNames": ["pattern": "^[A-Za-z_][A-Za-z0-9_]*$"],
                "additionalProperties": bytes,
            ]
        case .secrets:
            let from: JSON = ["type": "string", "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"]
            return [
                "anyOf": [
                    from,
                    [
                        "type": "object", "required": ["from"], "additionalProperties": false,
                        "properties": ["from": from, "file": ["type": "boolean"]],
                    ],
                ]
            ]
        case .rules:
            let rule: JSON = [
                "type": "object", "required": ["argv", "decision"], "additionalProperties": false,
                "properties": .object(members(Schema.rule)),
            ]
            return list(rule)
        }
    }
}
