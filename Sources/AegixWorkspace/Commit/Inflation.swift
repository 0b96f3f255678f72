// Pure but for `more`. Unpacks zlib's format.

import AegixSystem
import CZlib

enum Inflation {
    /// All of one stream. `more` gives the next piece of what is packed, an empty one at its end.
    ///
    /// - limit: of what comes out, since it may be hostile.
    static func run(limit: Int, _ more: () throws(SystemError) -> Bytes) throws(SystemError) -> Bytes {
        var stream = z_stream()
        guard inflateInit_(&stream, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
            throw SystemError("inflate", errno: 12)
        }
        defer { inflateEnd(&stream) }
        var out = Bytes()
        var room = Bytes(repeating: 0, count: 64 << 10)
        while true {
            var piece = try more()
            if piece.isEmpty { throw SystemError("inflate", errno: 117) }
            var code = Z_OK
            let count = piece.count
            let failure: SystemError? = piece.withUnsafeMutableBufferPointer { input in
                stream.next_in = input.baseAddress
                stream.avail_in = uInt(count)
                repeat {
                    let made = room.withUnsafeMutableBufferPointer { output in
                        stream.next_out = output.baseAddress
                        stream.avail_out = uInt(output.count)
                        code = inflate(&stream, Z_NO_FLUSH)
                        return output.count - Int(stream.avail_out)
                    }
                    out.append(contentsOf: room[..<made])
                    if code == Z_BUF_ERROR { break }
                    if code != Z_OK, code != Z_STREAM_END { return SystemError("inflate", errno: 117) }
                    if out.count > limit { return SystemError("inflate", errno: 27) }
                } while code != Z_STREAM_END && (stream.avail_in > 0 || stream.avail_out == 0)
                return nil
            }
            if let failure { throw failure }
            if code == Z_STREAM_END { return out }
        }
    }
}
