"""What the federation does about what others tell it: its reactions, and whoever retries one, do the same."""

from hanse.log.events import Fact
from hanse.telling.inbox import Effect
from hanse.work import Work
from hanse_federation.erasing import ticket_erased
from hanse_federation.membership.revocations import certificates_revoked
from hanse_protos.federation.v1.membership_pb2 import UnitCertificatesRevoked
from hanse_protos.policy.v1.policy_pb2 import PolicyAcknowledged
from hanse_protos.ticket.v1.events_pb2 import TicketErased


def policy_acknowledged(work: Work, fact: Fact) -> None:
    """Put the policy version in force that this unit has acknowledged: it says what may leave the unit."""
    work.policies.enact(work.session, fact.payload.policy)  # type: ignore[attr-defined]


EFFECTS: dict[type, Effect] = {
    PolicyAcknowledged: policy_acknowledged,
    TicketErased: ticket_erased,
    UnitCertificatesRevoked: certificates_revoked,
}
"""Which fact has which effect."""
