// Side effects: asks the caller's systemd for a scope, which moves aegix into it.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// A transient, delegated scope of the user's own systemd, with aegix alone in it. Costs milliseconds, so only a run that
/// requires `sealed` asks. It goes by itself when aegix ends.
///
/// systemd's private socket takes the call without a message bus in between. The scope's job is waited for: only then is
/// aegix in the new cgroup.
enum UserScope {
    static let patience: UInt64 = 5_000_000_000

    /// Whether there is somebody to ask.
    static var isThere: Bool {
        do {
            _ = try connect()
            return true
        } catch {
            return false
        }
    }

    static func enter() throws(SystemError) {
        let socket = try connect()
        let unit = Bytes("aegix-\(getpid())-\(try RunID.make()).scope")
        var greeting = Bytes("\0AUTH EXTERNAL ")
        for digit in String(geteuid()).utf8 { greeting += Bytes("3") + [digit] }  // hex of ASCII digits
        greeting += Bytes("\r\nBEGIN\r\n")
        try socket.writeAll(greeting + call(unit))
        try wait(socket, for: unit)
    }

    private static func connect() throws(SystemError) -> Descriptor {
        guard let directory = HostSurvey.variable("XDG_RUNTIME_DIR"), Path.isAbsolute(directory) else {
            throw SystemError("connect", Bytes("XDG_RUNTIME_DIR"), errno: ENOENT)
        }
        let path = Path.join(directory, Bytes("systemd/private"))
        let raw = path.withCString { aegix_connect($0) }
        if raw < 0 { throw SystemError.last("connect", path) }
        return Descriptor(owning: raw)
    }

    private static func call(_ unit: Bytes) -> Bytes {
        var body = BusWriter()
        body.string(unit)
        body.string(Bytes("fail"))
        body.array(alignment: 8) { properties in
            property("Description", "s", &properties) { $0.string(Bytes("aegix")) }
            // 0 is whoever asks, by the socket's own credentials: our number may be another process's where systemd is, if
            // a container shares its socket and not its processes.
            property("PIDs", "au", &properties) { value in
                value.array(alignment: 4) { $0.number(0) }
            }
            property("Delegate", "b", &properties) { $0.number(1) }
            // Forgotten also if it failed.
            property("CollectMode", "s", &properties) { $0.string(Bytes("inactive-or-failed")) }
        }
        body.array(alignment: 8) { _ in }
        return BusWriter.call(
            "StartTransientUnit", on: "/org/freedesktop/systemd1", interface: "org.freedesktop.systemd1.Manager",
            destination: "org.freedesktop.systemd1", signature: "ssa(sv)a(sa(sv))", body: body)
    }

    private static func property(
        _ name: String, _ type: String, _ list: inout BusWriter, _ value: (inout BusWriter) -> Void
    ) {
        list.align(8)
        list.string(Bytes(name))
        list.signature(type)
        value(&list)
    }

    /// Until the job of this unit is done. Signals about others pass by.
    private static func wait(_ socket: borrowing Descriptor, for unit: Bytes) throws(SystemError) {
        let deadline = Clock.monotonic() + patience
        var stream = Bytes()
        var isGreeted = false
        while true {
            if !isGreeted, let end = stream.firstIndex(of: 0x0A) {
                let line = Bytes(stream[...end])
                if !line.starts(with: Bytes("OK ")) { throw SystemError("AUTH", line, errno: EACCES) }
                stream.removeSubrange(...end)
                isGreeted = true
            }
            while isGreeted, let (message, length) = try BusMessage.first(in: stream) {
                stream.removeSubrange(..<length)
                if message.kind == .error {
                    throw SystemError("StartTransientUnit", message.strings.first ?? message.errorName, errno: EPERM)
                }
                guard message.kind == .signal, message.member == Bytes("JobRemoved"), message.strings.count == 3,
                    message.strings[1] == unit
                else { continue }
                if message.strings[2] == Bytes("done") { return }
                throw SystemError("StartTransientUnit", message.strings[2], errno: EPERM)
            }
            stream += try receive(socket, until: deadline)
        }
    }

    private static func receive(_ socket: borrowing Descriptor, until deadline: UInt64) throws(SystemError) -> Bytes {
        let now = Clock.monotonic()
        var slot = pollfd(fd: socket.raw, events: Int16(POLLIN), revents: 0)
        let left = deadline > now ? Int32((deadline - now) / 1_000_000) + 1 : 0
        let ready = left == 0 ? 0 : poll(&slot, 1, left)
        if ready < 0 {
            if errno == EINTR { return [] }
            throw SystemError.last("poll")
        }
        if ready == 0 { throw SystemError("StartTransientUnit", errno: ETIMEDOUT) }
        var chunk = Bytes(repeating: 0, count: 16384)
        let count = Glibc.read(socket.raw, &chunk, chunk.count)
        if count < 0 { throw SystemError.last("read") }
        if count == 0 { throw SystemError("read", Bytes("systemd/private"), errno: EPIPE) }
        return Bytes(chunk[..<count])
    }
}
