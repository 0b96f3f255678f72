// Pure. What runs: the forms of a command, where it is sought, its environment.

import AegixSystem
import Testing

@testable import AegixPlan
@testable import AegixPolicy

struct CommandTests {
    private func command(_ form: Invocation.Form, _ host: Host = Host()) throws -> CommandPlan {
        try plan(host, policy(), Invocation(form)).command
    }

    private func script(_ path: String, _ content: String, _ arguments: [String] = []) -> Invocation.Form {
        .script(.init(path: Bytes(path), content: Bytes(content)), arguments: arguments.map { Bytes($0) })
    }

    @Test func aLineIsTheShells() throws {
        let made = try command(.shell(Bytes("echo \"$1\" | wc")))
        #expect(made.argv.map(text) == ["sh", "-c", "echo \"$1\" | wc"])
        #expect(made.candidates.map(text) == ["/bin/sh"])
    }

    @Test func pythonIsSoughtAlongPath() throws {
        let made = try command(.python(Bytes("print(1)"), arguments: [Bytes("-x"), []]))
        #expect(made.argv.map(text) == ["python3", "-c", "print(1)", "-x", ""])
        #expect(made.candidates.map(text) == ["/usr/local/bin/python3", "/usr/bin/python3", "/bin/python3"])
    }

    @Test func aNameIsSoughtAlongPath() throws {
        let made = try command(.program([Bytes("make"), Bytes("-j")]))
        #expect(made.argv.map(text) == ["make", "-j"])
        #expect(made.candidates.map(text) == ["/usr/local/bin/make", "/usr/bin/make", "/bin/make"])
    }

    @Test(arguments: [
        ("/opt/x/tool", "/opt/x/tool"), ("./tool", "/home/ada/project/src/./tool"),
        ("bin/tool", "/home/ada/project/src/bin/tool"), ("../tool", "/home/ada/project/src/../tool"),
    ])
    func aPathIsAPath(_ name: String, _ candidate: String) throws {
        var host = Host()
        host.cwd = "/home/ada/project/src"
        #expect(try command(.program([Bytes(name)]), host).candidates.map(text) == [candidate])
    }

    @Test(arguments: [[], [[]], [[], Bytes("x")]] as [[Bytes]])
    func anEmptyCommandIsRefused(_ argv: [Bytes]) {
        #expect(refusal(Host(), policy(), Invocation(.program(argv)))?.code == "usage.command")
    }

    @Test(
        arguments: [
            ("#!/bin/sh", ["/bin/sh"]), ("#!/bin/sh\necho", ["/bin/sh"]), ("#! \t/bin/sh -e \t\nx", ["/bin/sh", "-e"]),
            ("#!/usr/bin/env python3\n", ["/usr/bin/env", "python3"]),
            ("#!/usr/bin/env -S python3  -u\n", ["/usr/bin/env", "-S python3  -u"]), ("#!/bin/sh\r\nx", ["/bin/sh"]),
            ("#!/bin/sh\u{0}-e", ["/bin/sh"]), ("#!", nil), ("#! \n/bin/sh", nil), ("", nil), ("# !/bin/sh", nil),
            ("\n#!/bin/sh", nil), (" #!/bin/sh", nil),
        ] as [(String, [String]?)])
    func shebangsAreSplitAsTheKernelDoes(_ content: String, _ words: [String]?) {
        #expect(CommandPlan.shebang(Bytes(content))?.map(text) == words)
    }

    @Test func shebangsEndWhereTheKernelsBufferDoes() {
        let long = "#!/bin/" + String(repeating: "a", count: 300)
        #expect(CommandPlan.shebang(Bytes(long))?.map(\.count) == [254])
    }

    @Test func aScriptsShebangComesFirst() throws {
        let made = try command(script("/home/ada/project/x.py", "#!/usr/bin/env -S ruby\n", ["a b", ""]))
        #expect(made.argv.map(text) == ["/usr/bin/env", "-S ruby", "/home/ada/project/x.py", "a b", ""])
        #expect(made.candidates.map(text) == ["/usr/bin/env"])
    }

    @Test(arguments: [
        ("x.py", "python3"), ("x.js", "node"), ("x.mjs", "node"), ("x.cjs", "node"), ("x.bash", "bash"),
        ("x.rb", "ruby"), ("x.pl", "perl"), ("x.sh", "/bin/sh"), ("x", "/bin/sh"), ("x.", "/bin/sh"),
        ("x.py.txt", "/bin/sh"), ("x.PY", "/bin/sh"), ("py", "/bin/sh"),
    ])
    func elseItsExtension(_ name: String, _ interpreter: String) throws {
        let made = try command(script("/home/ada/project/" + name, "x"))
        #expect(made.argv.map(text) == [interpreter, "/home/ada/project/" + name])
        #expect(made.candidates.count == (interpreter == "/bin/sh" ? 1 : 3))
    }

    @Test(arguments: ["/home/ada/x.sh", "/opt/x.sh", "/tmp/x.sh", "/srv/a/b/x.sh", "/home/ada/project2/x.sh"])
    func aScriptOutOfViewIsCopied(_ path: String) throws {
        let content = "#!/bin/sh\necho"
        let made = try plan(Host(), policy(), Invocation(script(path, content)))
        #expect(made.steps.contains(.file(Bytes(path), content: Bytes(content), mode: 0o555)))
        #expect(!made.views.contains(Path.parent(Bytes(path))))
    }

    @Test(arguments: ["/home/ada/project/x.sh", "/usr/bin/x.sh", "/opt/tools/x.sh"])
    func aScriptInViewIsNot(_ path: String) throws {
        var host = Host()
        host.reads = [fact("/opt/tools")]
        let made = try plan(host, policy(), Invocation(script(path, "x")))
        #expect(!made.steps.contains { $0.path == Bytes(path) })
    }

    @Test func formsHaveNames() {
        let forms: [Invocation.Form] = [.shell([]), script("/x", ""), .python([], arguments: []), .program([])]
        #expect(forms.map { Invocation($0).label } == ["cmd", "script", "python", "program"])
    }

    @Test(arguments: [
        ("/home/ada/project/src", "/home/ada/project/src"), ("/home/ada/project", "/home/ada/project"),
        ("/home/ada", "/home/ada/project"), ("/home/ada/project2", "/home/ada/project"), ("/", "/home/ada/project"),
    ])
    func startsInTheWorkspace(_ cwd: String, _ inside: String) throws {
        var host = Host()
        host.cwd = cwd
        #expect(text(try plan(host).cwd) == inside)
    }
}
