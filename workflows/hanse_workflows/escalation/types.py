"""What goes into and comes out of the `escalation` process and its activities."""

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class EscalationInput:
    """For which engagement to find a provider."""

    engagement: str
    """The engagement's name, "units/shanghai/tickets/3k9m2x-4t7qzd/engagements/e1"."""
    offers: int = 0
    """The number of the last offer that earlier runs of the same process have seen."""
    expired: int = 0
    """How many offers earlier runs have had expired."""


@dataclass(frozen=True)
class EscalationOutcome:
    """How the process ended: the engagement needs no more offers."""

    engagement: str
    offers: int
    """The number of the last offer."""
    expired: int
    """How many offers nobody answered in time."""


@dataclass(frozen=True)
class OfferInput:
    """Which engagement to offer."""

    engagement: str


@dataclass(frozen=True)
class StandingOffer:
    """An offer that waits for an answer."""

    number: int
    provider: str
    expire_time: datetime | None
    """Until when it stands; none for the final owner, who is waited for."""
    final: bool = False


@dataclass(frozen=True)
class OfferAnswer:
    """What the routing answers."""

    settled: bool
    """Whether the engagement needs no more offers."""
    offer: StandingOffer | None = None
    """The offer that stands now, unless settled."""


@dataclass(frozen=True)
class ExpireInput:
    """Which offer's time is up."""

    engagement: str
    offer: int


@dataclass(frozen=True)
class ExpireAnswer:
    """What became of the offer: an answer may have come first."""

    expired: bool


@dataclass(frozen=True)
class EscalationState:
    """Where the process is, for people: the answer to the query `state`."""

    engagement: str
    offer: StandingOffer | None
    """The offer that is waited for; none before the first, and at the end."""
    expired: int
