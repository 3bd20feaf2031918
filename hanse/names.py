"""Resource names and ids (AIP-122): where a name is taken apart, and where ids come from."""

import secrets
import time
from dataclasses import dataclass

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_ID_EPOCH_SECONDS = 1_704_067_200  # 2024-01-01T00:00:00Z
_TIME_DIGITS = 6  # 30 bits of seconds: until 2058.
_RANDOM_DIGITS = 6  # 30 random bits within one second.

HEADQUARTERS = "units/hq"
ANY_UNIT = "units/-"
"""The parent of a list that is asked for across units (AIP-159)."""
ANY_TICKET = f"{ANY_UNIT}/tickets/-"
PARTNERS = "partners/"
"""What the name of every partner begins with, "partners/acme"."""


def _digits(number: int, count: int) -> str:
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(5 * (count - 1), -1, -5))


def new_id() -> str:
    """Return a new resource id such as "3k9m2x-4t7qzd": short, lowercase, sorted by the second it was made in.

    Two ids made in one second collide with a probability of 1 in 10^9; the primary key refuses the second one, and
    its command is tried again.
    """
    seconds = int(time.time()) - _ID_EPOCH_SECONDS
    return f"{_digits(seconds, _TIME_DIGITS)}-{_digits(secrets.randbits(30), _RANDOM_DIGITS)}"


@dataclass(frozen=True, slots=True)
class TicketName:
    """`units/{unit}/tickets/{ticket}`."""

    unit: str
    id: str

    @classmethod
    def parse(cls, name: str) -> "TicketName":
        """Take a validated ticket name, or the name of something inside a ticket, apart."""
        parts = name.split("/")
        return cls(unit="/".join(parts[:2]), id=parts[3])

    def __str__(self) -> str:
        return f"{self.unit}/tickets/{self.id}"


OWN_POLICIES = -1_000_000_000
"""The versions that an independent unit publishes for itself count up from here. So they are all below the group's
first version, which supersedes them on the day on which the unit joins, and no number ever means two policies."""


def policy_name(version: int) -> str:
    """Return the name of a version of the policy: "policies/3", or "policies/own-3" for a unit's own third."""
    return f"policies/{version}" if version > 0 else f"policies/own-{version - OWN_POLICIES}"


def override_name(unit: str, version: int) -> str:
    """Return the name of a version of what a unit tunes for itself: "units/shanghai/policyOverrides/2"."""
    return f"{unit}/policyOverrides/{version}"


def policy_version(name: str) -> int:
    """Return the version from a validated name of a policy."""
    number = name.removeprefix("policies/")
    return OWN_POLICIES + int(number.removeprefix("own-")) if number.startswith("own-") else int(number)


def home_of(name: str) -> str:
    """Return the unit that a resource belongs to, "units/shanghai", from the resource's name."""
    return "/".join(name.split("/", 2)[:2])


def ticket_of(engagement: str) -> str:
    """Return the ticket's name from the name of one of its engagements."""
    return engagement.rsplit("/engagements/", 1)[0]


def ticket_in(resource: str) -> str:
    """Return the ticket that a resource is, or is inside of; empty for a resource that is neither."""
    parts = resource.split("/", 4)
    return "/".join(parts[:4]) if len(parts) >= 4 and parts[2] == "tickets" else ""


def short_unit(unit: str) -> str:
    """Return "shanghai" for "units/shanghai"."""
    return unit.removeprefix("units/")


def stream_name(unit: str, service: str) -> str:
    """Return the name of a service's stream in a unit, "units/shanghai/streams/ticket"."""
    return f"{unit}/streams/{service}"


def stream_to(writer: str, reader: str) -> str:
    """Return the name of the stream that one unit writes for another, "units/shanghai/streams/to-munich"."""
    return stream_name(writer, f"to-{short_unit(reader)}")


def downstream_name(unit: str) -> str:
    """Return the name of headquarters' stream to a unit, "units/hq/streams/to-munich"."""
    return stream_to(HEADQUARTERS, unit)
