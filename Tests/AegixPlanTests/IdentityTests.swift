// Pure. Who the command is: as a user, as root, as nobody, with high ids; its home.

import AegixSystem
import Testing

@testable import AegixPlan
@testable import AegixPolicy

struct IdentityTests {
    private func identity(_ host: Host, _ wish: Policy.Identity = .keep) throws -> IdentityPlan {
        try plan(host, policy(identity: wish)).identity
    }

    private func ids(_ identity: IdentityPlan) -> [UInt32] {
        [identity.insideUID, identity.insideGID, identity.outsideUID, identity.outsideGID]
    }

    @Test func aUserStaysWhoTheyAre() throws {
        var host = Host()
        host.gid = 100
        let who = try identity(host)
        #expect(ids(who) == [1000, 100, 1000, 100])
        #expect(who.uidMap == "1000 1000 1" && who.gidMap == "100 100 1")
        #expect(who.selfMapped && who.treeUIDMap == nil && who.treeGIDMap == nil)
        #expect(text(who.userName) == "ada")
    }

    @Test func aUserStaysWhoTheyAreInOthersWorkspace() throws {
        var host = Host()
        host.owner = (0, 0)
        #expect(ids(try identity(host)) == [1000, 1000, 1000, 1000])
    }

    @Test func aUserAsNobody() throws {
        let who = try identity(Host(), .nobody)
        #expect(ids(who) == [65534, 65534, 1000, 1000])
        #expect(who.uidMap == "65534 1000 1" && who.gidMap == "65534 1000 1")
        #expect(who.selfMapped && text(who.userName) == "nobody")
    }

    @Test func aUserWithAHighID() throws {
        var host = Host()
        (host.uid, host.gid) = (4_000_000_000, 70_000)
        let who = try identity(host)
        #expect(ids(who) == [4_000_000_000, 70_000, 4_000_000_000, 70_000])
        #expect(who.uidMap == "4000000000 4000000000 1")
    }

    @Test func rootHasNoPowerOutside() throws {
        var host = Host()
        (host.uid, host.gid, host.owner) = (0, 0, (0, 0))
        let who = try identity(host)
        #expect(ids(who) == [0, 0, 1_900_000_000, 1_900_000_000])
        #expect(who.uidMap == "0 1900000000 65536" && who.gidMap == "0 1900000000 65536")
        #expect(!who.selfMapped && who.treeUIDMap == nil)
        #expect(text(who.userName) == "root")
    }

    @Test func rootBecomesTheWorkspacesOwner() throws {
        var host = Host()
        (host.uid, host.gid) = (0, 0)
        host.owner = (1000, 100)
        let who = try identity(host)
        #expect(ids(who) == [1000, 100, 1_900_001_000, 1_900_000_100])
        #expect(who.uidMap == "0 1900000000 65536")
        #expect(text(who.userName) == "ada")
    }

    @Test(arguments: [65535, 65536, 1_000_000, 4_294_967_294] as [UInt32])
    func rootAtAHighOwnersWorkspace(_ owner: UInt32) throws {
        var host = Host()
        (host.uid, host.gid, host.owner) = (0, 0, (owner, 5))
        let who = try identity(host)
        #expect(who.insideUID == owner && who.insideGID == 5)
        #expect(who.gidMap == "0 1900000000 65536")
        if owner < 65536 {
            #expect(who.outsideUID == 1_900_065_535 && who.uidMap == "0 1900000000 65536")
        } else {
            #expect(who.outsideUID == 1_900_065_536)
            #expect(who.uidMap == "0 1900000000 65536\n\(owner) 1900065536 1")
        }
    }

