"""What the states of an engagement mean, to its home unit, to its provider and to headquarters alike.

Each of them keeps its own row of an engagement, with transitions of its own. Which states count as looking for a
provider, being worked on or over is the same everywhere.
"""

from hanse_protos.ticket.v1 import ticket_pb2 as pb

SEEKING = frozenset({pb.REQUESTED, pb.OFFERED, pb.DECLINED, pb.EXPIRED})
"""It looks for a provider."""
WORKED_ON = frozenset({pb.ACCEPTED, pb.DELIVERED})
"""A provider has it."""
BUSY = frozenset({pb.OFFERED, pb.ACCEPTED})
"""It counts for the load of the provider that was asked or works on it; what is delivered takes no work any more."""
OVER = frozenset({pb.CONFIRMED, pb.WITHDRAWN})
"""It has ended, well or not."""
