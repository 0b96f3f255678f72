// --memory, --cpus, --pids: what they take, what they refuse, and that they reach the command.

import Foundation
import Testing

extension Integration {
    @Suite struct LimitOptionTests {
        let ground: Ground
        init() throws { ground = try Ground() }

        @Test(arguments: [
            ("--memory", ["", "lots", "-1", "12XiB", "1.2.3GiB", "1 GiB", "9999999999999GiB", "0x10", "１MiB"]),
            ("--cpus", ["", "many", "-1", "1.2.3", "0.001", "5000", "1,5", "inf", "nan", "1e2"]),
            ("--pids", ["", "few", "-3", "1.5", "99999999999999999999", "0x10", "1k"]),
        ])
        func aWrongValue(option: String, values: [String]) throws {
            for value in values {
                let ended = try ground.run(option, value, "--cmd", "echo ran")
                #expect(ended.code == 125 && ended.out == [], "\(option) \(value): \(ended.code) \(ended.text)")
                #expect(
                    ended.complaints.count == 1 && ended.errorText.contains(option),
                    "\(option) \(value): not one line that names the option: \(ended.errorText)")
                let document = try Ground.document(try ground.run(option, value, "--json", "--cmd", "echo ran"))
                #expect(document["schema"].string == "aegix.error/v1" && document["exit_code"].int == 125)
            }
            #expect(
                ground.runs.allSatisfy {
                    access("\($0)/stdout.log", F_OK) != 0 || ground.read("\($0)/stdout.log") == []
                })
        }

        @Test(arguments: ["--memory", "--cpus", "--pids"])
        func aMissingValue(option: String) throws {
            let ended = try ground.run(option)
            #expect(ended.code == 125 && ended.complaints.count <= 2 && ended.errorText.contains(option))
        }

        @Test(arguments: [
            ("--memory", ["none", "0", "512MiB", "1.5GiB", "2GB", "536870912"]),
            ("--cpus", ["none", "0", "2", "0.5", "1.25", "0.01"]), ("--pids", ["none", "0", "20", "100000"]),
        ])
        func aRightValue(option: String, values: [String]) throws {
            for value in values {
                let ended = try ground.run(option, value, "--cmd", "echo ran")
                #expect(
                    ended.code == 0 && ended.text == "ran\n", "\(option) \(value): \(ended.code) \(ended.errorText)")
                let name = "limits." + option.dropFirst(2)
                let controls = try ground.record()["enforcement"]["controls"].array
                let held = controls.first { $0["name"].string == name }
                let isNone = value == "none" || value == "0"
                #expect((held == nil) == isNone, "\(option) \(value): the record says \(String(describing: held))")
                if let held { #expect(held["held"].bool == true && held["mechanism"].string?.isEmpty == false) }
            }
        }

        @Test func theOptionsOverrideThePolicy() throws {
            let policy = try ground.policy("[limits]\nmemory = \"16MiB\"\npids = 4\n")
            let take =
                "import os; x = b'x' * (40 << 20)\nfor _ in range(8):\n  if os.fork() == 0: import time; time.sleep(0.3); os._exit(0)\nprint('all')"
            #expect(try ground.run(raw: (policy + ["--python", take]).map(bytes)).text != "all\n")
            #expect(["memory", "pids"].contains(try ground.record()["outcome"]["limit"].string))
            let wider = policy + ["--memory", "256MiB", "--pids", "64", "--python", take]
            #expect(try ground.run(raw: wider.map(bytes)).text == "all\n")
            #expect(try ground.record()["outcome"]["limit"].string == nil)
        }

        /// Processor seconds for each second of wall time, of some busy processes over one second.
        private func share(_ loops: Int, _ options: [String]) throws -> Double {
            let code = """
                import os, resource, sys, time
                began = time.monotonic()
                for _ in range(\(loops)):
                    if os.fork() == 0:
                        while time.monotonic() < began + 1: pass
                        os._exit(0)
                for _ in range(\(loops)): os.wait()
                wall = time.monotonic() - began
                used = resource.getrusage(resource.RUSAGE_CHILDREN)
                print((used.ru_utime + used.ru_stime) / wall)
                """
            let ended = try ground.run(raw: (options + ["--python", code]).map(bytes))
            let text = ended.text.trimmingCharacters(in: .whitespacesAndNewlines)
            return try #require(Double(text), "\(ended.code) \(ended.text) \(ended.errorText)")
        }

        /// What else the machine does takes from a share and never adds to it: the upper bound always holds, and of some
        /// tries one shows that the share is really given.
        @Test(arguments: [("0.5", 1, 0.65), ("1", 2, 1.15)])
        func noMoreThanItsShare(cpus: String, loops: Int, most: Double) throws {
            for _ in 0..<3 {
                let used = try share(loops, ["--cpus", cpus])
                #expect(used <= most, "with cpus = \(cpus) \(loops) loops get \(used)")
                #expect(used > 0.05, "with cpus = \(cpus) \(loops) loops get \(used)")
            }
        }

        @Test func withoutALimitThereIsMore() throws {
            let end = ContinuousClock.now + .seconds(60)
            var free = 0.0
            while free <= 0.65, .now < end { free = max(free, try share(2, [])) }
            #expect(free > 0.65, "without a limit two busy loops get \(free)")
        }

        @Test func aShareHoldsForShortLivedProcesses() throws {
            let code = """
                import os, time
                began, used = time.monotonic(), 0.0
                while time.monotonic() < began + 1.5:
                    if os.fork() == 0:
                        end = time.process_time() + 0.01
                        while time.process_time() < end: pass
                        os._exit(0)
                    os.wait()
                t = os.times()
                print((t.user + t.system + t.children_user + t.children_system) / (time.monotonic() - began))
                """
            let ended = try ground.run("--cpus", "0.5", "--python", code)
            let used = try #require(Double(ended.text.trimmingCharacters(in: .newlines)), "\(ended.errorText)")
            #expect(used <= 0.65, "with cpus = 0.5 children of 10 ms each get \(used)")
        }
    }
}
