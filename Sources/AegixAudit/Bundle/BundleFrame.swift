// Pure but for memory. How a bundle is packed, and the unpacking of what anybody may have made.

import AegixSystem
import CZstd

/// The archive in frames of one size, the last one shorter, and behind them the digest of them all.
///
/// A reader takes no other form: a window that is larger would let a stranger's file choose how much memory it costs. Frames are cut by the
/// contents alone, so that several threads can pack them, and the file is the same whatever their number.
enum BundleFrame {
    static let length = 2 << 20
    static let windowLog: Int32 = 20
    static let level: Int32 = 1
    /// Magic number; no size, no dictionary, a checksum at the end; the window.
    static let head: Bytes = [0x28, 0xB5, 0x2F, 0xFD, 0x04, 0x50]
    /// A skippable frame, which zstd passes over: the SHA-256 of all bytes before it. A frame's own checksum says whether the
    /// contents are right; this one that they are packed as they were, so that no bit of the file is free.
    static let trailerHead: Bytes = [0x5A, 0x2A, 0x4D, 0x18, 0x20, 0x00, 0x00, 0x00]
    static let trailer = 40
}

final class BundleUnpacker {
    private let context: OpaquePointer
    private let room: UnsafeMutableRawBufferPointer
    /// Of the frame that is being read: bytes of its head, and of its contents.
    private var headSeen = 0
    private var contents = 0
    private(set) var isComplete = false
    private var isLast = false

    enum Flaw: Error {
        /// With libzstd's word for it.
        case damaged(String)
        case head
        case length
        case bytesAfter
        case memory

        var words: String {
            switch self {
            case .damaged(let why): "can't be unpacked (\(why.lowercased()))"
            case .head: "is packed otherwise than bundles are"
            case .length: "is a frame of another length than a bundle's"
            case .bytesAfter: "stands behind the last frame"
            case .memory: "needs more memory than there is"
            }
        }
    }

    init() throws(Flaw) {
        guard let context = ZSTD_createDCtx() else { throw .memory }
        self.context = context
        room = .allocate(byteCount: 256 << 10, alignment: 16)
        if ZSTD_isError(ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, BundleFrame.windowLog)) != 0 {
            throw .memory
        }
    }

    deinit {
        ZSTD_freeDCtx(context)
        room.deallocate()
    }

    func feed<E: Error>(
        _ bytes: UnsafeRawBufferPointer, _ take: (UnsafeRawBufferPointer) throws(E) -> Void,
        else fail: (Flaw) -> E
    ) throws(E) {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while true {
            if isComplete {
                if input.pos == input.size { return }
                if isLast { throw fail(.bytesAfter) }
                (isComplete, headSeen, contents) = (false, 0, 0)
            }
            // Before libzstd sees it: a frame of no other kind begins.
            for index in input.pos..<min(input.size, input.pos + BundleFrame.head.count - headSeen) {
                if bytes[index] != BundleFrame.head[headSeen] { throw fail(.head) }
                headSeen += 1
            }
            var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
            let left = ZSTD_decompressStream(context, &output, &input)
            if ZSTD_isError(left) != 0 { throw fail(.damaged(String(cString: ZSTD_getErrorName(left)))) }
            contents += output.pos
            if contents > BundleFrame.length { throw fail(.length) }
            if output.pos > 0 { try take(UnsafeRawBufferPointer(rebasing: room[..<output.pos])) }
            if left == 0 {
                if contents == 0 { throw fail(.length) }
                (isComplete, isLast) = (true, contents < BundleFrame.length)
            } else if input.pos == input.size, output.pos < output.size {
                // What didn't fit waits inside.
                return
            }
        }
    }
}
