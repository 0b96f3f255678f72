// Side effects: takes and gives locks.

import CAegix
import Glibc

/// A lock of flock(2): it belongs to the open file, ends with it also when the process is killed, and holds between
/// threads as well as between processes.
public enum FileLock {
    /// Waits, but not for ever: a stopped process may hold the lock.
    public static func exclusive(_ file: borrowing Descriptor, seconds: Int = 10) throws(SystemError) {
        try wait(file, LOCK_EX, seconds: seconds)
    }

    /// Waits, but not for ever.
    public static func wait(_ file: borrowing Descriptor, _ operation: Int32, seconds: Int = 10) throws(SystemError) {
        if try attempt(file, operation) { return }
        let deadline = Clock.monotonic() + UInt64(seconds) * 1_000_000_000
        var pause = timespec(tv_sec: 0, tv_nsec: 50_000)
        while Clock.monotonic() < deadline {
            nanosleep(&pause, nil)
            if try attempt(file, operation) { return }
            pause.tv_nsec = min(pause.tv_nsec * 2, 2_000_000)
        }
        throw SystemError("flock", errno: ETIMEDOUT)
    }

    /// Holders of this lock are in a stretch of a few system calls.
    public static func shared(_ file: borrowing Descriptor) throws(SystemError) {
        while aegix_flock(file.raw, LOCK_SH) < 0 {
            if errno != EINTR { throw SystemError.last("flock") }
        }
    }

    /// Whether the lock could be had at once.
    public static func attempt(_ file: borrowing Descriptor, _ operation: Int32 = LOCK_EX) throws(SystemError) -> Bool {
        if aegix_flock(file.raw, operation | LOCK_NB) == 0 { return true }
        if errno == EWOULDBLOCK || errno == EINTR { return false }
        throw SystemError.last("flock")
    }

    public static func release(_ file: borrowing Descriptor) { _ = aegix_flock(file.raw, LOCK_UN) }
}
