"""Facts that another unit than the one that may tell them has told: they are kept, counted, and no more.

A unit's log is copied as it is, so whatever a unit writes is stored here, chain and all. What comes into views, takes
effect on engagements or goes on to others is only what its writer may tell (`hanse.authority`). The rest is left out
here, before all of that, and raises an alarm: FACT_FOREIGN, with the unit and its last such fact.

The link is not refused. The record is in the unit's log for ever, so it would come again with every new link, and the
unit's true facts, for which its customers and other units wait, would never come. That would harm everybody but the one
who lies.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

import structlog
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.orm import Session

from hanse.authority import may_tell
from hanse.log.events import short_type
from hanse_federation.link.receiving import Arrival
from hanse_federation.model import ForeignFacts

logger = structlog.get_logger(__name__)


class Told(NamedTuple):
    """What arrived, by whether its writer may tell it, each in order."""

    facts: list[Arrival]
    foreign: list[Arrival]


def told_by_the_right(arrived: Iterable[Arrival]) -> Told:
    """Part what arrived into facts, and what is another unit's to tell."""
    told = Told([], [])
    for arrival in arrived:
        (told.facts if may_tell(arrival.event, arrival.payload) else told.foreign).append(arrival)
    return told


def note_foreign(session: Session, foreign: Sequence[Arrival], now: datetime) -> None:
    """Count what units told that is another's to tell, keep the last of each unit, and warn once of each unit."""
    by_unit: dict[str, list[Arrival]] = {}
    for arrival in foreign:
        by_unit.setdefault(arrival.event.unit, []).append(arrival)
    # In one order everywhere, so that two transactions never wait for each other.
    for unit, arrivals in sorted(by_unit.items()):
        last = arrivals[-1].event
        values = {
            "event_id": UUID(last.event_id),
            "resource": last.resource,
            "type": short_type(last.type),
            "last_time": now,
        }
        statement = upsert(ForeignFacts).values(unit=unit, count=len(arrivals), first_time=now, **values)
        statement = statement.on_conflict_do_update(
            index_elements=[ForeignFacts.unit], set_={"count": ForeignFacts.count + len(arrivals), **values}
        )
        session.execute(statement)
        logger.warning(
            "a unit told what is another's to tell",
            unit=unit,
            count=len(arrivals),
            event_id=last.event_id,
            resource=last.resource,
            type=values["type"],
        )
