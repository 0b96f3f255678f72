// The caller on a terminal: the command has one of its own, and the caller's is as it was.

import Foundation
import Testing

extension Integration {
    @Suite struct TerminalTests {
        let ground: Ground
        let master: Int32
        /// TIOCSPTLCK and TIOCGPTN: macros that Swift doesn't take over.
        static let (unlock, number): (UInt, UInt) = (0x4004_5431, 0x8004_5430)
        let path: String

        init() throws {
            ground = try Ground()
            // By the kernel's own calls: posix_openpt and its like are hidden from Swift.
            let opened = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)
            master = opened
            var number: Int32 = 0
            try #require(opened >= 0 && ioctl(opened, TerminalTests.unlock, &number) == 0)
            try #require(ioctl(opened, TerminalTests.number, &number) == 0)
            path = "/dev/pts/\(number)"
            ground.atEnd { close(opened) }
            resize(81, 27)
        }

        func resize(_ columns: UInt16, _ rows: UInt16) {
            var size = winsize(ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0)
            _ = ioctl(master, UInt(TIOCSWINSZ), &size)
        }

        /// What shows on the terminal until the text is there, or the time is up.
        func shown(until text: String, _ all: inout String, seconds: Double = 10) {
            let deadline = ContinuousClock.now.advanced(by: .seconds(seconds))
            var buffer = Bytes(repeating: 0, count: 4096)
            while !all.contains(text), .now < deadline {
                var polled = pollfd(fd: master, events: Int16(POLLIN), revents: 0)
                guard poll(&polled, 1, 50) > 0 else { continue }
                let count = Foundation.read(master, &buffer, buffer.count)
                if count <= 0 { return }
                all += String(decoding: buffer[..<count], as: UTF8.self)
            }
        }

        /// Its own settings in comparable form.
        func settings() -> [UInt32] {
            let slave = open(path, O_RDWR | O_NOCTTY)
            defer { close(slave) }
            var now = termios()
            tcgetattr(slave, &now)
            return [now.c_iflag, now.c_oflag, now.c_cflag, now.c_lflag]
        }

        func start(_ script: String, _ options: [String] = []) throws -> Child {
            try ground.spawn(
                raw: (options + ["--cmd", script]).map(bytes), stdin: .terminal(path), stdout: .terminal(path),
                stderr: .terminal(path))
        }

        func end(_ child: inout Child, deadline: Double, at location: SourceLocation = #_sourceLocation) -> Ended {
            let ended = child.finish(deadline: deadline)
            ground.recorded(1, at: location)
            return ended
        }

        @Test func aTerminalOfItsOwn() throws {
            let before = settings()
            var screen = ""
            var child = try start(
                "test -t 0 && test -t 1 && test -t 2 && echo all; stty size; tty; stty -echo raw; stty sane; echo END")
            shown(until: "END", &screen)
            #expect(end(&child, deadline: 10).code == 0)
            #expect(screen.contains("all\r\n27 81\r\n"), "\(screen)")
            #expect(
                screen.contains("/dev/pts/0") && !screen.contains(path + "\r\n") || path == "/dev/pts/0", "\(screen)")
            #expect(settings() == before, "the terminal's settings changed")
            #expect(try ground.record()["streams"]["stdout"]["terminal"].bool == true)
        }

        /// Keys aren't kept, and the record says so.
        @Test func nothingTypedIsKept() throws {
            var screen = ""
            var child = try start("echo READY; read word; echo END", ["--record-stdin"])
            shown(until: "READY", &screen)
            #expect(write(master, "typed\n", 6) == 6)
            shown(until: "END", &screen)
            #expect(end(&child, deadline: 10).code == 0)
            let stream = try ground.record()["streams"]["stdin"]
            #expect(stream["reason"].string == "terminal" && stream["sha256"].string == nil)
            #expect(ground.read("\(ground.runs.last ?? "")/stdin.log") == nil)
        }

        @Test func itFollowsTheWindow() throws {
            var screen = ""
            var child = try start(
                "trap 'stty size; echo END; exit 0' WINCH; echo READY; while :; do sleep 0.05; done",
                ["--timeout", "15s"])
            shown(until: "READY", &screen)
            resize(99, 33)
            kill(child.pid, SIGWINCH)
            shown(until: "END", &screen)
            #expect(screen.contains("33 99"), "\(screen)")
            _ = end(&child, deadline: 20)
        }

        @Test func typedTextArrives() throws {
            let before = settings()
            var screen = ""
            var child = try start("echo READY; read word; echo got $word END")
            shown(until: "READY", &screen)
            #expect(write(master, "hello\n", 6) == 6)
            shown(until: "END", &screen)
            #expect(screen.contains("got hello END"), "\(screen)")
            #expect(end(&child, deadline: 10).code == 0)
            #expect(settings() == before)
        }

        @Test func controlCReachesTheCommand() throws {
            var screen = ""
            let before = settings()
            var child = try start(
                "trap 'echo caught END; exit 7' INT; echo READY; while :; do sleep 0.05; done", ["--timeout", "15s"])
            shown(until: "READY", &screen)
            #expect(write(master, "\u{3}", 1) == 1)
            shown(until: "END", &screen)
            let ended = end(&child, deadline: 20)
            #expect(ended.code == 7, "the command answers Ctrl-C itself: \(screen)")
            #expect(settings() == before)
        }

        @Test func controlCEndsWhatDoesNotListen() throws {
            var screen = ""
            // One process: a shell that is about to start another may take the signal for itself.
            var child = try start("echo READY; read word", ["--timeout", "15s"])
            shown(until: "READY", &screen)
            #expect(write(master, "\u{3}", 1) == 1)
            #expect(end(&child, deadline: 20).code == 130)
        }

        @Test func aKilledRunLeavesTheTerminalUsable() throws {
            let before = settings()
            var screen = ""
            var child = try start("echo READY; sleep 60")
            shown(until: "READY", &screen)
            kill(child.pid, SIGTERM)
            #expect(end(&child, deadline: 20).code == 143)
            #expect(settings() == before, "the terminal's settings changed")
        }

        @Test func onlyStdinOnATerminal() throws {
            // As in `aegix … | less`: stdout is a pipe, and stays one.
            var child = try ground.spawn(
                raw: [bytes("--cmd"), bytes("test -t 0 && echo in; test -t 1 || echo piped")], stdin: .terminal(path))
            let ended = end(&child, deadline: 10)
            #expect(ended.text == "in\npiped\n", "\(ended.text) \(ended.errorText)")
        }
    }
}
