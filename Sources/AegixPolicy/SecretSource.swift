// Pure data. Where a secret's value comes from. A policy never holds the value.

import AegixSystem

extension Policy {
    public struct SecretSource: Equatable, Sendable {
        public var place: Place
        /// Handed over in a file, whose path is in the variable.
        public var isFile: Bool

        public enum Place: Equatable, Sendable {
            /// Of the caller's environment.
            case variable(String)
            /// Of the host: absolute, `~/…`, or relative to the workspace.
            case file(Bytes)
        }

        public init(_ place: Place, isFile: Bool = false) {
            self.place = place
            self.isFile = isFile
        }

        /// `env:VARIABLE` or `file:PATH`; nil for anything else.
        public init?(_ text: Bytes, isFile: Bool = false) {
            if text.starts(with: Bytes("env:")), let name = Bytes(text.dropFirst(4)).text, EnvironmentName.isValid(name)
            {
                self.init(.variable(name), isFile: isFile)
            } else if text.starts(with: Bytes("file:")), text.count > 5, !text.contains(0) {
                self.init(.file(Bytes(text.dropFirst(5))), isFile: isFile)
            } else {
                return nil
            }
        }

        public var text: Bytes {
            switch place {
            case .variable(let name): Bytes("env:" + name)
            case .file(let path): Bytes("file:") + path
            }
        }

        /// As canonical JSON has it, and TOML but for the punctuation.
        var json: JSON { isFile ? ["file": true, "from": .bytes(text)] : .bytes(text) }
    }
}

extension PolicyOverrides {
    public struct NamedSecret: Equatable, Sendable {
        public var name: String
        public var source: Policy.SecretSource

        public init(name: String, source: Policy.SecretSource) {
            self.name = name
            self.source = source
        }
    }

    /// `--secret NAME=env:VAR|file:PATH`. No error shows the word: whoever gets it wrong writes the value there.
    public static func secret(
        _ option: String, _ word: Bytes, isFile: Bool
    ) throws(Failure) -> NamedSecret {
        guard let split = word.firstIndex(of: UInt8(ascii: "=")), let name = Bytes(word[..<split]).text,
            EnvironmentName.isValid(name)
        else {
            throw Failure(
                "usage.value", "--\(option) takes NAME=env:VARIABLE or NAME=file:PATH, where NAME is one of a variable")
        }
        guard let source = Policy.SecretSource(Bytes(word[(split + 1)...]), isFile: isFile) else {
            throw Failure(
                "usage.value",
                "--\(option) \(name)=… takes env:VARIABLE or file:PATH: the value itself doesn't belong on a command line"
            )
        }
        return NamedSecret(name: name, source: source)
    }
}
