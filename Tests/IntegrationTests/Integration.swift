// Tests of the built binary from outside. Tests/run.sh starts them twice: as root and as an ordinary user.

import Testing

/// One after the other: each run is followed by a search for what it left behind, and a neighbour's run would be found.
@Suite(.serialized) enum Integration {}
