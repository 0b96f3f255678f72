// `aegix replay` on the built binary: the same comes out, or each difference is named with its cause. Bundles of strangers are in
// Tests/Conformance/replay.py.

import Foundation
import Testing

extension Integration {
    @Suite struct ReplayTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        /// The report of one replay, whose exit code is asserted.
        private func replay(
            _ options: String..., of run: String = "last", code: Int32, env: [String: Bytes] = [:],
            at location: SourceLocation = #_sourceLocation
        ) throws -> JSON {
            let ended = try ground.run(
                raw: (["replay", run, "--json"] + options).map(bytes), env: env, at: location)
            #expect(ended.code == code, "\(ended.text) \(ended.errorText)", sourceLocation: location)
            return try Ground.document(ended, at: location)
        }

        private func areas(_ report: JSON, _ member: String) -> [String] {
            report[member].array.compactMap { $0["area"].string }
        }

        private func ran(_ script: String, _ options: [String] = [], code: Int32 = 0, env: [String: Bytes] = [:]) throws
        {
            let ended = try ground.shell(script, options, env: env)
            #expect(ended.code == code, "\(ended.errorText)")
        }

        @Test func theSameComesOut() throws {
            try ground.write("in.txt", "hello\n")
            try ran("cat in.txt; echo made > out; echo err >&2; exit 3", code: 3)
            let report = try replay(code: 0)
            #expect(report["schema"].string == "aegix.replay/v1" && report["verdict"].string == "same")
            #expect(areas(report, "causes") == [] && areas(report, "outputs") == [])
            let record = try ground.record()
            #expect(record["parent"].string == report["run_id"].string)
            #expect(record["invocation"]["how"].string == "replay")
            #expect(ground.read("\(ground.workspace)/out") == nil, "nothing of a replay reaches the workspace")
        }

