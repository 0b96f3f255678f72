// Pure but for its sink. The archive of a bundle, as it comes: whether each byte is the one that has to be there.

import AegixSystem

/// The first thing that is wrong with a bundle.
public struct BundleFault: Error, Equatable, Sendable {
    /// The entry that it is found in; nil: the file as a whole.
    public var entry: String?
    /// How many bytes of the unpacked archive were right.
    public var offset: UInt64
    public var reason: String
    /// It isn't the bundle that is wrong: it can't be read, or what is made of it can't be written.
    public var system: SystemError?

    init(_ entry: String?, _ offset: UInt64, _ reason: String, _ system: SystemError? = nil) {
        (self.entry, self.offset, self.reason, self.system) = (entry, offset, reason, system)
    }
}

/// Who gets the contents, while they are checked.
protocol BundleSink: AnyObject {
    func begin(file name: String) throws(SystemError)
    func begin(blob: BlobTable.Blob) throws(SystemError)
    func write(_ bytes: UnsafeRawBufferPointer) throws(SystemError)
    /// Its digest is right.
    func end() throws(SystemError)
}

/// Stages: `bundle.json`, which says what all others are; the files, of which `blobs.jsonl` names the blobs; the blobs; the
/// signature; the end. What a header has to be is known before it comes, so headers are compared, not read.
///
/// Not done here: what the entries say of each other (`BundleCheck`).
struct BundleParser: ~Copyable {
    private enum Place: Equatable {
        case index
        case file(Int)
        case blob(Int)
        case signature
        case end
    }

    private enum State {
        case header
        case content(left: UInt64)
        case padding(left: Int)
    }

    private(set) var check: BundleCheck
    private var place = Place.index
    private var state = State.header
    private var block = Bytes()
    private var offset: UInt64 = 0
    private var size: UInt64 = 0
    private var running = SHA256()
    private var kept: Bytes?
    private var lines: LineSplitter?
    private let sink: (any BundleSink)?
    private let fileSize: UInt64
    /// For the fuzzer alone, which guesses no digest.
    private let heedsDigests: Bool

    /// - fileSize: of the packed file, for the bounds.
    init(fileSize: UInt64, keys: BundleKeys, sink: (any BundleSink)? = nil, heedsDigests: Bool = true) {
        self.fileSize = fileSize
        self.sink = sink
        self.heedsDigests = heedsDigests
        check = BundleCheck(keys)
        block.reserveCapacity(BundleHeader.length)
    }

    private var name: String {
        switch place {
        case .index: BundleName.index
        case .file(let index): check.index?.files[index].name ?? ""
        case .blob(let index): check.blobs.blobs[index].name
        case .signature: BundleName.signature
        case .end: "the end of the archive"
        }
    }

    func fault(_ reason: String) -> BundleFault { BundleFault(name, offset, reason) }

