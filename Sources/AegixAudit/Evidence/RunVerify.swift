// Side effects: reads a run's directory and the ledger. Whether a run's files are those that were written at its end.

import AegixSystem
import AegixWorkspace
import CAegix
import Glibc

public struct RunVerdict: Sendable {
    /// Empty: intact.
    public var faults: [String] = []
    /// Files whose digests hold.
    public var files = 0
    /// The key that signed the record, where that signature holds.
    public var signer: String?

    public init() {}
}

extension StateDirectory {
    /// Stages: what the ledger says of the run's end; the record and the manifest that it names; the files that the manifest
    /// names; the signature.
    ///
    /// Not done here: the ledger's own chain (`verify --ledger`), and the layer, which is the user's until it is applied.
    public func verify(_ id: RunID, keys: [VerifyingKey]) throws(Failure) -> RunVerdict {
        var report = RunVerdict()
        do throws(SystemError) {
            let told = try told(id)
            guard let closing = told.closing else {
                if told.start != nil {
                    throw SystemError("verify", errno: EAGAIN)
                }
                report.faults.append("the ledger doesn't tell of this run")
                return report
            }
            let directory = try openRun(id)
            var check = RunFileCheck(id: id, report: report)
            let record = check.file("audit.json", 64 << 20, closing.audit, by: "the ledger", directory)
            if let record, !check.isRecord(record) { check.fault("audit.json isn't the record of this run") }
            let manifest = check.file(Manifest.name, Manifest.longest, closing.manifest, by: "the ledger", directory)
            if let manifest { check.files(of: manifest, directory) }
            check.inputs(directory)
            check.signature(closing, told.start, keys, directory)
            report = check.report
        } catch {
            if error.errno == EAGAIN {
                throw Failure(
                    "run.unfinished", "run \(id) is still going: there is no record to verify yet", exitCode: 1)
            }
            throw Failure("run.unreadable", "can't look at the files of run \(id)", error, exitCode: 1)
        }
        return report
    }

    /// The run's two lines of the ledger.
    struct Told {
        var start: LedgerHead?
        var closing: LedgerEntry.Closing?
        /// As they stand there, the start's first, without their newlines.
        var lines: [Bytes] = []
    }

    func told(_ id: RunID) throws(SystemError) -> Told {
        var told = Told()
        let needle = Bytes(id.description)
        _ = try LedgerReader.open(in: self)?.newestLines { line in
            guard line.mentions(needle), let found = LedgerLine(line.bytes), found.entry.run == id else { return true }
            if told.closing == nil, let closing = found.entry.closing {
                told.closing = closing
                told.lines.append(Bytes(line.bytes))
            }
            if found.entry.kind != .start { return true }
            told.start = LedgerHead(seq: found.seq, hash: SHA256.hex(Bytes(line.bytes)))
            told.lines.insert(Bytes(line.bytes), at: 0)
            return false
        }
        return told
    }
}

/// Goes over the files of one run and notes what doesn't hold.
private struct RunFileCheck {
    let id: RunID
    var report: RunVerdict

    private static let mostFaults = 20

    mutating func fault(_ reason: String) {
        if report.faults.count < RunFileCheck.mostFaults { report.faults.append(reason) }
    }

    /// Its bytes, if they are those that somebody names.
    mutating func file(
        _ name: String, _ limit: Int, _ digest: String, by whom: String, _ directory: borrowing Descriptor
    ) -> Bytes? {
        do throws(SystemError) {
            let bytes = try StateFile.read(name, in: directory, limit: limit)
            if SHA256.hex(bytes) == digest {
                report.files += 1
                return bytes
            }
            fault("\(name) isn't the one that \(whom) names")
        } catch {
            fault("\(name) can't be read: \(error.reason)")
        }
        return nil
    }