    @Test(arguments: [(0, 0), (1000, 100), (65534, 65534), (70_000, 80_000)] as [(UInt32, UInt32)])
    func rootAsNobody(_ owner: (UInt32, UInt32)) throws {
        var host = Host()
        (host.uid, host.gid, host.owner) = (0, 0, owner)
        let who = try identity(host, .nobody)
        #expect(who.insideUID == 65534 && who.insideGID == 65534)
        #expect(who.outsideUID >= 1_900_000_000 && who.outsideGID >= 1_900_000_000)
        // What the owner has on disk is nobody's inside.
        #expect(who.uidMap == "65534 \(who.outsideUID) 1" && who.gidMap == "65534 \(who.outsideGID) 1")
        #expect(who.treeUIDMap == "\(owner.0) \(who.outsideUID) 1")
        #expect(who.treeGIDMap == "\(owner.1) \(who.outsideGID) 1")
        #expect(!who.selfMapped)
    }

    @Test func withoutANameThereIsOne() throws {
        var facts = Host().facts
        facts.userName = nil
        #expect(text(IdentityPlan.make(.keep, facts: facts).userName) == "user")
    }

    @Test(
        arguments: [(1000, Policy.Identity.keep), (1000, .nobody), (0, .keep), (65534, .keep)]
            as [(UInt32, Policy.Identity)])
    func accountsHaveEachIDOnce(_ uid: UInt32, _ wish: Policy.Identity) throws {
        var host = Host()
        (host.uid, host.gid, host.owner) = (uid, uid, (uid, uid))
        let made = try plan(host, policy(identity: wish))
        for path in ["/etc/passwd", "/etc/group"] {
            let content = try #require(
                made.steps.compactMap { step -> Bytes? in
                    if case .file(Bytes(path), let content, _) = step { content } else { nil }
                }.first)
            let lines = text(content).split(separator: "\n").map {
                $0.split(separator: ":", omittingEmptySubsequences: false)
            }
            let found = lines.map { $0[2] }
            #expect(Set(found).count == found.count)
            #expect(found.contains { $0 == String(made.identity.insideUID) })
            #expect(found.contains("0") && found.contains("65534"))
            #expect(lines.allSatisfy { $0.count == (path == "/etc/passwd" ? 7 : 4) })
        }
    }
}

struct HomeTests {
    private func home(_ home: String?, workspace: String = "/srv/work", reads: [PathFact] = []) throws -> String {
        var host = Host()
        (host.home, host.workspace, host.reads) = (home, workspace, reads)
        return text(try plan(host).home)
    }

    @Test(arguments: ["/home/ada", "/root", "/home/ada/", "/home//./ada"])
    func isTheCallersOwnPath(_ path: String) throws {
        #expect(try home(path) == (path == "/root" ? "/root" : "/home/ada"))
    }

    @Test func mayHoldTheWorkspace() throws {
        #expect(try home("/home/ada", workspace: "/home/ada/project") == "/home/ada")
    }

    @Test(arguments: [
        "/", "//", "/usr/share/x", "/etc/x", "/proc", "/dev/shm", "/sys/x", "/tmp", "/tmp/home", "/bin", "/.old/x",
        "/srv/work", "/srv/work/home", "/home/a:b", "/home/a\nroot:x:0:0",
    ])
    func isAnotherWhereTheCallersCantBe(_ path: String) throws {
        #expect(try home(path) == "/home/aegix")
    }

    @Test func withoutOneThereIsOne() throws {
        #expect(try home(nil) == "/home/aegix")
    }

    @Test(arguments: ["/home/ada", "/", nil, "/home/aegix"] as [String?])
    func neverLiesInTheWorkspace(_ caller: String?) throws {
        #expect(try home(caller, workspace: "/home") == "/aegix-home")
    }

    @Test func neverLiesInAnotherView() throws {
        #expect(try home("/home/ada", reads: [fact("/home/ada")]) == "/home/aegix")
        #expect(try home("/home/ada", reads: [fact("/home")]) == "/aegix-home")
        #expect(try home("/home/ada", reads: [fact("/home/ada/.pyenv")]) == "/home/ada")
    }

    @Test func isPrivateAndNamed() throws {
        let made = try plan()
        #expect(made.steps.contains(.directory(made.home, mode: 0o700)))
        #expect(made.steps.contains(.bind(made.home, source: .inside(made.home), flags: [])))
        #expect(made.variable("HOME")?.value == made.home)
    }
}
