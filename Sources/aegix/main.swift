// Side effects: ends the process. The arguments are taken as bytes: CommandLine.arguments would repair invalid UTF-8.

import AegixCLI
import Glibc

exit(aegixMain(argumentBytes(CommandLine.argc, CommandLine.unsafeArgv)))
