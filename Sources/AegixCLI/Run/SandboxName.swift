// Pure but for the environment. Which named sandbox a run takes place in.

import AegixAudit
import AegixPolicy
import AegixSystem
import Glibc

enum SandboxName {
    /// `--name`, else `$AEGIX_NAME`, else the workspace's own where the policy says so; nil: the run has one of its own.
    static func choose(_ options: RunOptions, _ policy: Policy, workspace: Bytes) throws(Failure) -> String? {
        var given = options.name
        if given == nil { given = try environment() }
        let isLayer = policy.workspace.mode.hasLayer
        if let given, !isLayer {
            throw Failure(
                "sandbox.mode",
                "a named sandbox (\(given)) keeps a layer, and workspace mode \"\(policy.workspace.mode.rawValue)\" has none. "
                    + "Leave the name out, or use mode \"layer\"")
        }
        if let given { return given }
        return isLayer && policy.workspace.sandbox == .workspace ? name(of: workspace) : nil
    }

    private static func environment() throws(Failure) -> String? {
        guard let value = getenv("AEGIX_NAME"), value[0] != 0 else { return nil }
        guard let text = Bytes(cString: value).text else {
            throw Failure("usage.value", "$AEGIX_NAME isn't valid UTF-8: \(Bytes(cString: value).shown)")
        }
        return try RunOptions.sandbox(text, from: "$AEGIX_NAME")
    }

    /// Readable, and another for each path.
    static func name(of workspace: Bytes) -> String {
        let readable = Path.name(workspace).prefix(40).map { byte -> UInt8 in
            let isPlain =
                byte < 0x80 && (Character(Unicode.Scalar(byte)).isLetter || Character(Unicode.Scalar(byte)).isNumber)
            return isPlain ? byte : UInt8(ascii: "-")
        }
        return "w" + String(decoding: readable, as: UTF8.self) + "-" + SHA256.hex(workspace).prefix(12)
    }
}
