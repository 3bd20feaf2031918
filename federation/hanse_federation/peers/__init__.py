"""Peers: units that exchange engagements directly while headquarters is out of reach, and report afterwards.

Who may is in the group's policy (`peers`), where each listens in the units' settings. A unit in the mode `peer` runs,
beside its agent:

    home unit                                                         peer
    ticket log ──outbox──> units/shanghai/streams/to-munich ──line──> copy ──relay──> desk
    desk <──relay── copy <──line── units/munich/streams/to-shanghai <──outbox── ticket log

- `outbox` follows the unit's own ticket log and appends what concerns a peer to the stream to that peer: the steps of
  engagements that the home unit has offered to it, with the request before the offer, and, on tickets that the peer
  works on, comments and what runs out of its own agreement. As in headquarters' streams, an event keeps its bytes, its
  id and its writer, and its sealed fields go along as far as the policy grants them to the other side.
- `line` brings the stream to the peer: it asks where the peer's copy ends, and goes on from there. One line for each
  peer and direction, always open, so that the unit knows whom it can reach.
- `server` takes what peers bring, each under the identity in its certificate, checks it as headquarters' link does,
  and answers after COMMIT. From there the relay tells it on under "federation", like what headquarters tells.
- `routing` has the desk offer what headquarters does not know of: requests that it has not acknowledged, once it has
  been out of reach for some seconds.

Peers also bring each other the list of void certificates (`membership.revocations`), so a unit that was revoked is
refused by peers that headquarters could not tell.

Everything goes up to headquarters as well, as soon as it can be reached, in the ordinary streams. Headquarters adopts
what the units did (`hanse_federation.headquarters.engagements`) and passes it on as usual. So a unit may hear of a fact
twice, over two ways; the inbox applies it once, by its id, and on each way facts are in order.

What fails how: a peer that can't be reached is not asked, and the stream to it waits. A stream that contradicts its
copy goes into quarantine at both ends until a person has decided (`healing`), and headquarters' way carries on. Where
all lines are down the unit works on alone, as ever. How each line is doing is kept where `hanse link` finds it.
"""

import asyncio
from dataclasses import dataclass

from hanse.runtime import Runtime
from hanse_federation.link.status import forget_other_peers
from hanse_federation.peers.line import PeerLine
from hanse_federation.peers.outbox import Outbox
from hanse_federation.peers.routing import PeerRouting
from hanse_federation.peers.server import PeerServer

__all__ = ["PeerServer", "Peering"]


@dataclass(frozen=True, slots=True)
class PeerTiming:
    """The times of the lines to peers, in seconds."""

    probe_seconds: float = 2.0
    """Between two questions to a peer that there is nothing to send to: this is also how its loss shows."""
    call_seconds: float = 5.0
    """For one call, before the peer is out of reach."""
    retry_seconds: float = 3.0
    """Before a peer that is out of reach is tried again."""
    look_seconds: float = 2.0
    """Between two looks for engagements that wait."""
    patience_seconds: float = 5.0
    """How long headquarters is out of reach before peers are asked: a line that is dialled again at once is no loss."""


class Peering:
    """What a unit in the mode `peer` does beside its agent."""

    def __init__(self, runtime: Runtime, *, timing: PeerTiming | None = None) -> None:
        timing = timing or PeerTiming()
        self._database = runtime.database
        self._outbox = Outbox(runtime)
        self.lines = [
            PeerLine(
                runtime,
                peer,
                probe_seconds=timing.probe_seconds,
                call_seconds=timing.call_seconds,
                retry_seconds=timing.retry_seconds,
            )
            for peer in sorted(runtime.settings.peers)
        ]
        self._routing = PeerRouting(
            runtime,
            lambda: [line.peer for line in self.lines if line.reachable],
            look_seconds=timing.look_seconds,
            patience_seconds=timing.patience_seconds,
        )

    async def run(self) -> None:
        """Run until cancelled."""
        await self._database.write(forget_other_peers, [line.peer for line in self.lines])
        async with asyncio.TaskGroup() as group:
            group.create_task(self._outbox.run(), name="outbox to the peers")
            group.create_task(self._routing.run(), name="routing to the peers")
            for line in self.lines:
                group.create_task(line.run(), name=f"line to {line.peer}")
