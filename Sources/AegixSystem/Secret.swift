// Pure data. A secret with its value. It says its name and nothing else, whoever prints it.

public struct Secret: Equatable, Sendable, CustomStringConvertible, CustomDebugStringConvertible {
    /// A name of a variable.
    public var name: String
    /// What the command gets.
    public var value: Bytes
    /// In a file inside, whose path is in the variable; else in the variable itself.
    public var isFile: Bool

    public init(name: String, value: Bytes, isFile: Bool = false) {
        self.name = name
        self.value = value
        self.isFile = isFile
    }

    public var description: String { name }
    public var debugDescription: String { name }

    /// Anything shorter would be found everywhere.
    public static let least = 4
    /// Its spellings are twenty times as long, and are made anew for every run.
    public static let most = 32 << 10
}
