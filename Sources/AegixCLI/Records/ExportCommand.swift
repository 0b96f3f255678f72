// Side effects: reads the state directory and a signing key, writes a bundle, and to the console.

import AegixAudit
import AegixSystem
import Glibc

/// `aegix export`.
public enum ExportCommand: Command {
    public static let name = "export"
    public static let summary = "put a run into one file that can be read elsewhere"
    public static let usage = [
        "export RUN -o FILE|- [--without PART]… [--sign KEY [--predicate run|slsa|link] [--sigstore FILE]] [--force] [--state-dir DIR] [--json]"
    ]
    public static let details = """
        FILE gets the record, the events, the output, the effective policy, what the ledger says of the run, its artifacts, what it \
        changed (the contents of the layer) and what of the workspace was kept for a replay. `aegix show FILE` and `aegix verify \
        FILE` read it on any machine; so do `tar --zstd -tf` and `-xf`. The same run gives the same bytes.

        A layer that holds a secret of the run is left out, and so is what isn't there any more; the bundle says what and why. \
        A run whose files aren't those that were written can't be exported. The file has mode 0600: a record tells much.

        `docs/evidence.md` says what is in a bundle and what may be concluded from it.
        """
    public static let options = [
        Option(
            "output", "FILE", short: "o", completes: .file,
            help: "Write the bundle there, or to stdout with `-`. A file that is there is replaced only with --force."),
        Option(
            "without", "PART", repeatable: true, completes: .words(["layer", "artifacts", "inputs"]),
            help: "Leave out the contents of the layer, the artifacts or the inputs. Can be given more than once."),
        Option(
            "sign", "KEY", completes: .file,
            help: "Sign the bundle with this private key, as `aegix keygen` makes it. Default: it isn't signed."),
        Option(
            "predicate", "KIND", completes: .words(BundlePredicate.allCases.map(\.rawValue)),
            help: """
                What the signed statement says of the run: `run` is aegix's own, `slsa` SLSA's provenance v1, `link` in-toto's link \
                v0.3. Default: run.
                """),
        Option(
            "sigstore", "FILE", completes: .file,
            help: """
                Write also a signed statement on the bundle's file, as a Sigstore bundle that `cosign verify-blob-attestation` takes. \
                Default: none.
                """),
        Option("force", help: "Replace files that are there. Default: they stay, and nothing is written."),
        Option.recordState,
    ]

    public static func run(_ arguments: Arguments, _ console: Console) throws(Failure) -> Int32 {
        let word = try arguments.operands("RUN")[0]
        guard let output = arguments.value("output"), !output.isEmpty else {
            throw Failure("usage.value", "where to? Name a file with -o FILE, or stdout with -o -")
        }
        if output.contains(0) { throw Failure("usage.value", "-o has a NUL in it") }
        let isStream = output == Bytes("-")
        if isStream, console.json {
            throw Failure("usage.value", "-o - and --json both want stdout. Name a file with -o FILE")
        }
        if isStream, isatty(STDOUT_FILENO) == 1 {
            throw Failure("usage.value", "a bundle isn't for a terminal. Name a file with -o FILE, or redirect stdout")
        }
        let request = try self.request(arguments)
        let signing = try self.signing(arguments)
        guard let text = word.text else { throw Failure("run.unknown", "there is no run \(word.shown)") }
        let path = try StateLocation.current(option: arguments.value("state-dir"))
        guard let state = try RecordState.open(at: path, console) else {
            throw Failure("run.unknown", "there is no run \(word.shown): no run was ever recorded in \(path.shown)")
        }
        let id = try state.find(text, from: RecordState.currentDirectory())
        let force = arguments.flag("force")
        // Before the work, which may take a while.
        let sigstore = try arguments.value("sigstore").map { path throws(Failure) in
            try BundleOutput(path, replaces: force)
        }
        let fileName = sigstore == nil ? nil : isStream ? "\(id).aegix" : Path.name(output).text ?? "\(id).aegix"
        let report: ExportReport
        if isStream {
            let out = Descriptor(owning: dup(STDOUT_FILENO))
            report = try state.export(id, to: out, request, signing: signing, fileName: fileName)
        } else {
            let out = try BundleOutput(output, replaces: force)
            report = try out.withFile { (file) throws(Failure) in
                try state.export(id, to: file, request, signing: signing, fileName: fileName)
            }
            try out.finish()
        }
        if let sigstore, let bytes = report.sigstore {
            try sigstore.write(bytes)
            try sigstore.finish()
        }
        let told = ExportText(id: id, report: report, path: isStream ? nil : output, sigstore: sigstore?.path)
        if console.json { try console.document(told.document) } else { try told.tell(console) }
        return 0
    }

    private static func request(_ arguments: Arguments) throws(Failure) -> BundleRequest {
        var request = BundleRequest()
        (request.version, request.build) = (Version.number, Version.build)
        for word in arguments.values("without") {
            switch word.text {
            case "layer": request.without.insert(.layer)
            case "artifacts": request.without.insert(.artifacts)
            case "inputs": request.without.insert(.inputs)
            default:
                throw Failure("usage.value", "--without can't be \(word.shown): layer, artifacts or inputs")
            }
        }
        return request
    }

    private static func signing(_ arguments: Arguments) throws(Failure) -> BundleSigning? {
        guard let path = arguments.value("sign") else {
            for option in ["predicate", "sigstore"] where arguments.value(option) != nil {
                throw Failure("usage.value", "--\(option) goes with --sign KEY")
            }
            return nil
        }
        let word = try arguments.text("predicate") ?? BundlePredicate.run.rawValue
        guard let predicate = BundlePredicate(rawValue: word) else {
            throw Failure("usage.value", "--predicate can't be \(Bytes(word).shown): run, slsa or link")
        }
        return BundleSigning(key: try SigningKeyFile.read(path), predicate: predicate)
    }
}
