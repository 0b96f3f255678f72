// The table of exit codes, row by row; and that `outcome` in the record tells apart what a code can't.

import Foundation
import Testing

extension Integration {
    @Suite struct ExitCodeTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        @Test(arguments: [0, 1, 2, 42, 77, 123, 124, 125, 126, 127, 128, 137, 255])
        func theCommandsOwn(code: Int) throws {
            #expect(try ground.shell("exit \(code)").code == Int32(code))
            let outcome = try ground.record()["outcome"]
            #expect(outcome["status"].string == "exited")
            #expect(outcome["exit_code"].int == code)
        }

        @Test(
            arguments: [
                (SIGTERM, 143), (SIGKILL, 137), (SIGSEGV, 139), (SIGABRT, 134), (SIGINT, 130), (SIGPIPE, 141),
                (40, 168),
            ] as [(Int32, Int32)])
        func ofASignal(signal: Int32, code: Int32) throws {
            // A process of its own, so that no shell turns the death into a code before aegix sees it.
            let ended = try ground.run(
                "--", "python3", "-c",
                "import os, signal; \(signal) != 9 and signal.signal(\(signal), signal.SIG_DFL); os.kill(os.getpid(), \(signal))"
            )
            #expect(ended.code == code && ended.signal == nil)
            let outcome = try ground.record()["outcome"]
            #expect(outcome["status"].string == "signaled")
            #expect(outcome["signal"].int == Int(signal) || outcome["signal"].string?.hasPrefix("SIG") == true)
        }

        @Test func wallClock() throws {
            let ended = try ground.shell("echo before; sleep 60", ["--timeout", "300ms"], deadline: 20)
            #expect(ended.code == 124)
            #expect(ended.text == "before\n")
            #expect(ended.seconds < 5)
            let outcome = try ground.record()["outcome"]
            #expect(outcome["status"].string == "timed_out")
            #expect(outcome["limit"].string == "wall")
        }

        @Test func processorTime() throws {
            let limit = try ground.policy("[limits]\ncpu_time = \"500ms\"\nwall = \"30s\"\n")
            // Two at once: the limit is on the whole tree.
            let ended = try ground.shell("while :; do :; done & while :; do :; done", limit, deadline: 40)
            #expect(ended.code == 124)
            #expect(ended.seconds < 10)
            let outcome = try ground.record()["outcome"]
            #expect(outcome["status"].string == "timed_out" || outcome["status"].string == "limit_exceeded")
            #expect(outcome["limit"].string == "cpu_time")
        }

        @Test func sleepingCostsNoProcessorTime() throws {
            let limit = try ground.policy("[limits]\ncpu_time = \"500ms\"\n")
            #expect(try ground.shell("sleep 1; exit 3", limit).code == 3)
        }

        @Test func nothingRan() throws {
            let marker = "\(ground.workspace)/ran"
            let direct = [
                "--policy",
                try ground.write("\(ground.directory)/direct.toml", "version = 1\n[workspace]\nmode = \"direct\"\n"),
            ]
            #expect(try ground.shell("touch ran", direct).code == 0)
            #expect(access(marker, F_OK) == 0, "the control: this command does leave a mark")
            unlink(marker)
            let refusals: [[String]] = [
                ["--policy", "nonexistent.toml"], ["--policy", "no-such-preset"],
                ["--workspace", "\(ground.directory)/absent"],
                ["--timeout", "soon"], ["--env", "NOVALUE"], ["--bogus"], ["--require", "perfect"],
                ["--read", "\(ground.directory)/absent"], ["--state-dir", "/proc/nowhere"],
            ]
            for refusal in refusals {
                let ended = try ground.shell("touch ran", direct + refusal)
                #expect(ended.code == 125, "\(refusal): \(ended.errorText)")
                #expect(ended.out.isEmpty)
                #expect(
                    !ended.complaints.isEmpty && ended.complaints[0].hasPrefix("aegix: "),
                    "\(refusal): \(ended.errorText)")
                #expect(access(marker, F_OK) != 0, "\(refusal): it ran all the same")
            }
        }

        @Test func notExecutable() throws {
            try ground.write("plain", "#!/bin/sh\necho ran\n", mode: 0o644)
            try ground.write("fine", "#!/bin/sh\necho ran\n", mode: 0o755)
            try ground.write("garbage", [0x7f, 0x45, 0x4c, 0x46, 0, 1, 2], mode: 0o755)
            #expect(try ground.run("--", "./fine").text == "ran\n")
            for program in ["./plain", "/usr", "\(ground.workspace)/plain", "./garbage"] {
                let ended = try ground.run("--", program)
                #expect(ended.code == 126, "\(program): \(ended.errorText)")
                #expect(ended.complaints.count == 1 && ended.errorText.contains(program), "\(ended.errorText)")
                #expect(ended.out.isEmpty)
            }
        }

        @Test func noSuchProgram() throws {
            for program in ["no-such-program", "/usr/bin/no-such-program", "./absent", "../absent"] {
                let ended = try ground.run("--", program)
                #expect(ended.code == 127, "\(program): \(ended.errorText)")
                #expect(ended.complaints.count == 1 && ended.errorText.contains(program), "\(ended.errorText)")
            }
            // The shell's own 127 is the command's.
            #expect(try ground.shell("no-such-program").code == 127)
            #expect(try ground.record()["outcome"]["status"].string == "exited")
        }

        @Test func onTheHostButNotInView() throws {
            let tool = try ground.write("\(ground.directory)/tool", "#!/bin/sh\necho found\n", mode: 0o755)
            let ended = try ground.run("--", tool)
            #expect(ended.code == 127)
            #expect(ended.complaints.count == 1)
            #expect(ended.errorText.contains("--read"), "the remedy isn't named: \(ended.errorText)")
            #expect(try ground.run("--read", tool, "--", tool).text == "found\n", "the remedy doesn't work")
        }

        @Test func everyEndIsRecorded() throws {
            try ground.run("--", "no-such-program")
            #expect(try ground.record()["outcome"]["exit_code"].int == 127)
            try ground.write("plain", "text")
            try ground.run("--", "./plain")
            #expect(try ground.record()["outcome"]["exit_code"].int == 126)
            try ground.shell("kill -9 $$")
            #expect(try ground.record()["outcome"]["exit_code"].int == 137)
            #expect(ground.runs.count == 3)
        }
    }
}
