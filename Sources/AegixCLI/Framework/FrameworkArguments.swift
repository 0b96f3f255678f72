// Pure. argv as bytes ─► options, operands and the words that aren't ours.

import AegixSystem

/// The parsed words of one command. Values stay bytes: they reach the command as they were given.
public struct Arguments: Equatable, Sendable {
    /// Words that are no options, in order.
    public private(set) var operands: [Bytes] = []
    /// The words after `--` or after an option that ends the options; nobody has looked into them.
    public private(set) var rest: [Bytes] = []
    /// Who began the rest: `--`, or the name of an option such as `script`; nil when there is none.
    public private(set) var restOwner: String?
    private var given: [String: [Bytes]] = [:]

    public func flag(_ name: String) -> Bool { given[name] != nil }
    public func value(_ name: String) -> Bytes? { given[name]?.first }
    public func values(_ name: String) -> [Bytes] { given[name] ?? [] }

    /// A value that has to be text, such as a name from a list.
    public func text(_ name: String) throws(Failure) -> String? {
        guard let bytes = value(name) else { return nil }
        guard let text = bytes.text else {
            throw Failure("usage.value", "--\(name) isn't valid UTF-8: \(bytes.shown)")
        }
        return text
    }

    /// The operands, when there are as many as `names` says; the last `optional` of them may be missing.
    public func operands(_ names: String..., optional: Int = 0) throws(Failure) -> [Bytes] {
        if operands.count < names.count - optional {
            throw Failure("usage.operand", "\(names[operands.count]) is missing")
        }
        if operands.count > names.count {
            throw Failure("usage.operand", "unexpected word: \(operands[names.count].shown)")
        }
        return operands
    }

    /// Stages: up to `--` or an option that ends the options, each word is an option, an option's value, or an operand.
    /// What isn't done here: no value is interpreted.
    public static func parse<C: Command>(_ words: [Bytes], for command: C.Type) throws(Failure) -> Arguments {
        let options = command.allOptions
        var parsed = Arguments()
        var index = 0
        while index < words.count {
            let word = words[index]
            index += 1
            if word == dashes {
                if command.passesRest {
                    // A rest that an option began never gets here, so this is the first.
                    parsed.rest = Array(words[index...])
                    parsed.restOwner = "--"
                } else {
                    parsed.operands += words[index...]
                }
                return parsed
            }
            guard looksLikeOption(word) else {
                parsed.operands.append(word)
                continue
            }
            let (spelled, attached) = split(word)
            guard let option = options.first(where: { $0.isSpelled(spelled) }) else {
                throw unknown(spelled, of: command, options)
            }
            if option.placeholder == nil {
                if attached != nil { throw Failure("usage.value", "--\(option.name) takes no value") }
                try parsed.add(option, [])
                continue
            }
            if let attached {
                try parsed.add(option, attached)
            } else {
                try parsed.add(option, value(of: option, at: index, in: words, options))
                index += 1
            }
            if option.endsOptions {
                parsed.rest = Array(words[index...])
                parsed.restOwner = option.name
                return parsed
            }
        }
        return parsed
    }

    /// Whether the words ask for `name` where options may stand. Used before parsing, which may fail, so an error can
    /// take the right form. Words after `--`, or after the value of an option in `ending`, are a program's own.
    static func mentions(_ name: String, in words: [Bytes], ending: [String]) -> Bool {
        for (index, word) in words.enumerated() {
            if word == dashes { return false }
            if word == Bytes("--" + name) { return true }
            if ending.contains(where: { word.starts(with: Bytes("--" + $0 + "=")) }) { return false }
            if index > 0, ending.contains(where: { words[index - 1] == Bytes("--" + $0) }) { return false }
        }
        return false
    }

    private mutating func add(_ option: Option, _ value: Bytes) throws(Failure) {
        if given[option.name] != nil, !option.repeatable {
            throw Failure("usage.repeated", "--\(option.name) is given twice, and only one can count")
        }
        given[option.name, default: []].append(value)
    }

    /// A forgotten value would swallow the next option; `--name=VALUE` is there for a value that looks like one.
    private static func value(
        of option: Option, at index: Int, in words: [Bytes], _ options: [Option]
    ) throws(Failure) -> Bytes {
        let wanted = "--\(option.name) needs a value: \(option.shown)"
        guard index < words.count else { throw Failure("usage.value", wanted) }
        let word = words[index]
        let name = split(word).name
        if word == dashes || options.contains(where: { $0.isSpelled(name) }) {
            throw Failure(
                "usage.value", wanted + "; if \(word.shown) is meant as the value, write --\(option.name)=\(word.shown)"
            )
        }
        return word
    }

    private static func unknown<C: Command>(_ spelled: Bytes, of command: C.Type, _ options: [Option]) -> Failure {
        let name = spelled.drop { $0 == hyphen }
        if let known = command.unavailable.first(where: { name.elementsEqual($0.utf8) }) {
            return Failure("usage.unavailable", "--\(known) isn't available in this version")
        }
        let near = Spelling.nearest(
            to: String(decoding: name, as: UTF8.self), in: options.filter { !$0.hidden }.map(\.name))
        return Failure(
            "usage.option",
            "unknown option \(spelled.shown)"
                + (near.map { "; did you mean --\($0)?" } ?? "; `aegix \(command.name) --help` lists the options"))
    }

    private static func split(_ word: Bytes) -> (name: Bytes, value: Bytes?) {
        guard let equals = word.firstIndex(of: UInt8(ascii: "=")) else { return (word, nil) }
        return (Array(word[..<equals]), Array(word[(equals + 1)...]))
    }

    /// A lone `-` is an operand.
    private static func looksLikeOption(_ word: Bytes) -> Bool { word.count > 1 && word[0] == hyphen }

    private static let hyphen = UInt8(ascii: "-")
    private static let dashes = Bytes("--")
}

extension Option {
    fileprivate func isSpelled(_ word: Bytes) -> Bool {
        word == Bytes("--" + name) || short.map { word == Bytes("-" + $0) } ?? false
    }
}
