// `keygen`, `audit.sign` and `verify`, as others see them: PyPI's securesystemslib and in-toto-attestation. The attacks are in
// Tests/Conformance/evidence.py.

import Foundation
import Testing

extension Integration {
    @Suite struct EvidenceTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        private static var modules: String {
            ProcessInfo.processInfo.environment["AEGIX_PEERS"] ?? "\(Ground.checkout)/.build/peers"
        }

        private static var hasPeers: Bool {
            access(modules + "/securesystemslib", R_OK) == 0
                || ProcessInfo.processInfo.environment["AEGIX_MUST_WORK"] == "1"
        }

        private func makeKey(_ name: String = "aegix") throws -> (secret: String, open: String, id: String) {
            let made = try Ground.document(ground.run("keygen", name, "--json"))
            return (
                try #require(made["private"].string), try #require(made["public"].string),
                try #require(made["key_id"].string)
            )
        }

        @Test(.enabled(if: EvidenceTests.hasPeers, "`make peers` fetches what verifies here"))
        func othersVerifyWhatIsSigned() throws {
            let key = try makeKey()
            let ended = try ground.shell("echo €; exit 3", try ground.policy("[audit]\nsign = \"\(key.secret)\"\n"))
            #expect(ended.code == 3, "\(ended.errorText)")
            let run = try #require(ground.runs.first)
            for file in ["\(run)/audit.dsse.json", "\(ground.state)/ledger.head.dsse.json"] {
                let told = try ground.outside([
                    "/usr/bin/env", "PYTHONPATH=\(Self.modules)", "PYTHONDONTWRITEBYTECODE=1",
                    ProcessInfo.processInfo.environment["PYTHON"] ?? "/usr/bin/python3",
                    "\(Ground.checkout)/Tests/Peers/signature.py", file, key.open,
                ])
                #expect(told.code == 0, "\(told.errorText)")
                #expect(told.text.contains("https://in-toto.io/Statement/v1"))
            }
        }

        private func peer(_ words: [String]) throws -> Ended {
            try ground.outside(
                [
                    "/usr/bin/env", "PYTHONPATH=\(Self.modules)", "PYTHONDONTWRITEBYTECODE=1",
                    ProcessInfo.processInfo.environment["PYTHON"] ?? "/usr/bin/python3",
                    "\(Ground.checkout)/Tests/Peers/bundle.py",
                ] + words)
        }

        /// By securesystemslib, in-toto-attestation and Sigstore's own types; GNU tar and zstd unpack it.
        @Test(
            .enabled(if: EvidenceTests.hasPeers, "`make peers` fetches what verifies here"),
            arguments: ["run", "slsa", "link"])
        func othersReadASignedBundle(_ predicate: String) throws {
            let key = try makeKey()
            let ended = try ground.shell(
                "mkdir -p dist; echo made >dist/a; echo €; exit 3",
                try ground.policy("[audit]\nsign = \"\(key.secret)\"\n") + [
                    "--artifact", "dist/**", "--label", "step=build",
                ])
            #expect(ended.code == 3, "\(ended.errorText)")
            let (bundle, sigstore) = ("\(ground.directory)/run.aegix", "\(ground.directory)/run.sigstore.json")
            let made = try Ground.document(
                ground.run(
                    "export", "last", "-o", bundle, "--sign", key.secret, "--predicate", predicate, "--sigstore",
                    sigstore,
                    "--json"))
            #expect(made["schema"].string == "aegix.export/v1" && made["signer"].string == key.id)
            let told = try peer([bundle, key.open, predicate, sigstore])
            #expect(told.code == 0, "\(told.errorText)")
            let verified = try Ground.document(ground.run("verify", bundle, "--key", key.open, "--json"))
            #expect(verified["intact"].bool == true && verified["signer"].string == key.id)
            #expect(verified["signatures"].array.count == 2)
            // Another's key, and none.
            let other = try makeKey("other")
            #expect(try ground.run("verify", bundle, "--key", other.open).code == 1)
            #expect(try ground.run("verify", bundle, "--state-dir", "\(ground.directory)/none").code == 0)
            #expect(access("\(ground.directory)/none", F_OK) != 0)
        }

