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

        /// What is past the capture is moved by the kernel, to whatever the caller's stream is.
        @Test(arguments: ["> out", ">> out", "| cat > out", "socket", "", "slowly"])
        func pastTheCapture(reader: String) throws {
            let text = StreamTests.noise(3 << 20)
            try ground.write("blob", text)
            let words = try ground.policy("[limits]\noutput = \"1MiB\"\n") + ["--quiet", "--cmd", "cat blob"]
            if reader.contains("out") {
                let line = ([ground.aegix] + words).map { "'\($0)'" }.joined(separator: " ")
                #expect(try ground.outside("/bin/sh", "-c", "\(line) \(reader)").code == 0)
                expectSame(ground.read("\(ground.workspace)/out"), text, reader)
            } else if reader == "socket" {
                let code = """
                    import socket, subprocess, sys
                    ours, theirs = socket.socketpair()
                    child = subprocess.Popen(sys.argv[1:], stdout=theirs)
                    theirs.close()
                    while piece := ours.recv(65536): sys.stdout.buffer.write(piece)
                    sys.exit(child.wait())
                    """
                let ended = try ground.outside(["/usr/bin/python3", "-c", code, ground.aegix] + words)
                #expect(ended.code == 0)
                expectSame(ended.out, text, reader)
            } else {
                let ended = try ground.run(raw: words.map(bytes), slowly: reader == "slowly")
                #expect(ended.code == 0)
                expectSame(ended.out, text, "stdout")
            }
            let log = "\(try #require(ground.runs.last))/stdout.log"
            expectSame(ground.read(log), Bytes(text.prefix(1 << 20)), "the log")
            let stream = try ground.record()["streams"]["stdout"]
            #expect(stream["bytes"].int == 3 << 20 && stream["captured"].int == 1 << 20)
            let digest = try ground.outside("/usr/bin/sha256sum", log).text.prefix(64)
            #expect(stream["sha256"].string == String(digest))
        }

        @Test func theReaderGoesAwayPastTheCapture() throws {
            let limit = try ground.policy("[limits]\noutput = \"1KiB\"\n")
            var child = try ground.spawn(limit + ["--cmd", "seq 1 100000; exec yes"])
            #expect(child.line() == "1")
            close(child.output)
            child.output = -1
            let ended = child.finish(deadline: 20)
            #expect(ended.seconds < 10 && ended.code != 0 && ended.code != 125, "\(ended.code)")
            ground.recorded(1)
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
