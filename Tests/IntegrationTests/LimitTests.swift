// Limits: each stops the run, or the capture, and the record names it.

import Foundation
import Testing

extension Integration {
    @Suite struct LimitTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        @Test func wallWithGrace() throws {
            let limit = try ground.policy("[limits]\nwall = \"300ms\"\ngrace = \"2s\"\n")
            let ended = try ground.shell(
                "trap 'echo cleaned; exit 5' TERM; echo up; while :; do sleep 0.05; done", limit, deadline: 20)
            #expect(ended.code == 124 && ended.text == "up\ncleaned\n")
            #expect(ended.seconds < 2)
        }

        @Test func noLimitHasToBeWritten() throws {
            for word in ["\"none\"", "\"0\""] {
                #expect(try ground.shell("exit 6", ground.policy("[limits]\nwall = \(word)\n")).code == 6)
            }
        }

        @Test func theOptionOverridesThePolicy() throws {
            let limit = try ground.policy("[limits]\nwall = \"100ms\"\n")
            #expect(try ground.shell("sleep 0.5; exit 6", limit + ["--timeout", "10s"]).code == 6)
            #expect(try ground.shell("sleep 0.5; exit 6", limit).code == 124)
        }

        @Test func outputIsCutInTheLogAlone() throws {
            let limit = try ground.policy("[limits]\noutput = \"1KiB\"\n")
            let ended = try ground.shell("head -c 200000 /dev/zero; echo end >&2", limit + ["--quiet"])
            #expect(ended.code == 0)
            #expect(ended.out.count == 200_000, "the caller still gets all of it")
            let run = try #require(ground.runs.last)
            #expect(ground.read("\(run)/stdout.log")?.count == 1024)
            let stream = try ground.record()["streams"]["stdout"]
            #expect(
                stream["bytes"].int == 200_000 && stream["captured"].int == 1024 && stream["truncated"].bool == true)
            #expect(try ground.record()["streams"]["stderr"]["truncated"].bool == false)
        }

        @Test func outputThatKills() throws {
            let limit = try ground.policy("[limits]\noutput = \"64KiB\"\non_output = \"kill\"\n")
            #expect(try ground.shell("head -c 65536 /dev/zero", limit).code == 0)
            let ended = try ground.shell("yes", limit, deadline: 20)
            #expect(ended.code == 137)
            let outcome = try ground.record()["outcome"]
            #expect(outcome["status"].string == "limit_exceeded" && outcome["limit"].string == "output")
        }

        @Test func openFiles() throws {
            let code =
                "import errno, os\nfds = []\ntry:\n  while len(fds) < 500: fds.append(os.open('/dev/null', 0))\nexcept OSError as e: print(errno.errorcode[e.errno], len(fds) < 64)\nelse: print('all')"
            #expect(
                try ground.run(raw: (ground.policy("[limits]\nopen_files = 64\n") + ["--python", code]).map(bytes)).text
                    == "EMFILE True\n")
            #expect(try ground.run("--python", code).text == "all\n", "the control: with the default there is room")
            #expect(
                try ground.shell("ulimit -n 100000 2>&1 || echo kept").text.contains("kept"),
                "the limit can be raised inside")
        }

        @Test func execs() throws {
            let limit = try ground.policy("[limits]\nexecs = 5\n")
            #expect(try ground.shell("/bin/true; /bin/true; /bin/true; echo fine", limit).text == "fine\n")
            let ended = try ground.shell("while :; do /bin/true || exit 3; done", limit, deadline: 20)
            #expect(ended.code == 137)
            let outcome = try ground.record()["outcome"]
            #expect(outcome["status"].string == "limit_exceeded" && outcome["limit"].string == "execs")
        }

        @Test func noCoreFiles() throws {
            #expect(
                try ground.shell("ulimit -c; ulimit -c unlimited 2>/dev/null || echo kept").text.hasSuffix("kept\n"))
            try ground.shell("kill -SEGV $$")
            #expect(access("\(ground.runs.last ?? "")/layer/upper/core", F_OK) != 0)
        }
    }
}