        @Test func whatExportRefuses() throws {
            #expect(try ground.shell("echo x >file").code == 0)
            let bundle = "\(ground.directory)/run.aegix"
            for (words, code) in [
                (["export", "last"], "usage.value"), (["export", "last", "-o", "-", "--json"], "usage.value"),
                (["export", "last", "-o", bundle, "--predicate", "slsa"], "usage.value"),
                (["export", "last", "-o", bundle, "--sigstore", "x"], "usage.value"),
                (["export", "last", "-o", bundle, "--without", "record"], "usage.value"),
                (["export", "nosuch", "-o", bundle], "run.unknown"),
                (["export", "last", "-o", "\(ground.directory)/no/run.aegix"], "export.unwritable"),
                (["export", "last", "-o", ground.directory], "export.unwritable"),
                (["export", "last", "-o", bundle, "--sign", "/nonexistent"], "key.unreadable"),
                (["show", "\(ground.directory)/nosuch.aegix"], "bundle.unreadable"),
                (["show", ground.aegix], "bundle.damaged"),
            ] as [([String], String)] {
                let ended = try ground.run(raw: (words + (words.contains("--json") ? [] : ["--json"])).map(bytes))
                #expect(ended.code == 125 && ended.text.contains("\"\(code)\""), "\(words): \(ended.text)")
            }
            #expect(access(bundle, F_OK) != 0)
            #expect(try ground.run("export", "last", "-o", bundle).code == 0)
            let first = ground.read(bundle)
            #expect(try ground.run("export", "last", "-o", bundle).code == 125)
            #expect(try ground.run("export", "last", "-o", bundle, "--force", "--without", "layer").code == 0)
            #expect(ground.read(bundle) != first)
            let shown = try ground.run("show", bundle)
            #expect(shown.code == 0 && shown.text.contains("left out: the layer") && !shown.text.contains("waiting"))
            let streamed = try ground.run("export", "last", "-o", "-")
            #expect(streamed.code == 0 && streamed.out == first, "\(streamed.errorText)")
        }

        @Test func opensslReadsTheKeysAndAegixReadsOpenssls() throws {
            let key = try makeKey()
            let shown = try ground.outside(["/usr/bin/openssl", "pkey", "-in", key.secret, "-pubout"])
            #expect(shown.code == 0 && Bytes(shown.text.utf8) == ground.read(key.open))
            let theirs = "\(ground.directory)/theirs.pem"
            #expect(
                try ground.outside(["/usr/bin/openssl", "genpkey", "-algorithm", "ed25519", "-out", theirs]).code == 0)
            chmod(theirs, 0o600)
            let ended = try ground.shell("true", try ground.policy("[audit]\nsign = \"\(theirs)\"\n"))
            #expect(ended.code == 0, "\(ended.errorText)")
            let verified = try Ground.document(ground.run("verify", "last", "--json"))
            #expect(verified["intact"].bool == true && verified["signer"].string != key.id)
            for (kind, code) in [("rsa", 125), ("ed448", 125)] as [(String, Int32)] {
                let other = "\(ground.directory)/\(kind).pem"
                _ = try ground.outside(["/usr/bin/openssl", "genpkey", "-algorithm", kind, "-out", other])
                chmod(other, 0o600)
                #expect(try ground.shell("true", ground.policy("[audit]\nsign = \"\(other)\"\n")).code == code)
            }
        }

        /// The key may go away while the command runs: the record doesn't.
        @Test func aKeyThatVanishesCostsTheSignatureOnly() throws {
            let key = try makeKey()
            let aside = key.secret + ".aside"
            let policy = try ground.policy("[audit]\nsign = \"\(key.secret)\"\n")
            var child = try ground.spawn(["--json"] + policy + ["--cmd", "sleep 2"])
            Thread.sleep(forTimeInterval: 1)
            rename(key.secret, aside)
            let ended = child.finish(input: [], deadline: 60, slowly: false)
            #expect(ended.code == 123 && ended.text.contains("record.unsigned"), "\(ended.text) \(ended.errorText)")
            let verified = try Ground.document(ground.run("verify", "last", "--json"))
            #expect(verified["intact"].bool == true && verified["signer"].string == nil)
        }

        @Test func namesOfKeys() throws {
            for name in ["a.b", "../x", "-x", "x y", String(repeating: "a", count: 65), ""] {
                #expect(try ground.run("keygen", "--", name).code == 125, "\(name)")
            }
            #expect(try ground.run("keygen", "ci-2_X").code == 0)
        }

        @Test func historyIsNotMisledByLabels() throws {
            for label in ["run=00000000000000000000000", "seq=1", "kind=finish", "status=failed"] {
                #expect(try ground.shell("true", ["--label", label]).code == 0)
            }
            let all = try Ground.document(ground.run("history", "--json"))
            #expect(all["runs"].array.count == 4)
            #expect(all["runs"].array.allSatisfy { $0["status"].string == "exited" })
            #expect(try Ground.document(ground.run("history", "--json", "--status", "failed"))["runs"].array.isEmpty)
            let labelled = try Ground.document(ground.run("history", "--json", "--label", "kind=finish"))
            #expect(labelled["runs"].array.count == 1)
            #expect(try ground.run("verify", "--ledger").code == 0)
        }
    }
}
