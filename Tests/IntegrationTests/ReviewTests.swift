// `aegix review`: what it shows, what its patch makes of a clean copy, and what it never runs.

import Foundation
import Testing

extension Integration {
    @Suite struct ReviewTests {
        let ground: Ground

        init() throws { ground = try Ground() }

        private func prepare(_ script: String) throws {
            let ended = try ground.outside("/bin/sh", "-ec", script)
            #expect(ended.code == 0, "\(ended.errorText)")
        }

        @discardableResult private func changed(_ script: String) throws -> Ended {
            let ended = try ground.shell("set -e\n" + script)
            #expect(ended.code == 0, "\(ended.errorText)")
            return ended
        }

        private func review(_ options: String..., at location: SourceLocation = #_sourceLocation) throws -> Ended {
            try ground.run(raw: (["review", "last"] + options).map(bytes), at: location)
        }

        /// Paths of a tree without `.git`, each with its type, whether it is executable, and its content.
        private func tree(_ top: String) throws -> String {
            let ended = try ground.outside(
                "/usr/bin/python3", "-c",
                """
                import hashlib, os, stat, sys
                top = os.fsencode(sys.argv[1])
                for at, directories, files in os.walk(top):
                    directories[:] = [d for d in directories if d != b'.git']
                    for name in directories + files:
                        path = os.path.join(at, name); facts = os.lstat(path); rest = ''
                        if stat.S_ISDIR(facts.st_mode): continue
                        if stat.S_ISLNK(facts.st_mode): rest = os.readlink(path)
                        if stat.S_ISREG(facts.st_mode):
                            rest = (bool(facts.st_mode & 64), hashlib.sha256(open(path, 'rb').read()).hexdigest())
                        print(path[len(top):], stat.S_IFMT(facts.st_mode), rest)
                """, top)
            #expect(ended.code == 0, "\\(ended.errorText)")
            return ended.text.split(separator: "\n").sorted().joined(separator: "\n")
        }

        private static let base = """
            seq 1 200 >text; printf 'no end' >noend; printf 'a\\r\\nb\\r\\n' >crlf; : >empty; echo gone >gone
            head -c 70000 /dev/urandom >binary; head -c 2000 /dev/urandom >binary-gone; echo moves >from; mkdir d deep deep/er
            echo x >d/x; echo y >deep/er/y; ln -s text link; ln -s text link-gone; echo s >'sp ace'; echo tool >tool; echo f >kind
            ln -s text kind2; echo fd >filedir
            """

        private static let edits = """
            sed -i 's/^50$/fifty/; 120d; 3i new' text; printf 'no end\\nmore' >noend; printf 'a\\r\\nc\\r\\n' >crlf; echo full >empty
            rm gone binary-gone link-gone; head -c 80000 /dev/urandom >binary; head -c 300 /dev/urandom >binary-new; mv from to
            ln -sf crlf link; ln -s nowhere link-new; echo t >>'sp ace'; echo u >'new sp ace'; chmod +x tool; : >empty-new
            printf 'q\\n' >"$(printf 'n\\nl')"; printf x >"$(printf 'a\\377b')"; printf y >"$(printf '\\033[31m"q\\\\')"; echo e >é
            mkdir -p nd/x; echo n >nd/x/n; printf '#!/bin/sh\\n' >nd/run; chmod +x nd/run; printf 'a\\tb' >"$(printf 't\\tb')"
            """

        /// Only `git apply` can put a file in a directory's place, or a link in a file's.
        private static let turns =
            "\nrm -r d deep; echo file >d; rm kind kind2 filedir; ln -s text kind; echo f >kind2; mkdir filedir; echo i >filedir/i\n"

        /// A copy of the workspace before, and what the run left, as a copy by a shell.
        private func sides(_ edits: String) throws -> (clean: String, left: String) {
            let (clean, left) = ("\(ground.directory)/clean", "\(ground.directory)/left")
            try prepare("cp -a . ../clean")
            try changed(edits)
            // From the layer, since the random bytes are there only: what is whole in it stands for the workspace's.
            try prepare("cp -a . ../left; cd ../left; " + edits.replacing("/dev/urandom >", with: "/dev/null >"))
            let upper = try #require(ground.runs.last) + "/layer/upper"
            try prepare("for f in binary binary-new; do [ ! -f \(upper)/$f ] || cp \(upper)/$f ../left/$f; done")
            return (clean, left)
        }