    func isRecord(_ bytes: Bytes) -> Bool {
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(bytes) }) else {
            return false
        }
        return json["run_id"]?.string == id.description && json.canonical == bytes
    }

    mutating func files(of manifest: Bytes, _ directory: borrowing Descriptor) {
        guard case .success(let json) = Result(catching: { () throws(JSONError) in try JSON.parse(manifest) }),
            json["schema"]?.string == Manifest.schema, json["run_id"]?.string == id.description,
            let files = json["files"]?.object
        else { return fault("\(Manifest.name) isn't the manifest of this run") }
        for name in files.keys.sorted() where !Manifest.files.contains(name) {
            fault("\(Manifest.name) names \(Bytes(name).shown), which no run has")
        }
        for name in Manifest.files {
            guard let told = files[name] else {
                do throws(SystemError) {
                    if try StateFile.facts(of: name, in: directory) != nil {
                        fault("\(name) isn't in \(Manifest.name)")
                    }
                } catch {
                    fault("\(name) can't be looked at: \(error.reason)")
                }
                continue
            }
            compare(name, told) { () throws(SystemError) in try StateFile.openRegular(name, in: directory).digest() }
        }
        for told in json["artifacts"]?.array ?? [] {
            guard let path = told["path"]?.bytesValue, !path.contains(0) else {
                fault("\(Manifest.name) names an artifact that can't be")
                continue
            }
            let place = Path.join(Bytes(RunDirectory.artifactsName), path)
            compare(place.shown, told) { () throws(SystemError) in
                let file = try Descriptor.openBeneath(directory.raw, place, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
                if try StateFile.facts(file).mode & S_IFMT != S_IFREG {
                    throw SystemError("open", place, errno: EINVAL)
                }
                return try file.digest()
            }
        }
    }

    /// The manifest covers the list, and the list the contents.
    mutating func inputs(_ directory: borrowing Descriptor) {
        do throws(SystemError) {
            let hasList = try StateFile.facts(of: InputList.name, in: directory) != nil
            let hasContents = try StateFile.facts(of: InputList.directoryName, in: directory) != nil
            if !hasList, !hasContents { return }
            if !hasList { return fault("\(InputList.directoryName) is there without \(InputList.name)") }
        } catch {
            return fault("\(InputList.name) can't be looked at: \(error.reason)")
        }
        do throws(Failure) {
            let list = try InputList.read(in: directory)
            let faults = list.faults(in: directory, most: RunFileCheck.mostFaults)
            for reason in faults { fault(reason) }
            if faults.isEmpty { report.files += list.contents.count }
        } catch {
            fault(error.message)
        }
    }

    private mutating func compare(
        _ name: String, _ told: JSON, _ read: () throws(SystemError) -> (bytes: UInt64, digest: String)
    ) {
        do throws(SystemError) {
            let found = try read()
            if told["sha256"]?.string == found.digest,
                told["bytes"]?.int.flatMap({ UInt64(exactly: $0) }) == found.bytes
            {
                report.files += 1
            } else {
                fault("\(name) isn't the one that \(Manifest.name) names")
            }
        } catch {
            fault("\(name) can't be read: \(error.reason)")
        }
    }

    mutating func signature(
        _ closing: LedgerEntry.Closing, _ start: LedgerHead?, _ keys: [VerifyingKey], _ directory: borrowing Descriptor
    ) {
        let bytes: Bytes
        do throws(SystemError) {
            guard try StateFile.facts(of: RunSigner.name, in: directory) != nil else {
                if closing.signer != nil {
                    fault("\(RunSigner.name) is missing: the ledger tells that the record was signed")
                }
                return
            }
            bytes = try StateFile.read(RunSigner.name, in: directory, limit: Envelope.longest)
        } catch {
            return fault("\(RunSigner.name) can't be read: \(error.reason)")
        }
        guard let signer = closing.signer else {
            return fault("\(RunSigner.name) is there, and the ledger tells of no signature")
        }
        do throws(Envelope.Flaw) {
            let envelope = try Envelope.parse(bytes)
            let key = try envelope.verify(keys)
            if key.id != signer { return fault("\(RunSigner.name) is signed with another key than the ledger tells") }
            guard let statement = Statement(envelope.payload), statement.predicateType == RunPredicate.uri,
                statement.predicate["run_id"]?.string == id.description,
                statement.digest(of: "audit.json") == closing.audit,
                statement.digest(of: Manifest.name) == closing.manifest
            else { return fault("\(RunSigner.name) is a statement on something else") }
            if let start, statement.predicate["ledger"].flatMap({ LedgerHead($0) }) != start {
                return fault(
                    "the ledger's line of the run's start isn't the one that was signed: the ledger was written anew")
            }
            report.signer = key.id
            report.files += 1
        } catch {
            fault("\(RunSigner.name): \(error.words)")
        }
    }
}
