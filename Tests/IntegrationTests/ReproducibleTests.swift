// Real programs under the preset `reproducible`: what is replayed from its recorded inputs comes out the same, ten times of ten, also
// from a bundle, on a workspace that has changed since.

import Foundation
import Testing

extension Integration {
    @Suite struct ReproducibleTests {
        let ground: Ground

        init() throws {
            ground = try Ground()
            for (name, text) in Self.project { try ground.write(name, text) }
        }

        private static let project = [
            "calc.py": "def add(a, b):\n    return a + b\n",
            "test_calc.py": """
            import random, time
            import calc

            def test_add():
                assert calc.add(1, 2) == 3

            def test_files(tmp_path):
                (tmp_path / "a").write_text(str(random.random()))

            def test_that_fails():
                assert {"a", "b", "c"} == {"b", "a", str(time.time())}

            """,
            "main.c":
                "#include <stdio.h>\nint twice(int);\nint main(void) { printf(\"%d %s %s\\n\", twice(21), __DATE__, __TIME__); }\n",
            "twice.c": "int twice(int x) { return 2 * x; }\n",
            "Makefile": "prog: main.o twice.o\n\t$(CC) -o $@ $^\n%.o: %.c\n\t$(CC) -g -O2 -c -o $@ $<\n",
            "script.js": """
            const crypto = require("crypto"), fs = require("fs");
            console.log(Math.random(), new Date().toString(), process.pid, crypto.randomBytes(4).toString("hex"));
            fs.writeFileSync("out.json", JSON.stringify({ now: Date.now(), files: fs.readdirSync(".") }));
            setTimeout(() => console.log("later"), 20);

            """,
        ]

        private static let programs: [(String, [String], Int32)] = [
            ("/usr/bin/pytest-3", ["pytest-3", "-q"], 1), ("/usr/bin/make", ["sh", "-c", "make -j2 && ./prog"], 0),
            ("/usr/bin/node", ["node", "script.js"], 0),
        ]

        @Test(arguments: [0, 1, 2]) func tenTimesOfTen(_ number: Int) throws {
            let (program, words, code) = Self.programs[number]
            try #require(Ground.has(program), "\(program) isn't here")
            let policy = try ground.policy("extends = \"reproducible\"\n[audit]\ninputs = \"all\"\n")
            let first = try ground.run(raw: (policy + ["--"] + words).map(bytes))
            #expect(first.code == code, "\(first.text) \(first.errorText)")
            #expect(!first.text.isEmpty)
            let run = try #require(ground.runs.last.map { ($0 as NSString).lastPathComponent })
            let bundle = "\(ground.directory)/run.aegix"
            #expect(try ground.run("export", run, "-o", bundle).code == 0)
            // By now the workspace has moved on.
            for name in Self.project.keys { unlink("\(ground.workspace)/\(name)") }
            try ground.write("calc.py", "another = 1\n")
            for what in Array(repeating: run, count: 5) + Array(repeating: bundle, count: 5) {
                let ended = try ground.run("replay", what, "--json")
                let report = try Ground.document(ended)
                #expect(ended.code == 0 && report["verdict"].string == "same", "\(words): \(ended.text)")
                #expect(report["causes"].array.isEmpty || what == bundle, "\(words): \(ended.text)")
            }
        }

        /// The control: without the preset these programs don't come out the same.
        @Test func whatIsntPinnedComesOutDifferently() throws {
            try #require(Ground.has("/usr/bin/node"))
            let policy = try ground.policy("[audit]\ninputs = \"all\"\n")
            #expect(try ground.run(raw: (policy + ["--", "node", "script.js"]).map(bytes)).code == 0)
            let ended = try ground.run("replay", "last", "--json")
            let report = try Ground.document(ended)
            #expect(ended.code == 1 && report["outputs"][0]["cause"].string == "nondeterministic", "\(ended.text)")
        }

        @Test func variationsFindHiddenInputs() throws {
            let policy = try ground.policy("extends = \"reproducible\"\n")
            let script = "date; nproc; umask; echo ~; ls -U; env | wc -l"
            #expect(try ground.shell(script, policy).code == 0)
            let all = "timezone,umask,num_cpus,env,home,file_order"
            let ended = try ground.run("replay", "last", "--json", "--vary", all)
            let report = try Ground.document(ended)
            #expect(ended.code == 1 && areas(report).isEmpty, "\(ended.text)")
            let found = report["variations"].array
            #expect(found.compactMap { $0["name"].string } == all.split(separator: ",").map(String.init))
            for variation in found {
                let name = variation["name"].string ?? "?"
                // A machine with one processor can't show another number.
                if name == "num_cpus", sysconf(Int32(_SC_NPROCESSORS_ONLN)) < 2 { continue }
                #expect(variation["hidden_input"].bool == true, "\(name): \(ended.text)")
                #expect(variation["outputs"].array.count == 1, "\(name) changes more than it should: \(ended.text)")
            }
            // The control: what depends on none of it.
            #expect(try ground.shell("cat calc.py", policy).code == 0)
            #expect(try ground.run("replay", "last", "--vary", all).code == 0)
        }

        private func areas(_ report: JSON) -> [String] { report["outputs"].array.compactMap { $0["area"].string } }
    }
}