        @Test func aChangedFileIsTheFirstSuspect() throws {
            try ground.write("in.txt", "hello\n")
            try ground.write("other.txt", "x\n")
            try ran("cat in.txt")
            try ground.write("in.txt", "changed\n")
            let report = try replay(code: 1)
            #expect(report["causes"][0]["area"].string == "inputs" && report["causes"][0]["subject"].string == "in.txt")
            #expect(report["causes"].array.count == 1, "only what changed is a suspect")
            #expect(report["outputs"][0]["area"].string == "stdout")
            #expect(
                report["outputs"][0]["before"].string == "hello" && report["outputs"][0]["after"].string == "changed")
            #expect(report["outputs"][0]["cause"]["subject"].string == "in.txt")
        }

        @Test func aFileThatWasRemovedShowsByItsDirectory() throws {
            try FileManager.default.createDirectory(atPath: "\(ground.workspace)/d", withIntermediateDirectories: false)
            try ground.write("d/a", "1")
            try ran("ls d")
            unlink("\(ground.workspace)/d/a")
            let report = try replay(code: 1)
            #expect(report["causes"].array.compactMap { $0["subject"].string } == ["d"])
        }

        @Test func chanceIsToldFromWhatNothingExplains() throws {
            try ran("cat /proc/sys/kernel/random/uuid")
            let report = try replay(code: 1)
            #expect(report["again"].string != nil)
            #expect(report["outputs"][0]["cause"].string == "nondeterministic")
            // The control: with a cause there is no second replay.
            try ran("echo $GIVEN", ["--env", "GIVEN=1"])
            let caused = try replay(code: 1)
            #expect(caused["again"].string == nil)
            #expect(caused["outputs"][0]["cause"]["subject"].string == "GIVEN")
            #expect(try replay("--env", "GIVEN=1", code: 0)["verdict"].string == "same")
        }

        @Test func theEnvironmentIsTheRecordedOne() throws {
            try ran("echo $LANG $HOME $PATH; env | sort | sha256sum", env: ["LANG": bytes("de_DE.UTF-8")])
            let report = try replay(
                code: 0, env: ["LANG": bytes("fr_FR.UTF-8"), "HOME": bytes("/elsewhere"), "PATH": bytes("/usr/bin")])
            #expect(areas(report, "causes") == [])
        }

        @Test func aPassedVariableIsTheCallersOwn() throws {
            try ran("echo $TOKEN", ["--pass-env", "TOKEN"], env: ["TOKEN": bytes("a-token")])
            #expect(try replay(code: 0, env: ["TOKEN": bytes("a-token")])["verdict"].string == "same")
            let report = try replay(code: 1)
            #expect(report["causes"][0]["subject"].string == "TOKEN")
            let text = try ground.run("replay", "last")
            #expect(text.code == 1 && !text.text.contains("another"))
        }

        @Test func aScriptOutOfViewIsKept() throws {
            let script = try ground.write("\(ground.directory)/tool.sh", "#!/bin/sh\necho \"tool $1\"\n")
            let ended = try ground.run("--script", script, "word")
            #expect(ended.code == 0 && ended.text == "tool word\n")
            try ground.write(script, "#!/bin/sh\necho other\n")
            #expect(try replay(code: 0)["verdict"].string == "same")
        }

        @Test func nothingIsWrittenInPlace() throws {
            let place = "\(ground.directory)/written"
            try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
            try ran("echo x >> \(place)/log", ["--write", place])
            #expect(ground.read("\(place)/log") == bytes("x\n"))
            let report = try replay(code: 1)
            #expect(ground.read("\(place)/log") == bytes("x\n"), "a replay writes to its own layer only")
            #expect(report["causes"].array.contains { $0["subject"].string == place })
            // A workspace that was written in place isn't again.
            try ran("echo 1 >> counter", try ground.policy("[workspace]\nmode = \"direct\"\n"))
            _ = try replay(code: 1)
            #expect(ground.read("\(ground.workspace)/counter") == bytes("1\n"))
        }

        @Test func aLinkThatLeadsElsewhereByNowIsntFollowed() throws {
            for name in ["one", "two"] {
                let place = "\(ground.directory)/\(name)"
                try FileManager.default.createDirectory(atPath: place, withIntermediateDirectories: false)
                try ground.write("\(place)/f", "\(name)\n")
            }
            let link = "\(ground.directory)/link"
            symlink("one", link)
            try ran("cat \(ground.directory)/one/f", ["--read", link])
            #expect(try replay(code: 0)["verdict"].string == "same")
            unlink(link)
            rename("\(ground.directory)/one", "\(ground.directory)/gone")
            symlink("two", "\(ground.directory)/one")
            let ended = try ground.run("replay", "last")
            #expect(ended.code == 2 && ended.errorText.contains("leads to"), "\(ended.text) \(ended.errorText)")
        }

        @Test func whatWasReadWithoutItsContentIsTheCause() throws {
            try ground.write("a", "a\n")
            try ground.write("b", "b\n")
            let policy = try ground.policy("[audit]\ninputs = \"read\"\n")
            try ran("cat a; [ -z $MORE ] || cat b >b2", policy + ["--env", "MORE="])
            let report = try replay("--env", "MORE=1", code: 1)
            let read = report["causes"].array.first { $0["subject"].string == "b" }
            #expect(read?["after"].string == "read" && read?["note"].string == "its content wasn't kept")
        }

        @Test func aWorkspaceThatLeadsElsewhereByNowIsntFollowed() throws {
            let (parent, other) = ("\(ground.workspace)/parent", "\(ground.workspace)/other")
            for place in [parent, other] {
                try FileManager.default.createDirectory(atPath: "\(place)/w", withIntermediateDirectories: true)
            }
            try ran("pwd", ["--workspace", "\(parent)/w"])
            let id = try #require(ground.runs.last?.split(separator: "/").last.map(String.init))
            _ = try replay(of: id, code: 0)
            try FileManager.default.moveItem(atPath: parent, toPath: "\(parent).was")
            try FileManager.default.createSymbolicLink(atPath: parent, withDestinationPath: other)
            let ended = try ground.run("replay", id)
            #expect(ended.code == 2 && ended.errorText.contains("leads to"))
        }

        @Test func whatCantBeReplayed() throws {
            #expect(try ground.run("replay", "nope").code == 2)
            try ran("echo [redacted:KEY]", ["--secret", "KEY=env:KEY"], env: ["KEY": bytes("s3cret-value")])
            let ended = try ground.run("replay", "last")
            #expect(ended.code == 2 && ended.errorText.contains("held the secret"))
            try ran("true")
            let run = try #require(ground.runs.last)
            try ground.write("\(run)/policy.toml", "version = 1\n", mode: 0o600)
            let damaged = try ground.run("replay", "last")
            #expect(damaged.code == 2 && damaged.errorText.contains("isn't what was written"))
            #expect(try ground.run("replay", "last", "--vary", "moon").code == 125)
            #expect(try ground.run("replay").code == 125)
        }

        /// A signature that doesn't hold is a fault of the run like any other.
        @Test func aSignatureThatDoesntHold() throws {
            #expect(try ground.run("keygen").code == 0)
            try ran("true", ground.policy("[audit]\nsign = \"\(ground.state)/keys/aegix.pem\"\n"))
            #expect(try replay(code: 0)["verdict"].string == "same")
            let run = try #require(ground.runs.first)
            let envelope = try #require(ground.read("\(run)/audit.dsse.json"))
            var forged = envelope
            forged[forged.count / 2] ^= 1
            try ground.write("\(run)/audit.dsse.json", forged, mode: 0o600)
            let id = (run as NSString).lastPathComponent
            let ended = try ground.run("replay", id)
            #expect(ended.code == 2 && ended.errorText.contains("audit.dsse.json"), "\(ended.errorText)")
            unlink("\(run)/audit.dsse.json")
            #expect(try ground.run("replay", id).code == 2)
        }

        @Test func itIsNobodysLastAndIsNeverApplied() throws {
            try ran("echo a > new")
            let report = try replay(code: 0)
            let replayed = try #require(report["replay"].string)
            let applied = try ground.run("apply", replayed)
            #expect(applied.code == 1 && applied.errorText.contains("replay"))
            let again = try ground.run("replay", replayed)
            #expect(again.code == 2 && again.errorText.contains("is a replay itself"))
            #expect(try ground.run("apply", "last").code == 0)
            #expect(ground.read("\(ground.workspace)/new") == bytes("a\n"))
        }

        @Test func limitsAndDenialsComeOutAgain() throws {
            try ran("sleep 30", ["--timeout", "300ms"], code: 124)
            #expect(try replay(code: 0)["verdict"].string == "same")
            let rule = "[[commands.rule]]\nargv = [\"date\", \"**\"]\ndecision = \"deny\"\n"
            try ran("date; echo went on", try ground.policy(rule))
            let report = try replay(code: 0)
            #expect(report["verdict"].string == "same")
            let less = try ground.run("replay", "last", "--json", "--timeout", "1ms")
            #expect(less.code == 1, "a shorter time is the caller's to ask for")
            #expect(areas(try Ground.document(less), "causes").contains("limits"))
        }

        @Test func asJUnit() throws {
            try ran("date +%N")
            let file = "\(ground.directory)/report.xml"
            #expect(try ground.run("replay", "last", "--junit", file).code == 1)
            let told = try ground.outside(
                "/usr/bin/python3", "-c",
                "import sys, xml.etree.ElementTree as t; r = t.parse(sys.argv[1]).getroot(); "
                    + "print(r.tag, r.get('tests'), r.get('failures'), len(r.findall('testcase')))", file)
            #expect(told.text == "testsuite 15 1 15\n", "\(told.text) \(told.errorText)")
        }

        @Test func measuredDurationsAreNamedAndDontCount() throws {
            try ran("printf 'done in 0.%ss\\n' \"$(date +%N | cut -c1-6)\"")
            let report = try replay(code: 0)
            #expect(report["disregarded"].array.count == 1)
            #expect(try replay("--strict", code: 1)["verdict"].string == "drift")
        }
    }
}
