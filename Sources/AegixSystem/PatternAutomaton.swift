// Pure. Many patterns sought at once in a stream of bytes (Aho and Corasick).

/// A state is the number of a node; 0 is the beginning. Built once, then only read.
struct PatternAutomaton: Sendable {
    struct Node: Sendable {
        /// The node of the longest proper ending that is a beginning, too.
        var fail: UInt32 = 0
        /// Of a node with one child.
        var child: UInt32 = 0
        /// Of a node with several, and of the first: where its 256 children lie; -1: it has no row.
        var row: Int32 = -1
        var depth: UInt32 = 0
        /// How many of the last bytes may yet become a match.
        var held: UInt32 = 0
        /// The longest pattern that ends here; 0: none does.
        var length: UInt32 = 0
        var secret: UInt32 = 0
        /// Whose beginning this is, the first's of several.
        var owner: UInt32 = 0
        var byte: UInt8 = 0
    }

    private(set) var nodes: [Node] = [Node()]
    private(set) var rows: [UInt32] = []

    /// Of equal patterns the first one's number counts.
    init(_ patterns: [(bytes: Bytes, secret: UInt32)]) {
        var tree = PatternTree()
        for pattern in patterns { tree.insert(pattern.bytes, pattern.secret, &nodes) }
        // Level by level: a node's fail lies above it, and is finished.
        var queue = tree.children(of: 0)
        setRow(0, queue)
        var next = 0
        while next < queue.count {
            let (byte, node) = queue[next]
            next += 1
            let parent = tree.parent[Int(node)]
            let fail = parent == 0 ? 0 : step(nodes[Int(parent)].fail, byte)
            nodes[Int(node)].fail = fail
            if nodes[Int(node)].length == 0 {
                nodes[Int(node)].length = nodes[Int(fail)].length
                nodes[Int(node)].secret = nodes[Int(fail)].secret
            }
            let children = tree.children(of: node)
            nodes[Int(node)].held = children.isEmpty ? nodes[Int(fail)].held : nodes[Int(node)].depth
            switch children.count {
            case 0: break
            case 1: (nodes[Int(node)].byte, nodes[Int(node)].child) = children[0]
            default: setRow(node, children)
            }
            queue += children
        }
    }

    private mutating func setRow(_ node: UInt32, _ children: [(byte: UInt8, node: UInt32)]) {
        nodes[Int(node)].row = Int32(rows.count)
        rows += [UInt32](repeating: 0, count: 256)
        for child in children { rows[rows.count - 256 + Int(child.byte)] = child.node }
    }

    private func step(_ state: UInt32, _ byte: UInt8) -> UInt32 {
        nodes.withUnsafeBufferPointer { nodes in
            rows.withUnsafeBufferPointer { rows in PatternAutomaton.step(nodes, rows, state, byte) }
        }
    }

    @inline(__always)
    static func step(
        _ nodes: UnsafeBufferPointer<Node>, _ rows: UnsafeBufferPointer<UInt32>, _ state: UInt32, _ byte: UInt8
    ) -> UInt32 {
        var state = state
        while true {
            let node = nodes[Int(state)]
            if node.row >= 0 {
                let next = rows[Int(node.row) + Int(byte)]
                if next != 0 { return next }
            } else if node.byte == byte, node.child != 0 {
                return node.child
            }
            if state == 0 { return 0 }
            state = node.fail
        }
    }
}

/// The tree while it grows.
private struct PatternTree {
    private(set) var parent: [UInt32] = [0]
    private var first: [UInt32] = [0]
    private var sibling: [UInt32] = [0]
    private var byte: [UInt8] = [0]

    mutating func insert(_ pattern: Bytes, _ secret: UInt32, _ nodes: inout [PatternAutomaton.Node]) {
        var at: UInt32 = 0
        for byte in pattern {
            var child = first[Int(at)]
            while child != 0, self.byte[Int(child)] != byte { child = sibling[Int(child)] }
            if child == 0 {
                child = UInt32(nodes.count)
                var node = PatternAutomaton.Node()
                node.depth = nodes[Int(at)].depth + 1
                node.owner = secret
                nodes.append(node)
                parent.append(at)
                sibling.append(first[Int(at)])
                first.append(0)
                self.byte.append(byte)
                first[Int(at)] = child
            }
            at = child
        }
        if at == 0 || nodes[Int(at)].length > 0 { return }
        nodes[Int(at)].length = UInt32(pattern.count)
        nodes[Int(at)].secret = secret
    }

    func children(of node: UInt32) -> [(byte: UInt8, node: UInt32)] {
        var found: [(byte: UInt8, node: UInt32)] = []
        var child = first[Int(node)]
        while child != 0 {
            found.append((byte[Int(child)], child))
            child = sibling[Int(child)]
        }
        return found
    }
}
