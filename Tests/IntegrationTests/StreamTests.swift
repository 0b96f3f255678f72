// stdin, stdout and stderr: byte-exact at any size and speed, captured, and never a reason to hang.

import Foundation
import Testing

extension Integration {
    @Suite struct StreamTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        /// Every byte value, and no period that a buffer's size could divide.
        static func noise(_ count: Int) -> Bytes {
            var state: UInt32 = 2_463_534_242
            return (0..<count).map { _ in
                state ^= state << 13
                state ^= state >> 17
                state ^= state << 5
                return UInt8(truncatingIfNeeded: state)
            }
        }

        @Test(arguments: [0, 1, 4095, 4096, 65_536, 65_537, 10 << 20])
        func bothWays(size: Int) throws {
            let text = StreamTests.noise(size)
            try ground.write("blob", text)
            let ended = try ground.shell("cat blob")
            #expect(ended.code == 0)
            expectSame(ended.out, text, "stdout")
            expectSame(ground.read("\(ground.runs.last ?? "")/stdout.log"), text, "the log")
            #expect(try ground.record()["streams"]["stdout"]["bytes"].int == size)
            expectSame(try ground.shell("cat blob >&2", ["--quiet"]).err, text, "stderr")
            let echoed = try ground.shell("cat", input: text)
            expectSame(echoed.out, text, "stdin, as it came back")
        }

        @Test func bothAtOnceAndUnread() throws {
            let text = StreamTests.noise(1 << 20)
            try ground.write("blob", text)
            // Nothing is read before both have long been fuller than a pipe.
            var child = try ground.spawn(["--quiet", "--cmd", "cat blob >&2 & cat blob; wait"])
            usleep(300_000)
            let ended = child.finish()
            #expect(ended.code == 0)
            expectSame(ended.out, text, "stdout")
            expectSame(ended.err, text, "stderr")
            ground.recorded(1)
        }

        @Test func aSlowReader() throws {
            let text = StreamTests.noise(2 << 20)
            try ground.write("blob", text)
            let ended = try ground.shell("cat blob; cat blob >&2", ["--quiet"], slowly: true)
            expectSame(ended.out, text, "stdout")
            expectSame(ended.err, text, "stderr")
        }

        @Test(arguments: ["yes", "exec yes", "while :; do echo y || exit 9; done", "yes | cat"])
        func theReaderGoesAway(script: String) throws {
            var child = try ground.spawn(["--cmd", script])
            #expect(child.line() == "y")
            close(child.output)
            child.output = -1
            let ended = child.finish(deadline: 20)
            #expect(ended.seconds < 10, "it went on without a reader")
            #expect(
                ended.code != 0 && ended.code != 125,
                "as in a pipeline the command ends by SIGPIPE: \(ended.code) \(ended.errorText)")
            ground.recorded(1)
            #expect(try ground.record()["outcome"]["status"].string != nil, "the record isn't complete")
        }

        @Test func aPipelineEndsLikeAnyOther() throws {
            let ended = try ground.run(raw: [bytes("--cmd"), bytes("yes | head -n 1")])
            #expect(ended.text == "y\n" && ended.code == 0)
        }

        @Test func stdinThatNobodyReads() throws {
            let ended = try ground.shell("exit 4", input: StreamTests.noise(4 << 20))
            #expect(ended.code == 4)
        }

        @Test func stdinThatStaysOpen() throws {
            // The caller's end stays open; the command's end is the run's end.
            var child = try ground.spawn(["--cmd", "echo done"], stdin: .pipe)
            #expect(child.line() == "done")
            var status: Int32 = 0
            var waited: pid_t = 0
            for _ in 0..<500 where waited == 0 {
                waited = waitpid(child.pid, &status, WNOHANG)
                if waited == 0 { usleep(10_000) }
            }
            #expect(waited == child.pid && status == 0, "aegix waits for the caller's stdin")
            if waited == 0 { _ = child.finish(deadline: 1) }
            ground.recorded(1)
            for descriptor in [child.input, child.output, child.errors] where descriptor >= 0 { close(descriptor) }
        }

        @Test func linesArriveAsTheyAreWritten() throws {
            var child = try ground.spawn(["--cmd", "echo first; read word; echo second $word"], stdin: .pipe)
            #expect(child.line() == "first")
            #expect(write(child.input, "go\n", 3) == 3)
            #expect(child.line() == "second go")
            #expect(child.finish().code == 0)
            ground.recorded(1)
        }

        @Test func onlyThreeDescriptors() throws {
            let extra = open("/", O_RDONLY)
            defer { close(extra) }
            let ended = try ground.shell("ls /proc/self/fd | wc -l; ls -l /proc/self/fd/9 2>&1 | wc -l")
            #expect(ended.text.split(separator: "\n").first.map { Int($0.trimmingCharacters(in: .whitespaces)) } == 4)
        }

        @Test func aegixSaysLittle() throws {
            #expect(try ground.shell("echo out").err == [])
            #expect(try ground.shell("echo out > file").complaints.count == 1)
            #expect(try ground.shell("echo out > file", ["--quiet"]).err == [])
        }
    }
}
