// Pure data. What programs of the host run without being asked, or as soon as their usual command is given.

import AegixSystem

/// One line of the list in docs/workspace.md: a name, or a path of names, at any depth of the workspace.
struct HostName {
    enum When {
        /// Whenever its content is another.
        case changed
        /// Only where it wasn't there: a build file that is edited is what a reviewer looks at anyway.
        case new
        /// Where its `scripts` are others, or it is new.
        case scripts
        /// Where it names a driver that git's configuration runs.
        case drivers
    }

    let path: [Bytes]
    let when: When
    /// Who runs it: a sentence's second half.
    let reason: String
}

enum HostNames {
    /// The line that a folded path falls under: it is the name, or lies beneath it. A link may stand for what would be beneath.
    static func find(_ names: [Bytes], isLink: Bool) -> HostName? {
        for (index, name) in names.enumerated() {
            for rule in rules[name] ?? [] {
                let rest = names[index...]
                if rest.starts(with: rule.path) { return rule }
                if isLink, rest.count < rule.path.count, rule.path.starts(with: rest) { return rule }
            }
        }
        guard let last = names.last else { return nil }
        return endings.first { last.count > $0.ending.count && last.suffix($0.ending.count) == $0.ending[...] }?.rule
    }

    /// The names that stand alone in a directory, for their short forms.
    static let all: [Bytes] = Array(rules.keys)

    private static let rules: [Bytes: [HostName]] = {
        var table: [Bytes: [HostName]] = [:]
        for (when, reason, paths) in lists {
            for path in paths.split(separator: " ") {
                let names = Path.components(Bytes(String(path)))
                table[names[0], default: []].append(HostName(path: names, when: when, reason: reason))
            }
        }
        return table
    }()

    private static let endings: [(ending: Bytes, rule: HostName)] = [
        (".code-workspace", "an editor may run its tasks when the workspace is opened"),
        (".pth", "Python runs its lines at every start"),
    ].map { ending, reason in
        (Bytes(ending), HostName(path: [Bytes(ending)], when: .changed, reason: reason))
    }

    /// In lower case, as folded names are.
    private static let lists: [(HostName.When, String, String)] = [
        (.changed, "a shell hook runs it when the directory is entered", ".envrc .autoenv .autoenv.zsh .env.zsh"),
        (
            .changed, "an editor runs tasks and tools that it names",
            """
            .vscode .idea .vs .zed .fleet .devcontainer .devcontainer.json .exrc .vimrc .nvimrc .nvim.lua .lvimrc \
            .dir-locals.el .vim
            """
        ),
        (.changed, "a coding agent runs hooks and servers that it names", ".claude .cursor .mcp.json .gemini .codex"),
        (
            .changed, "git runs these hooks once they are set up",
            ".husky .githooks .pre-commit-config.yaml .pre-commit-config.yml lefthook.yml .lefthook.yml .overcommit.yml"
        ),
        (
            .changed, "CI runs it, with the secrets of the repository",
            """
            .github/workflows .github/actions .gitlab-ci.yml .gitlab/ci .circleci .travis.yml .drone.yml .buildkite \
            .woodpecker .woodpecker.yml azure-pipelines.yml bitbucket-pipelines.yml appveyor.yml jenkinsfile
            """
        ),
        (
            .changed, "package managers and build tools run programs that it names",
            """
            .npmrc .yarnrc .yarnrc.yml .pnpmfile.cjs .cargo .bazelrc .mvn gradle/wrapper gradlew mvnw .bundle \
            .mise.toml mise.toml .tool-versions
            """
        ),
        (.changed, "a debugger runs it at its start", ".gdbinit .lldbinit"),
        (.changed, "Python runs it at every start", "sitecustomize.py usercustomize.py"),
        (.scripts, "npm runs its scripts at install", "package.json"),
        (.drivers, "git runs the driver that it chooses", ".gitattributes"),
        (
            .new, "a build runs it, and none was there before",
            """
            makefile gnumakefile bsdmakefile justfile rakefile cmakelists.txt build.rs build.gradle build.gradle.kts \
            settings.gradle settings.gradle.kts pom.xml binding.gyp dockerfile containerfile docker-compose.yml \
            docker-compose.yaml compose.yml compose.yaml vagrantfile meson.build sconstruct wscript
            """
        ),
        (
            .new, "Python's tools run it, and none was there before",
            "setup.py setup.cfg conftest.py pyproject.toml tox.ini noxfile.py"
        ),
    ]
}
