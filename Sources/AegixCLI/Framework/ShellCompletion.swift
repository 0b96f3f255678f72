// Pure. Completions for bash, zsh and fish, from the same tables that parse the words.

enum ShellCompletion {
    static let shells = ["bash", "zsh", "fish"]

    /// nil for another shell.
    static func text(_ shell: String, _ commands: [any Command.Type]) -> String? {
        switch shell {
        case "bash": bash(commands)
        case "zsh": zsh(commands)
        case "fish": fish(commands)
        default: nil
        }
    }

    private static func visible(_ command: any Command.Type) -> [Option] { command.allOptions.filter { !$0.hidden } }

    // MARK: - bash

    private static func bash(_ commands: [any Command.Type]) -> String {
        var cases: [String] = []
        for command in commands {
            var values: [String] = []
            for option in visible(command) where option.placeholder != nil {
                values.append("                --\(option.name)) \(bashReply(option.completes)); return ;;")
            }
            let options = visible(command).map { "--" + $0.name }.joined(separator: " ")
            var lines = ["        \(command.name))"]
            if !values.isEmpty { lines += ["            case $previous in"] + values + ["            esac"] }
            lines.append("            options=\"\(options)\"")
            if command.completes != .nothing { lines.append("            \(bashOperands(command))") }
            cases.append((lines + ["            ;;"]).joined(separator: "\n"))
        }
        return """
            # bash completion for aegix. Written by `aegix help --completion bash`.
            _aegix() {
                local word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} command=run options= i
                local commands="\(commands.map { $0.name }.joined(separator: " "))"
                COMPREPLY=()
                # After `--` the words are a program's.
                for ((i = 1; i < COMP_CWORD; i++)); do
                    if [[ ${COMP_WORDS[i]} == -- ]]; then
                        compopt -o default
                        return
                    fi
                done
                if ((COMP_CWORD == 1)) && [[ $word != -* ]]; then
                    COMPREPLY=($(compgen -W "$commands" -- "$word"))
                    return
                fi
                [[ " $commands " == *" ${COMP_WORDS[1]} "* ]] && command=${COMP_WORDS[1]}
                case $command in
            \(cases.joined(separator: "\n"))
                esac
                [[ $word == -* ]] && COMPREPLY=($(compgen -W "$options" -- "$word"))
            }
            complete -F _aegix aegix
            """
    }

    private static func bashReply(_ completion: Completion) -> String {
        switch completion {
        case .nothing: ":"
        case .file: "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\")"
        case .directory: "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$word\")"
        case .program: "mapfile -t COMPREPLY < <(compgen -c -- \"$word\")"
        case .words(let words): "COMPREPLY=($(compgen -W \"\(words.joined(separator: " "))\" -- \"$word\"))"
        }
    }

    private static func bashOperands(_ command: any Command.Type) -> String {
        "[[ $word == -* ]] || { \(bashReply(command.completes)); }"
    }

    // MARK: - zsh

    private static func zsh(_ commands: [any Command.Type]) -> String {
        let names = commands.map { "        \(quoted("\($0.name):\($0.summary)"))" }
        let cases = commands.map { command -> String in
            var words = visible(command).map { option -> String in
                let mark = option.repeatable ? "*" : ""
                let value = option.placeholder.map { ":\(zshText($0)):\(zshAction(option.completes))" } ?? ""
                return quoted("\(mark)--\(option.name)[\(zshText(sentence(option.help)))]\(value)")
            }
            if command.passesRest {
                words.append(quoted("*:program:_files"))
            } else {
                words.append(quoted("*:operand:\(zshAction(command.completes))"))
            }
            return "        \(command.name)) _arguments -S \(words.joined(separator: " \\\n            ")) ;;"
        }
        return """
            #compdef aegix
            # zsh completion for aegix. Written by `aegix help --completion zsh`.
            _aegix() {
                local -a commands
                commands=(
            \(names.joined(separator: "\n"))
                )
                if ((CURRENT == 2)) && [[ $words[2] != -* ]]; then
                    _describe command commands
                    return
                fi
                local command=run
                if [[ $words[2] != -* ]]; then
                    command=$words[2]
                    shift words
                    ((CURRENT--))
                fi
                case $command in
            \(cases.joined(separator: "\n"))
                esac
            }
            _aegix "$@"
            """
    }

    private static func zshAction(_ completion: Completion) -> String {
        switch completion {
        case .nothing: " "
        case .file: "_files"
        case .directory: "_files -/"
        case .program: "_command_names -e"
        case .words(let words): "(" + words.joined(separator: " ") + ")"
        }
    }

    /// Colons and brackets are zsh's own.
    private static func zshText(_ text: String) -> String {
        text.map { "[]:\\".contains($0) ? "\\\($0)" : String($0) }.joined()
    }

    // MARK: - fish

    private static func fish(_ commands: [any Command.Type]) -> String {
        var lines = ["# fish completion for aegix. Written by `aegix help --completion fish`.", "complete -c aegix -f"]
        for command in commands {
            lines.append(
                "complete -c aegix -n __fish_use_subcommand -a \(command.name) -d \(quoted(command.summary))")
        }
        for command in commands {
            // Without a command, the options are those of run.
            let others = commands.filter { $0.name != "run" }.map { $0.name }.joined(separator: " ")
            let condition =
                command.name == "run"
                ? "not __fish_seen_subcommand_from \(others)" : "__fish_seen_subcommand_from \(command.name)"
            let seen = quoted(condition)
            for option in visible(command) {
                var line = "complete -c aegix -n \(seen) -l \(option.name) -d \(quoted(sentence(option.help)))"
                if option.placeholder != nil { line += fishValue(option.completes) }
                lines.append(line)
            }
            if command.completes != .nothing {
                lines.append("complete -c aegix -n \(seen)" + fishValue(command.completes).replacing(" -x", with: ""))
            }
        }
        return lines.joined(separator: "\n")
    }

    private static func fishValue(_ completion: Completion) -> String {
        switch completion {
        case .nothing: " -x"
        case .file: " -r -F"
        case .directory: " -x -a '(__fish_complete_directories)'"
        case .program: " -x -a '(__fish_complete_command)'"
        case .words(let words): " -x -a '\(words.joined(separator: " "))'"
        }
    }

    // MARK: - Words

    /// The first sentence, without its period.
    private static func sentence(_ help: String) -> String {
        var words: [Substring] = []
        for word in help.split(separator: " ") {
            words.append(word)
            if word.hasSuffix(".") { break }
        }
        let text = words.joined(separator: " ")
        return text.hasSuffix(".") ? String(text.dropLast()) : text
    }

    /// For a POSIX shell and for zsh; fish takes `'\''` as well.
    private static func quoted(_ text: String) -> String {
        "'" + text.split(separator: "'", omittingEmptySubsequences: false).joined(separator: #"'\''"#) + "'"
    }
}
