// Side effects: a thread that reads a long log back while it grows.

import AegixSystem
import Glibc

/// The SHA-256 of one log. A short one is digested as it is written. Of a long one hashing would be most of the work, so
/// a thread follows its writer through the file: what is digested is then what the log really holds.
final class LogDigest {
    private var running = SHA256()
    private var taken: UInt64 = 0
    private var follower: LogFollower?

    /// From this size on; no start-up of a thread for less.
    private static let long: UInt64 = 1 << 18

    /// What was just appended to `log`, whose descriptor stays open until `finish`.
    func add(_ bytes: UnsafeRawBufferPointer, to log: Int32) {
        if follower == nil, taken >= LogDigest.long {
            follower = LogFollower(log: log, from: taken, running)
        }
        taken += UInt64(bytes.count)
        if let follower { follower.grew(to: taken) } else { running.update(bytes) }
    }

    /// Throws when the log couldn't be read back.
    func finish() throws(SystemError) -> String {
        if let follower {
            running = try follower.finish()
            self.follower = nil
        }
        return running.finish()
    }
}

/// The thread. Everything that both sides touch lies in `Shared`, under its lock.
private final class LogFollower {
    private let shared: Shared
    private let thread: pthread_t

    /// nil: the system has no thread to give, and the caller goes on by itself.
    init?(log: Int32, from: UInt64, _ running: SHA256) {
        shared = Shared(log: log, from: from, running)
        var thread = pthread_t()
        let context = Unmanaged.passRetained(shared)
        let code = pthread_create(&thread, nil, followLog, context.toOpaque())
        if code != 0 {
            context.release()
            return nil
        }
        self.thread = thread
    }

    func grew(to size: UInt64) { shared.set(size: size, isComplete: false) }

    func finish() throws(SystemError) -> SHA256 {
        shared.set(size: nil, isComplete: true)
        pthread_join(thread, nil)
        if let error = shared.error { throw error }
        return shared.running
    }
}

private func followLog(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    if let context { Unmanaged<Shared>.fromOpaque(context).takeRetainedValue().follow() }
    return nil
}

private final class Shared: @unchecked Sendable {
    private let log: Int32
    /// The thread's alone until it was joined.
    private(set) var running: SHA256
    private(set) var error: SystemError?
    private var done: UInt64
    /// Under the lock.
    private var size: UInt64
    private var isComplete = false
    private let lock = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)

    init(log: Int32, from: UInt64, _ running: SHA256) {
        self.log = log
        self.running = running
        done = from
        size = from
        pthread_mutex_init(lock, nil)
        pthread_cond_init(changed, nil)
    }

    deinit {
        pthread_cond_destroy(changed)
        pthread_mutex_destroy(lock)
        changed.deallocate()
        lock.deallocate()
    }

    func set(size: UInt64?, isComplete: Bool) {
        pthread_mutex_lock(lock)
        if let size { self.size = size }
        self.isComplete = isComplete
        pthread_cond_signal(changed)
        pthread_mutex_unlock(lock)
    }

    /// Up to where the log can be read now; nil when all of it was.
    private func next() -> UInt64? {
        pthread_mutex_lock(lock)
        defer { pthread_mutex_unlock(lock) }
        while size == done && !isComplete { pthread_cond_wait(changed, lock) }
        return size == done ? nil : size
    }

    func follow() {
        var buffer = Bytes(repeating: 0, count: 1 << 17)
        while let end = next() {
            while done < end {
                let most = min(buffer.count, Int(clamping: end - done))
                let count = pread(log, &buffer, most, off_t(clamping: done))
                if count < 0, errno == EINTR { continue }
                if count <= 0 {
                    // Shorter than what was written: somebody else cut it.
                    error = count < 0 ? SystemError.last("pread") : SystemError("pread", errno: EIO)
                    return
                }
                buffer.withUnsafeBytes { running.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
                done += UInt64(count)
            }
        }
    }
}
