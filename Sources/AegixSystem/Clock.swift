// Side effects: reads the clocks.

import Glibc

public enum Clock {
    /// Nanoseconds that never go back, for durations and deadlines.
    public static func monotonic() -> UInt64 { read(CLOCK_MONOTONIC) }

    /// Nanoseconds since 1970, for the record.
    public static func realtime() -> UInt64 { read(CLOCK_REALTIME) }

    /// A time that divides what happens to files: what was changed before the call has an older stamp, and what is changed after it hasn't. A stamp
    /// may be exact, or lag behind like the clock of the ticks, so it takes until that clock has passed now: a few milliseconds. 0: it didn't, and every
    /// stamp is to count as later.
    public static func tick() -> UInt64 {
        let start = realtime()
        let end = monotonic() + 1_000_000_000
        while monotonic() < end {
            if read(CLOCK_REALTIME_COARSE) > start { return start + 1 }
            var pause = timespec(tv_sec: 0, tv_nsec: 200_000)
            _ = nanosleep(&pause, nil)
        }
        return 0
    }

    /// Nanoseconds that this thread has run, whatever others did meanwhile.
    public static func processor() -> UInt64 { read(CLOCK_THREAD_CPUTIME_ID) }

    private static func read(_ clock: clockid_t) -> UInt64 {
        var time = timespec()
        clock_gettime(clock, &time)
        return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
    }

    /// RFC 3339 in UTC with nanoseconds: `2026-11-21T10:22:42.000000001Z`.
    public static func rfc3339(_ nanoseconds: UInt64) -> String {
        var text = Timestamp.seconds(nanoseconds / 1_000_000_000)
        text.append(digits: nanoseconds % 1_000_000_000, 9)
        text.append(UInt8(ascii: "Z"))
        return String(decoding: text, as: UTF8.self)
    }
}
