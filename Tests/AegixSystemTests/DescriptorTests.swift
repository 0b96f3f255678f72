// Side effects: opens and closes descriptors of its own, in memory or on /dev/null.

import Glibc
import Testing

@testable import AegixSystem

/// One after the other: the numbers are compared.
@Suite(.serialized) struct DescriptorTests {
    /// Far from the numbers that tests beside this one open and close.
    private static let high: Int32 = 700

    private func isOpen(_ number: Int32) -> Bool { fcntl(number, F_GETFD) >= 0 }

    private func highNumber() throws -> Int32 {
        let file = try Descriptor.open(Bytes("/dev/null"), O_RDWR)
        let number = fcntl(file.raw, F_DUPFD_CLOEXEC, Self.high)
        try #require(number >= Self.high)
        return number
    }

    private func take(_ descriptor: consuming Descriptor) -> Int32 { descriptor.raw }

    @Test func closesAtTheEndOfItsScope() throws {
        let number = try highNumber()
        do {
            let owned = Descriptor(owning: number)
            let wasOpen = owned.isOpen
            #expect(wasOpen)
            #expect(isOpen(number))
            _ = take(owned)
        }
        #expect(!isOpen(number))
    }

    @Test func closesOnceWhenItMoves() throws {
        let number = try highNumber()
        let owned = Descriptor(owning: number)
        #expect(take(owned) == number)
        #expect(!isOpen(number))
        // The number is another file's now: nothing may close it again.
        let next = try highNumber()
        #expect(next == number)
        #expect(isOpen(next))
        #expect(close(next) == 0)
    }

    @Test func keepsOpenWhatIsReleased() throws {
        let number = try highNumber()
        let owned = Descriptor(owning: number)
        #expect(owned.release() == number)
        #expect(isOpen(number))
        #expect(close(number) == 0)
    }

    @Test func noneIsNothing() {
        let none = Descriptor.none
        let (raw, isOpen) = (none.raw, none.isOpen)
        #expect(raw == -1 && !isOpen)
        errno = 0
        _ = take(Descriptor.none)
        #expect(errno == 0)
    }

    @Test func nothingStaysOpenWhenOpeningFails() throws {
        let probe = try highNumber()
        #expect(close(probe) == 0)
        #expect(throws: SystemError("open", Bytes("/dev/null/x"), errno: ENOTDIR)) {
            _ = try Descriptor.open(Bytes("/dev/null/x"), O_RDONLY).raw
        }
        let again = try highNumber()
        #expect(again == probe)
        #expect(close(again) == 0)
    }

    @Test func opensForThisProcessOnly() throws {
        let file = try Descriptor.open(Bytes("/dev/null"), O_RDONLY)
        let memory = try Descriptor.anonymousFile(Bytes("test"))
        let flags = [fcntl(file.raw, F_GETFD), fcntl(memory.raw, F_GETFD)]
        #expect(flags.allSatisfy { $0 & FD_CLOEXEC != 0 })
    }

    @Test func opensBeneathAndNoFurther() throws {
        let root = try Descriptor.open(Bytes("/proc/self"), O_DIRECTORY | O_RDONLY)
        let status = try Descriptor.openBeneath(root.raw, Bytes("status"), O_RDONLY)
        let bytes = try status.readAll(limit: 1 << 20)
        #expect(bytes.starts(with: Bytes("Name:")))
        let number = root.raw
        for path in ["..", "../version", "/etc/passwd", "cwd", "root/etc/passwd", "fd/0"] {
            #expect(throws: SystemError.self) {
                _ = try Descriptor.openBeneath(number, Bytes(path), O_RDONLY).raw
            }
        }
    }

    @Test(arguments: [0, 1, 16_383, 16_384, 16_385, 100_000])
    func whatIsWrittenIsRead(_ count: Int) throws {
        let bytes = (0..<count).map { UInt8(truncatingIfNeeded: $0 &* 7) }
        let file = try Descriptor.anonymousFile(Bytes("test"))
        try file.writeAll(bytes)
        #expect(lseek(file.raw, 0, SEEK_SET) == 0)
        let read = try file.readAll(limit: count)
        #expect(read == bytes)
        #expect(lseek(file.raw, 0, SEEK_SET) == 0)
        if count > 0 {
            let number = dup(file.raw)
            #expect(throws: SystemError("read", errno: EFBIG)) {
                _ = try Descriptor(owning: number).readAll(limit: count - 1)
            }
        }
    }

    @Test func aFailedWriteIsSaid() throws {
        let number = try Descriptor.open(Bytes("/dev/full"), O_WRONLY).release()
        #expect(throws: SystemError("write", errno: ENOSPC)) {
            try Descriptor(owning: number).writeAll(Bytes("x"))
        }
    }
}
