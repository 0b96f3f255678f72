// Declared secrets: there inside, and in nothing that comes out.

import Foundation
import Testing

extension Integration {
    @Suite struct SecretTests {
        let ground: Ground
        let value = "s3cret/+value=42"
        init() throws { ground = try Ground() }

        private var env: [String: Bytes] { ["GIVEN": bytes(value)] }
        private let asked = ["--secret", "TOKEN=env:GIVEN"]

        /// Files of the state directory that hold it, but for layers.
        private func holders(of text: String) -> [String] {
            let files = FileManager.default.enumerator(atPath: ground.state)?.allObjects as? [String] ?? []
            return files.filter { !$0.contains("/layer/") }.filter { name in
                ground.read("\(ground.state)/\(name)").map { $0.contains(text) } ?? false
            }
        }

        @Test func insideAndNowhereElse() throws {
            let ended = try ground.shell(
                "echo ${#TOKEN} \"$TOKEN\"; echo \"$TOKEN\" >&2; printf %s \"$TOKEN\" | base64; /bin/echo \"$TOKEN\" >/dev/null",
                asked + ["--label", "x=\(value)"], env: env)
            #expect(ended.text == "16 [redacted:TOKEN]\n[redacted:TOKEN]\n", "\(ended.text)")
            #expect(ended.errorText == "[redacted:TOKEN]\n", "\(ended.errorText)")
            #expect(holders(of: value) == [])
            let record = try ground.record()
            #expect(record["streams"]["redacted"].int == 3)
            #expect(
                record["streams"]["stdout"]["redacted"].int == 2 && record["streams"]["stderr"]["redacted"].int == 1)
            #expect(record["streams"]["stdout"]["bytes"].int == 20 + 25)
            #expect(record["streams"]["stdout"]["truncated"].bool == false)
            #expect(record["labels"]["x"].string == "[redacted:TOKEN]")
            let variable = record["environment"].array.first { $0["name"].string == "TOKEN" }
            #expect(variable?["origin"].string == "secret" && variable?.keys.contains("value") == true)
            #expect(variable?["value"].string == nil)
            #expect(record["policy"]["effective"]["secrets"]["TOKEN"].string == "env:GIVEN")
            #expect(record["processes"].array.contains { $0["argv"].array.last?.string == "[redacted:TOKEN]" })
        }

        /// Who is asked may be a chat room.
        @Test func questions() throws {
            let log = "\(ground.directory)/log"
            try ground.write(
                "\(ground.directory)/ask", "#!/bin/sh\ncat >> \(log); echo '{\"decision\": \"once\"}'\n", mode: 0o755)
            let policy = try ground.policy(
                "[[commands.rule]]\nargv = [\"echo\", \"**\"]\ndecision = \"approve\"\n[approval]\nvia = \"command\"\n"
                    + "command = [\"./ask\"]\n")
            let token = "AbCdEf-token-77"
            let ended = try ground.shell(
                "mkdir $TOKEN; cd $TOKEN; /bin/echo a$TOKEN", policy + asked, env: ["GIVEN": bytes(token)])
            #expect(ended.text == "a[redacted:TOKEN]\n")
            let request = String(decoding: ground.read(log) ?? [], as: UTF8.self)
            #expect(request.contains("\"a[redacted:TOKEN]\"") && request.contains("/[redacted:TOKEN]\""), "\(request)")
            #expect(!request.contains(token))
        }

        @Test func splitOverWritesAndOverTime() throws {
            let script =
                "printf 's3cret/+'; sleep 0.3; printf 'value=42'; printf '.'; printf s3c; sleep 0.3; printf 'ret/+value=42'; printf s3cret"
            let ended = try ground.shell(script, asked, env: env)
            #expect(ended.text == "[redacted:TOKEN].s3c[redacted:TOKEN]s3cret", "\(ended.text)")
            #expect(holders(of: value) == [])
        }

        @Test func rawStdout() throws {
            let ended = try ground.shell("echo \"$TOKEN\"; echo \"$TOKEN\" >&2", asked + ["--raw-stdout"], env: env)
            #expect(ended.text == value + "\n" && ended.errorText == "[redacted:TOKEN]\n")
            #expect(holders(of: value) == [])
        }

        @Test func asJSON() throws {
            let ended = try ground.shell("echo \"$TOKEN\"; exit 3", asked + ["--json"], env: env)
            let record = try Ground.document(ended)
            #expect(record["streams"]["stdout"]["text"].string == "[redacted:TOKEN]\n" && ended.code == 3)
            #expect(!ended.text.contains(value))
        }

        @Test func aFileInMemory() throws {
            let place = try ground.write("\(ground.directory)/key", "line one of key\nline two of key\n", mode: 0o600)
            let ended = try ground.shell(
                "wc -c <$K; cat $K; stat -c %a $K; echo x 2>&1 >$K; ls /run/secrets",
                ["--secret-file", "K=file:\(place)"])
            #expect(ended.text.hasPrefix("32\n[redacted:K]\n400\n") && ended.text.hasSuffix("K\n"), "\(ended.text)")
            #expect(holders(of: "line one of key") == [])
            #expect(try ground.shell("ls /run/secrets").code != 0)
        }