        @Test func gitAppliesThePatch() throws {
            try prepare(ReviewTests.base)
            let (clean, left) = try sides(ReviewTests.edits + ReviewTests.turns)
            let patch = try review("--patch")
            #expect(patch.code == 0 && patch.errorText == "", "\(patch.errorText)")
            #expect(patch.text.contains("GIT binary patch") && patch.text.contains("rename from from"))
            try ground.write("\(ground.directory)/patch", patch.out)
            #expect(try tree(clean) != tree(left), "nothing to apply")
            // In no repository, in one, and with its index.
            try prepare("cp -a ../clean ../c2; cd ../clean; GIT_CEILING_DIRECTORIES=/ git apply ../patch")
            #expect(try tree(clean) == tree(left))
            try prepare(
                """
                cd ../c2; git init -q; git add -A; git -c user.name=a -c user.email=b commit -qm x
                git apply --index ../patch; git apply -R --check ../patch
                """)
            #expect(try tree("\(ground.directory)/c2") == tree(left))
            // The workspace is as it was.
            try prepare("cd ../c2; git apply -R ../patch")
            #expect(try tree(ground.workspace) == tree("\(ground.directory)/c2"))
        }

        @Test(.enabled(if: Ground.has("/usr/bin/patch"))) func patchAppliesText() throws {
            try prepare(ReviewTests.base)
            let edits = ReviewTests.edits.split(separator: "\n").filter {
                !$0.contains("urandom") && !$0.contains("rm gone")
            }
            .joined(separator: "\n")
            let (clean, left) = try sides(edits)
            let patch = try review("--patch")
            #expect(patch.code == 0, "\(patch.errorText)")
            try ground.write("\(ground.directory)/patch", patch.out)
            try prepare("cd ../clean; patch -s -p1 <../patch")
            #expect(try tree(clean) == tree(left))
        }

        @Test func whatAPatchCannotCarryIsSaid() throws {
            try changed("mkfifo f; mkdir empty; echo x >x; mkdir -p sub/.git; echo y >sub/.git/config")
            let patch = try review("--patch")
            #expect(patch.code == 0 && patch.text.contains("b/x") && !patch.text.contains(".git/config"))
            #expect(patch.complaints.count == 2, "\(patch.errorText)")
            #expect(patch.errorText.contains("2 changes in git directories"), "\(patch.errorText)")
        }

        @Test func forms() throws {
            try prepare("echo a >a; mkdir s; echo b >s/b")
            let told = try changed("echo A >a; echo new >s/new; rm s/b; echo x >.envrc; chmod +x a")
            let id = try #require(ground.runs.last).split(separator: "/").last.map(String.init) ?? ""
            #expect(told.complaints == ["aegix: 4 files changed, 1 protected, 2 run by the host: aegix review \(id)"])
            let whole = try review()
            #expect(whole.code == 0 && whole.errorText == "" && whole.text.contains("\n-a\n+A\n"), "\(whole.text)")
            let top = try #require(whole.text.range(of: "look at these first"))
            let tree = try #require(whole.text.range(of: "s/\n"))
            #expect(top.lowerBound < tree.lowerBound && whole.text.contains("a shell hook runs it"))
            let stat = try review("--stat")
            #expect(whole.text.hasPrefix(stat.text) && !stat.text.contains("+A"))
            let some = try review("--only", "s", "--only", "*rc")
            #expect(some.text.contains("s/\n") && some.text.contains(".envrc") && !some.text.contains("+A"))
            let none = try review("--only", "nothing")
            #expect(none.code == 0 && none.text == "" && none.complaints.count == 1)
            #expect(try review("--color", "always").text.contains("\u{1B}[32m+A\u{1B}[m"))
            let document = try Ground.document(try review("--json"))
            #expect(document["schema"].string == "aegix.review/v1" && document["changes"].array.count == 4)
            #expect(document["summary"]["flags"]["protected"].int == 1 && document["stale"].array.isEmpty)
            let shown = try ground.run("show", "last").text
            #expect(shown.contains("added     .envrc  [protected, executes]"), "\(shown)")
            for words in [
                ["--stat", "--patch"], ["--patch", "--json"], ["--color", "blue"], ["--only", "/abs"],
                ["--only", "../x"],
            ] {
                let refused = try ground.run(raw: (["review", "last"] + words).map(bytes))
                #expect(refused.code == 125, "\(words)")
            }
        }