    mutating func feed(_ bytes: UnsafeRawBufferPointer) throws(BundleFault) {
        var rest = bytes
        while !rest.isEmpty {
            let count: Int
            switch state {
            case .header:
                count = min(rest.count, (place == .end ? BundleHeader.end : BundleHeader.length) - block.count)
                if count == 0 { throw fault("bytes stand after it") }
                block.append(contentsOf: UnsafeRawBufferPointer(rebasing: rest[..<count]))
                if place == .end {
                    if block.contains(where: { $0 != 0 }) {
                        throw fault("more stands there than \(BundleName.index) names")
                    }
                } else if block.count == BundleHeader.length {
                    try header()
                }
            case .content(let left):
                count = Int(min(UInt64(rest.count), left))
                try content(UnsafeRawBufferPointer(rebasing: rest[..<count]))
                state = .content(left: left - UInt64(count))
                if left == UInt64(count) { try contentEnds() }
            case .padding(let left):
                count = min(rest.count, left)
                if rest[..<count].contains(where: { $0 != 0 }) { throw fault("what fills its last block isn't zeros") }
                state = .padding(left: left - count)
                if left == count { try next() }
            }
            offset += UInt64(count)
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
    }

    /// Whether it is over, and nothing is missing.
    mutating func finish() throws(BundleFault) {
        guard place == .end, block.count == BundleHeader.end else { throw fault("the archive ends before it does") }
    }

    // MARK: - Headers

    private mutating func header() throws(BundleFault) {
        switch place {
        case .index: size = try toldSize(most: UInt64(BundleBounds.index))
        case .signature: size = try toldSize(most: UInt64(Envelope.longest))
        case .file(let index): try expect(check.index?.files[index].size ?? 0)
        case .blob(let index): try expect(check.blobs.blobs[index].size)
        case .end: break
        }
        block.removeAll(keepingCapacity: true)
        running = SHA256()
        try begin()
        state = .content(left: size)
        if size == 0 { try contentEnds() }
    }

    private func toldSize(most: UInt64) throws(BundleFault) -> UInt64 {
        guard let size = BundleHeader.size(of: name, in: block) else {
            throw fault(BundleHeader.describe(block, insteadOf: name))
        }
        if size > most { throw fault("\(size) bytes are more than it can have") }
        return size
    }

    private mutating func expect(_ size: UInt64) throws(BundleFault) {
        if block != BundleHeader.make(name, size) { throw fault(BundleHeader.describe(block, insteadOf: name)) }
        self.size = size
    }

    private mutating func begin() throws(BundleFault) {
        kept = nil
        lines = nil
        do throws(SystemError) {
            switch place {
            case .blob(let index): try sink?.begin(blob: check.blobs.blobs[index])
            case .index, .signature:
                kept = []
                try sink?.begin(file: name)
            case .file:
                if BundleCheck.isList(name) { lines = LineSplitter() } else if BundleCheck.isKept(name) { kept = [] }
                try sink?.begin(file: name)
            case .end: break
            }
        } catch {
            throw system(error)
        }
    }

    // MARK: - Contents

    private mutating func content(_ bytes: UnsafeRawBufferPointer) throws(BundleFault) {
        running.update(bytes)
        kept?.append(contentsOf: bytes)
        if lines != nil {
            let name = self.name
            var reason: String?
            let isFine = lines?.feed(bytes) { line in
                reason = check.line(line, of: name)
                return reason == nil
            }
            if isFine == false { throw fault(reason ?? "a line of it is longer than any can be") }
        }
        do throws(SystemError) { try sink?.write(bytes) } catch { throw system(error) }
    }

    private mutating func contentEnds() throws(BundleFault) {
        let digest = running.finish()
        switch place {
        case .index: break
        case .file(let index): try compare(digest, check.index?.files[index].digest)
        case .blob(let index): try compare(digest, check.blobs.blobs[index].digest.hex)
        case .signature, .end: break
        }
        if let lines, !lines.isComplete { throw fault("its last line doesn't end") }
        if case .blob = place {} else if let reason = check.file(name, digest, kept) { throw fault(reason) }
        kept = nil
        do throws(SystemError) { try sink?.end() } catch { throw system(error) }
        if place == .index { try bounds() }
        let padding = BundleHeader.padding(size)
        state = .padding(left: padding)
        if padding == 0 { try next() }
    }

    private func compare(_ digest: String, _ told: String?) throws(BundleFault) {
        if heedsDigests, digest != told { throw fault("its content isn't what the bundle's lists name") }
    }

    private func bounds() throws(BundleFault) {
        if let total = check.index?.total, BundleBounds.isBomb(total, in: fileSize) {
            throw fault("\(total) bytes are to come out of \(fileSize): no run's bundle is packed so densely")
        }
    }

    private mutating func next() throws(BundleFault) {
        state = .header
        switch place {
        case .index: place = .file(0)
        case .file(let index): place = .file(index + 1)
        case .blob(let index): place = .blob(index + 1)
        case .signature: place = .end
        case .end: return
        }
        if case .file(let index) = place, index >= check.index?.files.count ?? 0 {
            if let fault = check.filesEnd() { throw BundleFault(fault.entry, offset, fault.reason) }
            place = .blob(0)
        }
        if case .blob(let index) = place, index >= check.blobs.blobs.count {
            place = check.index?.signer == nil ? .end : .signature
        }
    }

    private func system(_ error: SystemError) -> BundleFault {
        BundleFault(name, offset, "can't write it: \(error.reason)", error)
    }
}