        @Test func whatIsLeftIsFlagged() throws {
            let ended = try ground.shell("echo x$TOKEN >leak; echo fine >fine; ln -s $TOKEN link", asked, env: env)
            #expect(ended.errorText.contains("2 with a secret"), "\(ended.errorText)")
            let flags = try ground.record()["changes"].array.map { change in
                (change["path"].string ?? "") + ":" + change["flags"].array.compactMap(\.string).joined()
            }
            #expect(flags == ["fine:", "leak:secret", "link:secret"])
            let applied = try ground.run("apply", "last")
            #expect(
                applied.code == 0
                    && applied.errorText.contains("warning: a secret of the run now lies in the workspace"))
            #expect(ground.read("\(ground.workspace)/leak") == bytes("x\(value)\n"))
        }

        @Test func aSandboxRemembers() throws {
            try ground.run("--name", "n", "--cmd", "true")
            func about() throws -> JSON {
                try JSON(try #require(ground.read("\(ground.state)/sandboxes/n/about.json")))
            }
            #expect(try about()["had_secrets"].bool == false)
            try ground.shell("true", asked + ["--name", "n"], env: env)
            try ground.run("--name", "n", "--cmd", "true")
            #expect(try about()["had_secrets"].bool == true && about()["had_network"].bool == false)
        }

        @Test(arguments: [
            ("X=env:NOT_SET", "comes from $NOT_SET"), ("X=file:/nonexistent", "/nonexistent"),
            ("X=file:/", "regular file"),
            ("X=s3cret-value", "command line"), ("HOME=env:GIVEN", "HOME can't be a secret"),
            ("X=env:SHORT", "fewer than 4"),
        ]) func mistakes(_ word: String, _ says: String) throws {
            let ended = try ground.shell(
                "true", ["--secret", word], env: env.merging(["SHORT": bytes("abc")]) { $1 })
            #expect(ended.code == 125 && ended.errorText.contains(says), "\(ended.errorText)")
            #expect(!ended.errorText.contains("s3cret-value") && !ended.errorText.contains(value))
            let planned = try ground.run(
                "plan", "--secret", word, "--cmd", "true", env: env.merging(["SHORT": bytes("abc")]) { $1 })
            #expect(planned.code == 125)
        }

        @Test func onlyWhoMayNamesThem() throws {
            try ground.write("aegix.toml", "version = 1\n[secrets]\nX = \"env:GIVEN\"\n")
            let refused = try ground.shell("echo $X", env: env)
            #expect(refused.code == 125 && refused.errorText.contains("secrets loosens"), "\(refused.errorText)")
            try FileManager.default.removeItem(atPath: "\(ground.workspace)/aegix.toml")
            let own = try ground.policy("[secrets]\nX = \"env:GIVEN\"\n")
            #expect(try ground.shell("echo ${#X} $X", own, env: env).text == "16 [redacted:X]\n")
            let locked = try ground.policy("lock = [\"secrets\"]\n[secrets]\nX = \"env:GIVEN\"\n")
            for more in [asked, ["--raw-stdout"]] {
                let ended = try ground.shell("true", locked + more, env: env)
                #expect(ended.code == 125 && ended.errorText.contains("locked"), "\(ended.errorText)")
            }
        }

        @Test func manyMegabytes() throws {
            let script = "import os,sys; t=os.environ['TOKEN']; [sys.stdout.write('x' * 65530 + t) for _ in range(300)]"
            let ended = try ground.run("--secret", "TOKEN=env:GIVEN", "--", "/usr/bin/python3", "-c", script, env: env)
            #expect(ended.out.count == 300 * (65530 + "[redacted:TOKEN]".utf8.count))
            #expect(!ended.out.contains(value))
            let stream = try ground.record()["streams"]["stdout"]
            #expect(
                stream["redacted"].int == 300 && stream["truncated"].bool == true && stream["captured"].int == 16 << 20)
        }

        // MARK: - Denied files

        @Test func opensOfDeniedFilesAreTold() throws {
            try ground.write(".env", "x\n")
            try FileManager.default.createDirectory(
                atPath: "\(ground.workspace)/keys", withIntermediateDirectories: false)
            try ground.write("keys/one", "x\n")
            try ground.write("fine", "fine\n")
            let deny = try ground.policy("[files]\ndeny = [\n  \"**/.env\",\n  \"keys\",\n]\n")
            let script =
                "cat fine; cat .env; cat .env; cat keys/../.env; cd /; cat \(ground.workspace)/keys/one; ls \(ground.workspace)/keys"
            let ended = try ground.shell(script, deny)
            #expect(ended.text == "fine\n")
            let told = try ground.record()["violations"].array.filter { $0["control"].string == "files" }
            #expect(
                told.map { $0["path"].string ?? "" } == ["/.env", "/keys/one", "/keys"].map { ground.workspace + $0 })
            #expect(told.map { $0["count"].int } == [3, 1, 1] && told.allSatisfy { $0["errno"].string == "EACCES" })
            let rule = told.first?["rule"].string ?? ""
            #expect(rule.hasPrefix("files.deny **/.env (") && rule.hasSuffix("policy.toml:5:3)"), "\(rule)")
            #expect(
                ended.errorText.contains("(files.deny, ") && ended.errorText.contains("policy.toml:5:3)"),
                "\(ended.errorText)")
            // A setuid file can't be made this way either.
            let made = try ground.run(
                raw: (deny + [
                    "--", "/usr/bin/python3", "-c", "import os\nos.open('new', os.O_CREAT | os.O_WRONLY, 0o4755)",
                ]).map(bytes))
            #expect(made.code == 1 && made.errorText.contains("PermissionError"))
        }
    }
}

extension Bytes {
    fileprivate func contains(_ text: String) -> Bool {
        Data(self).range(of: Data(text.utf8)) != nil
    }
}