        @Test func staleIsSaid() throws {
            try prepare("echo a >a; echo b >b")
            try changed("echo A >a; echo B >b; echo C >c")
            try prepare("echo mine >a; echo there >c")
            let shown = try review()
            #expect(
                shown.code == 0 && shown.text.contains("+B") && !shown.text.contains("-mine")
                    && !shown.text.contains("+A"))
            #expect(
                shown.text.components(separatedBy: "the workspace changed since the run: ").count == 3, "\(shown.text)")
            let stale = try Ground.document(try review("--json"))["stale"].array.map(\.string)
            #expect(stale == ["a", "c"])
            let patch = try review("--patch")
            #expect(
                patch.code == 1 && patch.out.isEmpty && patch.errorText.contains("a isn't what it was"),
                "\(patch.errorText)")
            #expect(try review("--patch", "--only", "b").code == 0)
            // Nor is a layer trusted that somebody changed afterwards.
            let upper = try #require(ground.runs.last) + "/layer/upper"
            try prepare("echo X >\(upper)/b")
            #expect(try review().text.contains("isn't what the record says"))
            #expect(try review("--patch", "--only", "b").code == 125)
        }

        @Test func runsWithoutAReview() throws {
            #expect(try ground.run("review", "last").code == 125)
            try changed("true")
            let none = try review()
            #expect(
                none.code == 0 && none.text == "" && none.errorText.contains("changed nothing"), "\(none.errorText)")
            let document = try Ground.document(try review("--json"))
            #expect(document["changes"].array.isEmpty && document["schema"].string != nil)
            let unknown = try ground.run("review", "0zzzz", "--json")
            #expect(try Ground.document(unknown)["code"].string == "run.unknown" && unknown.code == 125)
            // A run that is going on.
            var child = try ground.spawn(["--cmd", "echo up; read x"], stdin: .pipe)
            #expect(child.line() == "up")
            let id = try #require(ground.runs.last).split(separator: "/").last.map(String.init) ?? ""
            let going = try ground.outside(ground.aegix, "review", id)
            #expect(going.code == 125 && going.errorText.contains("still going"), "\(going.errorText)")
            _ = child.finish(input: bytes("x\n"))
            // One whose layer is gone.
            try changed("echo x >x")
            let run = try #require(ground.runs.last)
            try prepare("rm -r \(run)/layer")
            let gone = try review("--json")
            #expect(try Ground.document(gone)["code"].string == "run.discarded" && gone.code == 125)
        }

        /// E3: whatever is in names and contents, a terminal gets nothing but text and our own colours.
        @Test func escapesAreNeutral() throws {
            try prepare("printf 'old\\033]0;x\\007\\n' >file")
            try changed(
                """
                printf 'new\\033[2J\\033]52;c;eA==\\007\\302\\233 \\342\\200\\256\\n' >file
                printf x >"$(printf '\\033[31mred\\007')"; ln -s "$(printf '\\033[5m')" link; mkdir "$(printf '\\033c')"
                """)
            for options in [[], ["--stat"], ["--color", "never", "--no-pager"]] {
                let shown = try ground.run(raw: (["review", "last"] + options).map(bytes))
                #expect(shown.code == 0 && !shown.text.isEmpty)
                #expect(!shown.out.contains { $0 == 0x1B || $0 == 0x07 || $0 == 0x0D }, "\(options)")
                #expect(!shown.text.unicodeScalars.contains { $0.value == 0x9B || $0.value == 0x202E }, "\(options)")
            }
            #expect(try review().text.contains("+new\\u{1b}[2J"))
            // To a pipe a patch is exact.
            #expect(try review("--patch").out.contains(0x1B))
            // On a terminal it isn't, with the pager and without.
            for options in [["--patch"], ["--patch", "--no-pager"], [], ["--no-pager"]] {
                let seen = try onTerminal(options, pager: "cat -u")
                #expect(seen.contains("u{1b}"), "\(seen)")
                let colors = try Regex("\u{1B}\\[[0-9;]*m")
                #expect(!seen.replacing(colors, with: "").contains("\u{1B}"), "\(options): \(seen.debugDescription)")
                #expect(!seen.contains("\u{1B}[31mred"))
            }
        }

        /// What a terminal gets from `aegix review last OPTIONS`.
        private func onTerminal(_ options: [String], pager: String, path: String = "") throws -> String {
            let script = "import pty, sys; pty.spawn(sys.argv[1:])"
            return try ground.outside(
                [
                    "/usr/bin/env", "TERM=xterm", "AEGIX_PAGER=\(pager)", "PATH=\(path)/usr/bin:/bin",
                    "/usr/bin/python3",
                    "-c", script, ground.aegix, "review", "last",
                ] + options
            ).text
        }

        /// The caller's pager, and nothing that lies in the workspace.
        @Test func pagers() throws {
            try prepare("echo a >a")
            let marker = "\(ground.directory)/marker"
            try changed("echo A >a")
            #expect(try onTerminal([], pager: "sed -e s/^/paged:/").contains("paged:workspace "))
            try ground.write("less", "#!/bin/sh\necho ran >\(marker)\ncat\n", mode: 0o755)
            try prepare("mkdir ../bin; ln -s ../workspace/less ../bin/other")
            for (pager, path) in [
                ("less", ".:"), ("less", ":"), ("less", "\(ground.workspace):"), ("./less", ""),
                ("\(ground.workspace)/less", ""),
                ("\(ground.directory)/bin/../workspace/less", ""), ("other", "\(ground.directory)/bin:"),
                ("none-such", ""),
                ("", ""),
            ] {
                let seen = try onTerminal([], pager: pager, path: path)
                #expect(seen.contains("+A"), "\(pager) \(path): \(seen)")
                #expect(ground.read(marker) == nil, "\(pager) \(path) ran what lies in the workspace")
            }
            // The probe is sharp: it leaves its mark where it is meant.
            try prepare("cp less ../bin/less")
            _ = try onTerminal([], pager: "less", path: "\(ground.directory)/bin:")
            #expect(ground.read(marker) != nil)
        }
    }
}
