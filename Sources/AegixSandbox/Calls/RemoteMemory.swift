// Side effects: reads other processes' memory and /proc, bounded.

import AegixSystem
import CAegix
import Glibc

/// Of one process, for one look: what was read last is kept, and what lies near it isn't read again.
struct RemoteMemory {
    private static let page: UInt64 = 4096
    private let pid: pid_t
    private var window = Bytes()
    private var start: UInt64 = 0

    init(_ pid: pid_t) { self.pid = pid }

    /// A NUL-terminated string, read page by page: the next page may not be there.
    mutating func string(_ address: UInt64, limit: Int) -> Bytes? {
        var out = Bytes()
        var at = address
        while out.count < limit {
            guard let piece = near(at, least: 1, most: 512) else { return nil }
            if let end = piece.firstIndex(of: 0) { return out + piece[..<end] }
            out += piece
            at += UInt64(piece.count)
        }
        return Bytes(out.prefix(limit))
    }

    /// An array of strings, with whether it was cut at the bounds.
    mutating func strings(
        _ address: UInt64, most: Int = ExecWatch.mostArguments, bytes room: Int = ExecWatch.mostBytes
    ) -> ([Bytes], Bool) {
        var list: [Bytes] = []
        var bytes = 0
        var at = address
        if address == 0 { return ([], false) }
        while list.count < most {
            guard let piece = near(at, least: 8, most: 256) else { return (list, true) }
            for offset in stride(from: piece.startIndex, to: piece.endIndex - 7, by: 8) {
                let pointer = piece[offset..<offset + 8].reversed().reduce(0) { $0 << 8 | UInt64($1) }
                if pointer == 0 { return (list, false) }
                let left = room - bytes
                guard left > 0, list.count < most, let text = string(pointer, limit: left)
                else {
                    return (list, true)
                }
                if text.count == left { return (list + [text], true) }
                list.append(text)
                bytes += text.count + 1
                at += 8
            }
        }
        return (list, true)
    }

    /// What is known from there on, or what one read brings, up to the end of its page.
    private mutating func near(_ address: UInt64, least: Int, most: Int) -> ArraySlice<UInt8>? {
        let (offset, isBefore) = address.subtractingReportingOverflow(start)
        if !isBefore, offset < UInt64(window.count), window.count - Int(offset) >= least {
            return window[Int(offset)...]
        }
        guard
            let piece = RemoteMemory.read(
                pid, address, min(Int(RemoteMemory.page - address % RemoteMemory.page), most)),
            piece.count >= least
        else { return nil }
        (start, window) = (address, piece)
        return piece[...]
    }

    static func string(_ pid: pid_t, _ address: UInt64, limit: Int) -> Bytes? {
        var memory = RemoteMemory(pid)
        return memory.string(address, limit: limit)
    }

    /// All of it or nothing.
    static func bytes(_ pid: pid_t, _ address: UInt64, _ length: Int) -> Bytes? {
        guard let bytes = read(pid, address, length), bytes.count == length else { return nil }
        return bytes
    }

    private static func read(_ pid: pid_t, _ address: UInt64, _ length: Int) -> Bytes? {
        let piece = Bytes(unsafeUninitializedCapacity: length) { buffer, count in
            guard let base = buffer.baseAddress else { return }
            count = max(0, aegix_read_memory(pid, address, base, length))
        }
        return piece.isEmpty ? nil : piece
    }
}

enum ProcessFacts {
    /// By /proc/PID/stat where the kernel has no shorter way.
    static func parent(_ pid: pid_t) -> Int32? {
        let known = aegix_parent(pid)
        if known >= 0 { return known }
        return fields(Bytes("/proc/\(pid)/stat")).flatMap { $0.count > 1 ? Int32($0[1]) : nil }
    }

    /// The process that a thread belongs to.
    static func group(_ thread: pid_t) -> pid_t? { status(thread, "Tgid").flatMap { pid_t($0) } }

    /// A thread's number in the innermost namespace that it is in.
    static func inside(_ thread: pid_t) -> pid_t? {
        status(thread, "NSpid").flatMap { pid_t(String($0.split { $0 == " " || $0 == "\t" }.last ?? "")) }
    }

    private static func status(_ thread: pid_t, _ name: String) -> String? {
        do {
            let text = try Descriptor.open(Bytes("/proc/\(thread)/status"), O_RDONLY).readAll(limit: 8192)
            let key = Bytes("\n\(name):")
            for start in text.indices.dropLast(key.count) where text[start..<start + key.count].elementsEqual(key) {
                let rest = text[(start + key.count)...].drop { $0 == 0x09 || $0 == 0x20 }.prefix { $0 != 0x0A }
                return String(decoding: rest, as: UTF8.self)
            }
            return nil
        } catch {
            return nil
        }
    }

    static func link(_ pid: pid_t, _ name: String) -> Bytes? {
        do { return try HostSurvey.readLink(Bytes("/proc/\(pid)/\(name)")) } catch { return nil }
    }

    /// Of a `stat`, after the name, which may hold anything: fields are counted from its last parenthesis. State is the first.
    static func fields(_ path: Bytes, at directory: Int32 = AT_FDCWD) -> [String]? {
        do {
            let text = try Descriptor.open(path, O_RDONLY, at: directory).readAll(limit: 4096)
            guard let end = text.lastIndex(of: UInt8(ascii: ")")) else { return nil }
            return text[(end + 1)...].split(separator: 0x20).map { String(decoding: $0, as: UTF8.self) }
        } catch {
            return nil
        }
    }
}
