"""Versions that wait for their time, and what becomes of them when another one comes into force before.

The greatest version whose time has come is in force. So a version that comes into force before one that waits takes its
place for good: what was decided, reviewed and announced would never hold, and nobody would hear of it. Whoever means
that says so.
"""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hanse.errors import PolicyVersionWaits
from hanse.times import instant
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import Policy
from hanse_services.policy.model import PublishedPolicy


def check_supersedes_none(work: Work, effective_time: datetime | None) -> None:
    """Raise PolicyVersionWaits where the next version, in force from an instant on, would supersede one that waits."""
    superseded = [
        policy
        for policy in _list_waiting(work.session, work.now)
        if (effective_time or work.now) <= instant(policy.effective_time)
    ]
    if superseded:
        names, first = ", ".join(policy.name for policy in superseded), instant(superseded[0].effective_time)
        raise PolicyVersionWaits(
            f"{names} would never be in force: published, and waiting until {first:%Y-%m-%d %H:%M:%S} UTC",
            policies=names,
            effective_time=first.isoformat(),
        )


def _list_waiting(session: Session, now: datetime) -> list[Policy]:
    """Return the published versions that will be in force some day, the next one first."""
    waiting: list[Policy] = []
    for content in session.scalars(select(PublishedPolicy.policy).order_by(PublishedPolicy.version.desc())):
        policy = Policy.FromString(content)
        if not policy.HasField("effective_time") or instant(policy.effective_time) <= now:
            break
        if not waiting or instant(policy.effective_time) < instant(waiting[0].effective_time):
            waiting.insert(0, policy)
    return waiting
