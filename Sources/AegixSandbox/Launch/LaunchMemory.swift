// Side effects: C memory. Turns a plan into the structs that the child walks, and frees them.

import AegixPlan
import AegixSystem
import CAegix
import Glibc

/// Owns every string and array that a launch points to, until the child has its copy of the address space.
final class LaunchMemory {
    private var blocks: [UnsafeMutableRawPointer] = []

    deinit { for block in blocks { free(block) } }

    func string(_ bytes: Bytes) -> UnsafePointer<CChar> {
        let copy = array(bytes.map { CChar(bitPattern: $0) } + [0])
        return UnsafePointer(copy)
    }

    /// Bytes that may hold NUL: file contents.
    func content(_ bytes: Bytes) -> UnsafePointer<CChar> { string(bytes) }

    func strings(_ list: [Bytes]) -> UnsafePointer<UnsafePointer<CChar>?> {
        var pointers: [UnsafePointer<CChar>?] = list.map { string($0) }
        pointers.append(nil)
        return UnsafePointer(array(pointers))
    }

    func array<T>(_ items: [T]) -> UnsafeMutablePointer<T> {
        let size = max(1, items.count) * MemoryLayout<T>.stride
        guard let block = malloc(size) else { fatalError("out of memory") }
        blocks.append(block)
        let typed = block.bindMemory(to: T.self, capacity: max(1, items.count))
        items.withUnsafeBufferPointer { source in
            if let base = source.baseAddress { typed.update(from: base, count: items.count) }
        }
        return typed
    }

    func step(_ step: Step) -> aegix_step {
        var out = aegix_step(
            operation: 0, flags: 0, path: string(step.path), source: nil, length: 0, device: 0, inode: 0, mode: 0,
            handed: -1)
        switch step {
        case .directory(_, let mode):
            out.operation = AEGIX_DIRECTORY.rawValue
            out.mode = mode
        case .file(_, let bytes, let mode):
            out.operation = AEGIX_FILE.rawValue
            out.mode = mode
            out.source = content(bytes)
            out.length = bytes.count
        case .symlink(_, let target):
            out.operation = AEGIX_SYMLINK.rawValue
            out.source = string(target)
        case .bind(_, let source, let flags):
            out.operation = AEGIX_BIND.rawValue
            out.flags = flags.rawValue
            switch source {
            case .host(let path, let device, let inode):
                out.source = string(path)
                out.device = device
                out.inode = inode
            case .inside(let path):
                out.source = string(path)
                out.flags |= AEGIX_INSIDE.rawValue
            }
        case .attach(_, let tree, let flags):
            out.operation = AEGIX_ATTACH.rawValue
            out.flags = flags.rawValue
            out.handed = Int32(tree)
        case .proc:
            out.operation = AEGIX_PROC.rawValue
            out.flags = AEGIX_NOEXEC.rawValue
        case .devpts:
            out.operation = AEGIX_DEVPTS.rawValue
            out.flags = AEGIX_NOEXEC.rawValue | AEGIX_DEVICES.rawValue
        case .tmpfs(_, let options, let flags):
            out.operation = AEGIX_TMPFS.rawValue
            out.flags = flags.rawValue
            out.source = string(Bytes(options))
        case .overlay(_, let options, let flags):
            out.operation = AEGIX_OVERLAY.rawValue
            out.flags = flags.rawValue
            out.source = string(Bytes(options))
        }
        return out
    }
}
