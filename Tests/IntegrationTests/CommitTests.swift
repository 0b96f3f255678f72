// `apply --commit`: a commit of just the run's changes, and nothing of what the repository plants is run.

import Foundation
import Testing

extension Integration {
    @Suite(.enabled(if: Ground.has("/usr/bin/git"))) struct CommitTests {
        let ground: Ground
        let identity = [
            "GIT_AUTHOR_NAME": bytes("Ann"), "GIT_AUTHOR_EMAIL": bytes("ann@example.org"),
            "GIT_COMMITTER_NAME": bytes("Ann"), "GIT_COMMITTER_EMAIL": bytes("ann@example.org"),
        ]

        init() throws { ground = try Ground() }

        /// A script on the host, with an identity of its own for git.
        @discardableResult func host(_ script: String, at location: SourceLocation = #_sourceLocation) throws
            -> String
        {
            let names = "export GIT_AUTHOR_NAME=H GIT_AUTHOR_EMAIL=h@x GIT_COMMITTER_NAME=H GIT_COMMITTER_EMAIL=h@x; "
            let ended = try ground.outside("/bin/sh", "-ec", names + script)
            #expect(ended.code == 0, "\(ended.text) \(ended.errorText)", sourceLocation: location)
            return ended.text
        }

        func ran(_ script: String, at location: SourceLocation = #_sourceLocation) throws {
            let ended = try ground.shell(script)
            #expect(ended.code == 0, "\(ended.text) \(ended.errorText)", sourceLocation: location)
        }

        @discardableResult func commit(
            _ message: String = "Change", _ more: [String] = [], code: Int32 = 0, env: [String: Bytes]? = nil,
            at location: SourceLocation = #_sourceLocation
        ) throws -> Ended {
            let ended = try ground.run(
                raw: (["apply", "last", "--commit", message] + more).map(bytes), env: env ?? identity, at: location)
            #expect(ended.code == code, "\(ended.text) \(ended.errorText)", sourceLocation: location)
            return ended
        }

        /// Refused with this code, and neither workspace nor repository is other than before.
        func refused(
            _ reason: String, _ more: [String] = [], env: [String: Bytes]? = nil,
            at location: SourceLocation = #_sourceLocation
        ) throws {
            let picture =
                "find . -path ./.git/objects -prune -o -type f -print0 | sort -z | xargs -0 sha256sum; find . -name '*.lock'"
            let before = try host(picture)
            let ended = try commit("Change", more + ["--json"], code: 1, env: env, at: location)
            #expect(try Ground.document(ended)["code"].string == reason, "\(ended.text)", sourceLocation: location)
            #expect(try host(picture) == before, sourceLocation: location)
        }

        /// The same commits each time: what a test plants is never in their way.
        let history = """
            export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'; git init -q -b main .; seq 500 >big; echo a >a; mkdir -p d/e; echo x >d/x; echo y >d/e/y; ln -s a l; echo t >turn
            printf 'bin\\0ary' >b; git add .; git commit -qm one; seq 600 >big; git commit -qam two
            """
        private let edits = """
            set -e; echo A >>a; rm d/x; echo n >new; mkdir -p p/q; echo z >p/q/z; chmod +x big; ln -sf big l; rm turn; mkdir turn
            echo in >turn/in; mv b moved; chmod 600 d/e/y
            """
        private let names =
            "M\ta\nM\tbig\nD\td/x\nM\tl\nR100\tb\tmoved\nA\tnew\nA\tp/q/z\nD\tturn\nA\tturn/in\n"

        @Test(arguments: [
            "", "git gc -q", "git pack-refs --all", "git checkout -q --detach", "git update-index --index-version 4",
        ])
        func justTheRunsChanges(_ shape: String) throws {
            try host(history + "\n" + shape)
            try ran("git status --porcelain >/tmp/s && ! test -s /tmp/s && git fsck")
            try host("echo more >staged; git add staged; echo dirty >>d/e/y; echo loose >untracked")
            let before = try host("git status --porcelain")
            try ran(edits + "\ngit status >/dev/null")
            let ended = try Ground.document(try commit("Subject\n\nBody.", ["--json"]))
            let id = try #require(ended["commit"].string)
            #expect(try host("git rev-parse HEAD") == id + "\n")
            #expect(try host("git status --porcelain") == before)
            #expect(try host("git show -M --name-status --format=") == names)
            #expect(try host("git log -1 --format=%an,%ae,%cn,%s") == "Ann,ann@example.org,Ann,Subject\n")
            let run = try #require(ended["run_id"].string)
            #expect(try host("git log -1 --format='%(trailers)'") == "Aegix-Run: \(run)\n\n")
            #expect(
                try host("git log -1 --format=%B | git interpret-trailers --parse") == "Aegix-Run: \(run)\n")
            try host("git fsck --strict 2>&1 | { ! grep -v dangling; }; git diff --quiet HEAD -- a new p l turn")
            #expect(try host("git reflog -1 --format=%gs") == "commit: Subject\n")
            #expect(try host("tail -n 1 \(ground.state)/ledger.jsonl").contains("\"result\":\"\(id)\""))
            // What was staged is still there to be committed.
            try host("git commit -qm staged; test \"$(git show --name-only --format=)\" = staged")
            try ran("git status --porcelain -uno >/tmp/s; grep -q ' M d/e/y' /tmp/s && test \"$(wc -l </tmp/s)\" = 1")
        }

        @Test func otherFormats() throws {
            try host("git init -q --object-format=sha256 -b main .")
            try ran("echo 1 >a")
            try commit("First")
            #expect(
                try host("git log --format=%s; git status --porcelain; git show --name-only --format=") == "First\na\n")
            try host("git fsck --strict; git gc -q")
            try ran("echo 2 >>a; mkdir d; echo x >d/x")
            try commit("Second\n\nSigned-off-by: Ann <ann@example.org>\n\n")
            #expect(
                try host("git log -1 --format='%(trailers:only,valueonly)' | wc -l; git status --porcelain").first
                    == "3")
            try host("git fsck --strict")
        }

        @Test func worktreesAndSubmodules() throws {
            let main = "\(ground.directory)/main"
            try host(
                "git init -q -b main \(main); cd \(main); echo a >a; git add a; git commit -qm one; git worktree add -q -b side ../w; cp -r ../w/. \(ground.workspace); git worktree remove --force ../w 2>/dev/null || true; git branch -D side; rm -rf \(ground.workspace)/.git \(ground.workspace)/a; git worktree add -q -f -b side \(ground.workspace)"
            )
            try ran("echo A >>a; echo b >b")
            try commit()
            #expect(
                try host("git status --porcelain; git log --format=%s; git rev-parse --abbrev-ref HEAD")
                    == "Change\none\nside\n")
            try host(
                "git fsck --strict; cd \(main); test -z \"$(git status --porcelain)\"; test \"$(git log --format=%s)\" = one"
            )
            // One that doesn't lead back is somebody else's.
            try host("echo 'gitdir: \(main)/.git' >.git")
            try ran("echo c >c")
            try refused("commit.repository")
        }

        @Test func whatIsRefused() throws {
            try ran("echo n >new")
            try refused("commit.repository")
            try host(history)
            try refused("commit.identity", env: ["GIT_AUTHOR_NAME": bytes("<>")])
            try refused("commit.identity", env: [:])
            for (change, back) in [
                ("touch .git/index.lock", "rm .git/index.lock"),
                ("touch .git/refs/heads/main.lock", "rm .git/refs/heads/main.lock"),
            ] {
                try host(change)
                try refused("commit.busy")
                try host(back)
            }
            for (change, back) in [
                ("echo x >.git/MERGE_HEAD", "rm .git/MERGE_HEAD"),
                ("echo /x >.git/objects/info/alternates", "rm .git/objects/info/alternates"),
                (
                    "git config core.repositoryformatversion 1; git config extensions.refStorage reftable",
                    "sed -i '/xtensions/,$d' .git/config"
                ),
                ("git update-index --split-index", "git update-index --no-split-index"),
                ("echo junk >.git/HEAD", "echo 'ref: refs/heads/main' >.git/HEAD"),
                ("echo 'ref: refs/heads/../../config' >.git/HEAD", "echo 'ref: refs/heads/main' >.git/HEAD"),
                ("mv .git real; ln -s real .git", "rm .git; mv real .git"),
                ("cp .git/index keep; printf x >>.git/index", "mv keep .git/index"),
            ] {
                try host(change)
                try refused("commit.repository")
                try host(back)
            }
            #expect(try ground.run("apply", "last", "--commit", " \n").code == 125)
            try commit()
            #expect(try host("git status --porcelain; git show --name-only --format=") == "new\n")
            #expect(try Ground.document(try commit("x", ["--json"], code: 1))["code"].string == "commit.nothing")
        }

        @Test func whatWasntCommittedBeforeStays() throws {
            for change in [
                "echo mine >>a", "echo mine >>a; git add a",
                "echo mine >>a; git add a; git checkout -q HEAD -- a; echo z >>a",
            ] {
                try host("rm -rf .git *; " + history + "\n" + change)
                try ran("echo run >>a; echo n >n")
                try refused("commit.conflict")
                try commit("Only", ["--only", "n"])
                #expect(try host("git show --name-only --format=") == "n\n")
            }
            // In conflict with the workspace itself, as ever.
            try host("rm -rf .git *; " + history)
            try ran("echo run >>a")
            try host("echo mine >>a")
            let ended = try commit(code: 1)
            #expect(ended.errorText.contains("a "), "\(ended.errorText)")
            #expect(try host("git log -1 --format=%s; find .git -name '*.lock'") == "two\n")
            // What git never tracked is applied, and said not to be committed.
            try host("git checkout -q a; echo 1 >note")
            try ran("echo 2 >>note; echo A >>a")
            #expect(try commit().errorText.contains("not in the commit: note isn't tracked"))
            #expect(try host("git status --porcelain; cat note") == "?? note\n1\n2\n")
        }

        @Test func theCallersConfiguration() throws {
            try host(history + "; git config user.name Planted; git config user.email p@x")
            try ground.write(
                "\(ground.directory)/home/.gitconfig", "[user]\n\tname = Bo \"B\"\n\temail = bo@example.org\n")
            try ran("echo n >n")
            try commit("X", env: [:])
            #expect(try host("git log -1 --format=%an,%ae") == "Bo B,bo@example.org\n")
        }

        /// Everything that makes git run a program, planted; git itself falls for it.
        @Test func nothingPlantedIsRun() throws {
            try host(history)
            let trap = try ground.write(
                "\(ground.directory)/trap", "#!/bin/sh\necho \"$0 $*\" >>\(ground.directory)/sprung\ncat\n", mode: 0o755
            )
            try host(
                """
                mkdir hooks; for h in pre-commit commit-msg prepare-commit-msg post-commit reference-transaction post-index-change \\
                    pre-applypatch fsmonitor-watchman post-checkout; do ln -s \(trap) .git/hooks/$h; ln -s \(trap) hooks/$h; done
                for k in core.fsmonitor core.pager core.editor core.sshCommand diff.external gpg.program gpg.ssh.program \\
                    filter.f.clean filter.f.smudge filter.f.process diff.d.textconv alias.commit-tree merge.m.driver \\
                    core.gitProxy credential.helper core.askPass; do git config $k \(trap); done
                git config commit.gpgSign true; git config core.hooksPath hooks; git config alias.write-tree '!\(trap)'
                git config trailer.x.command \(trap); git config core.alternateRefsCommand \(trap)
                echo '* filter=f diff=d merge=m' >.git/info/attributes
                """)
            try ran("echo A >>a; echo n >new")
            try host("rm -f \(ground.directory)/sprung")
            try commit()
            #expect(access("\(ground.directory)/sprung", F_OK) != 0, "a planted program ran")
            _ = try ground.outside("/usr/bin/git", "status")
            #expect(access("\(ground.directory)/sprung", F_OK) == 0, "the control: git itself runs none of it")
            #expect(
                try host("GIT_CONFIG_GLOBAL=/dev/null git -c core.fsmonitor=false log -1 --format=%s | cat").contains(
                    "Change"))
        }
    }
}
