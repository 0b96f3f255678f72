// Side effects: memory, and threads while there is more than one frame to pack.

import AegixSystem
import CZstd
import Glibc

/// Cuts the archive into frames and packs them; hands them on in their order. Debian's static libzstd has no threads of its own.
final class BundlePacker {
    private let pool: PackingPool
    private var threads: [pthread_t] = []
    private var filled = 0
    /// The frame that is being filled, and the first that wasn't handed on.
    private var frame = 0
    private var first = 0

    private static let workers = 2

    init() throws(SystemError) { pool = try PackingPool() }

    deinit {
        pool.stop()
        for thread in threads { pthread_join(thread, nil) }
    }

    typealias Write = (UnsafeRawBufferPointer) throws(SystemError) -> Void

    func feed(_ bytes: UnsafeRawBufferPointer, _ write: Write) throws(SystemError) {
        var rest = bytes
        while !rest.isEmpty {
            let room = UnsafeMutableRawBufferPointer(rebasing: pool.input(frame)[filled...])
            let count = min(room.count, rest.count)
            room.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            filled += count
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            if filled == BundleFrame.length {
                if threads.isEmpty { start() }
                try submit(write)
            }
        }
    }

    func finish(_ write: Write) throws(SystemError) {
        if filled > 0 { try submit(write) }
        while first < frame { try handOn(write) }
    }

    private func submit(_ write: Write) throws(SystemError) {
        pool.queue(frame, filled)
        frame += 1
        filled = 0
        if frame - first == PackingPool.slots { try handOn(write) }
    }

    private func handOn(_ write: Write) throws(SystemError) {
        if threads.isEmpty { pool.packOne() }
        guard let packed = pool.wait(for: first) else { throw SystemError("zstd", errno: EIO) }
        try write(packed)
        first += 1
    }

    /// None: the system has none to give, and we pack ourselves.
    private func start() {
        for _ in 0..<BundlePacker.workers {
            var thread = pthread_t()
            let context = Unmanaged.passRetained(pool)
            if pthread_create(&thread, nil, packFrames, context.toOpaque()) == 0 {
                threads.append(thread)
            } else {
                context.release()
            }
        }
    }
}

private func packFrames(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context { Unmanaged<PackingPool>.fromOpaque(context).takeRetainedValue().work() }
    return nil
}

/// The frames that are under way. A slot's buffers belong to who fills it, then to who packs it, then to who hands it on; whose they
/// are is under the lock.
private final class PackingPool: @unchecked Sendable {
    static let slots = 5

    private enum State {
        case free
        case queued(Int)
        case taken
        /// nil: libzstd failed.
        case packed(Int?)
    }

    private let inputs: UnsafeMutableRawBufferPointer
    private let outputs: UnsafeMutableRawBufferPointer
    private let most = ZSTD_compressBound(BundleFrame.length)
    private var states = [State](repeating: .free, count: slots)
    private var next = 0
    private var isStopped = false
    private var own: OpaquePointer?
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init() throws(SystemError) {
        inputs = .allocate(byteCount: BundleFrame.length * PackingPool.slots, alignment: 4096)
        outputs = .allocate(byteCount: most * PackingPool.slots, alignment: 4096)
        own = PackingPool.context()
        pthread_mutex_init(lock, nil)
        pthread_cond_init(changed, nil)
        if own == nil { throw SystemError("zstd", errno: ENOMEM) }
    }

    deinit {
        ZSTD_freeCCtx(own)
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(lock)
        changed.deallocate()
        lock.deallocate()
        inputs.deallocate()
        outputs.deallocate()
    }

    private static func context() -> OpaquePointer? {
        guard let context = ZSTD_createCCtx() else { return nil }
        let settings: [(ZSTD_cParameter, Int32)] = [
            (ZSTD_c_compressionLevel, BundleFrame.level), (ZSTD_c_windowLog, BundleFrame.windowLog),
            (ZSTD_c_checksumFlag, 1), (ZSTD_c_contentSizeFlag, 0),
        ]
        for (parameter, value) in settings
        where ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)) != 0 {
            ZSTD_freeCCtx(context)
            return nil
        }
        return context
    }

    func input(_ frame: Int) -> UnsafeMutableRawBufferPointer {
        let start = frame % PackingPool.slots * BundleFrame.length
        return UnsafeMutableRawBufferPointer(rebasing: inputs[start..<start + BundleFrame.length])
    }

    private func output(_ frame: Int) -> UnsafeMutableRawBufferPointer {
        let start = frame % PackingPool.slots * most
        return UnsafeMutableRawBufferPointer(rebasing: outputs[start..<start + most])
    }

    private func locked<R>(_ body: () -> R) -> R {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        return body()
    }

    private func set(_ frame: Int, _ state: State) {
        states[frame % PackingPool.slots] = state
        pthread_cond_broadcast(changed)
    }

    func queue(_ frame: Int, _ count: Int) { locked { set(frame, .queued(count)) } }

    func stop() {
        locked {
            isStopped = true
            pthread_cond_broadcast(changed)
        }
    }

    /// Its bytes, which are there until the frame's slot is filled again; nil: it couldn't be packed.
    func wait(for frame: Int) -> UnsafeRawBufferPointer? {
        let count: Int? = locked {
            while true {
                if case .packed(let count) = states[frame % PackingPool.slots] { return count }
                pthread_cond_wait(changed, lock)
            }
        }
        return count.map { UnsafeRawBufferPointer(rebasing: output(frame)[..<$0]) }
    }

    /// The frame that has waited longest; nil: there is no more to do.
    private func take(orWait waits: Bool) -> (frame: Int, count: Int)? {
        locked {
            while true {
                if case .queued(let count) = states[next % PackingPool.slots] {
                    let frame = next
                    next += 1
                    set(frame, .taken)
                    return (frame, count)
                }
                if isStopped || !waits { return nil }
                pthread_cond_wait(changed, lock)
            }
        }
    }

    /// What a thread does.
    func work() {
        let context = PackingPool.context()
        defer { ZSTD_freeCCtx(context) }
        while let one = take(orWait: true) { pack(one.frame, one.count, context) }
    }

    func packOne() {
        if let one = take(orWait: false) { pack(one.frame, one.count, own) }
    }

    /// In two steps, so that libzstd doesn't know the size, by which it would choose another window.
    private func pack(_ frame: Int, _ count: Int, _ context: OpaquePointer?) {
        var result: Int?
        if let context {
            let (source, room) = (input(frame), output(frame))
            var input = ZSTD_inBuffer(src: source.baseAddress, size: count, pos: 0)
            var output = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
            var left = 0
            repeat {
                left = ZSTD_compressStream2(context, &output, &input, ZSTD_e_continue)
            } while ZSTD_isError(left) == 0 && input.pos < input.size && output.pos < output.size
            if ZSTD_isError(left) == 0 {
                left = ZSTD_compressStream2(context, &output, &input, ZSTD_e_end)
                if left == 0 { result = output.pos }
            }
        }
        locked { set(frame, .packed(result)) }
    }
}
