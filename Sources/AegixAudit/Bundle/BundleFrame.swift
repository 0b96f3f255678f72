// Side effects: memory, and libzstd's worker threads while something is packed. The one zstd frame of a bundle.

import AegixSystem
import CZstd

/// In what form a bundle is packed. A reader takes no other: a window that is larger would let a stranger's file choose how much
/// memory it costs, and what stands in the frame's header is compared as bytes.
enum BundleFrame {
    static let windowLog: Int32 = 20
    /// Magic number; no size, no dictionary, a checksum at the end; the window.
    static let head: Bytes = [0x28, 0xB5, 0x2F, 0xFD, 0x04, 0x50]
    /// A skippable frame, which zstd passes over: the SHA-256 of all bytes before it. The frame's own checksum says whether the
    /// contents are right; this one that they are packed as they were, so that no bit of the file is free.
    static let trailerHead: Bytes = [0x5A, 0x2A, 0x4D, 0x18, 0x20, 0x00, 0x00, 0x00]
    static let trailer = 40
    fileprivate static let level: Int32 = 1
    fileprivate static let workers: Int32 = 2
    fileprivate static let job: Int32 = 2 << 20
}

/// Packs. The result depends on the contents only, not on how many processors there are: the cuts between the workers' jobs are
/// where they are.
final class BundlePacker {
    private let context: OpaquePointer
    private var room: UnsafeMutableRawBufferPointer

    init() throws(SystemError) {
        guard let context = ZSTD_createCCtx() else { throw SystemError("zstd", errno: 12) }
        self.context = context
        room = .allocate(byteCount: 256 << 10, alignment: 16)
        let settings: [(ZSTD_cParameter, Int32)] = [
            (ZSTD_c_compressionLevel, BundleFrame.level), (ZSTD_c_windowLog, BundleFrame.windowLog),
            (ZSTD_c_checksumFlag, 1), (ZSTD_c_contentSizeFlag, 0), (ZSTD_c_nbWorkers, BundleFrame.workers),
            (ZSTD_c_jobSize, BundleFrame.job),
        ]
        for (parameter, value) in settings
        where ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) != 0 {
            // A libzstd without threads packs other bytes.
            throw SystemError("zstd", errno: 95)
        }
    }

    deinit {
        ZSTD_freeCCtx(context)
        room.deallocate()
    }

    /// Hands on what is packed by now.
    func feed(
        _ bytes: UnsafeRawBufferPointer, isLast: Bool = false,
        _ write: (UnsafeRawBufferPointer) throws(SystemError) -> Void
    ) throws(SystemError) {
        var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
        while true {
            var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
            let left = ZSTD_compressStream2(context, &output, &input, isLast ? ZSTD_e_end : ZSTD_e_continue)
            if ZSTD_isError(left) != 0 { throw SystemError("zstd", errno: 5) }
            if output.pos > 0 { try write(UnsafeRawBufferPointer(rebasing: room[..<output.pos])) }
            if isLast ? left == 0 : input.pos == input.size { return }
        }
    }
}

/// Unpacks one frame that anybody may have made.
final class BundleUnpacker {
    private let context: OpaquePointer
    private var room: UnsafeMutableRawBufferPointer
    private(set) var isComplete = false

    enum Flaw: Error {
        /// With libzstd's word for it.
        case damaged(String)
        case bytesAfter
        case memory
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
                if input.pos < input.size { throw fail(.bytesAfter) }
                return
            }
            var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
            let left = ZSTD_decompressStream(context, &output, &input)
            if ZSTD_isError(left) != 0 { throw fail(.damaged(String(cString: ZSTD_getErrorName(left)))) }
            if left == 0 { isComplete = true }
            if output.pos > 0 { try take(UnsafeRawBufferPointer(rebasing: room[..<output.pos])) }
            // What didn't fit waits inside.
            if !isComplete, input.pos == input.size, output.pos < output.size { return }
        }
    }
}
