"""Incidents are put together into requests that a desk takes: not too many of them, and not too large."""

from __future__ import annotations

from datetime import UTC, datetime

from hanse.cli.incident_log import Change
from hanse.cli.replay import BATCH_CHANGES, BATCH_TICKETS, batches
from hanse_protos.ticket.v1 import ticket_pb2 as pb

CHANGE = Change("1-1", datetime(2026, 3, 2, tzinfo=UTC), pb.NEW, "", "A2", 1, pb.P3, "screen", "li")


def sizes(*changes: int) -> list[int]:
    return [len(batch) for batch in batches([CHANGE] * count for count in changes)]


def test_many_small_incidents_are_cut_by_their_number() -> None:
    assert sizes(*[1] * (BATCH_TICKETS + 1)) == [BATCH_TICKETS, 1]


def test_large_incidents_are_cut_by_their_changes() -> None:
    assert sizes(BATCH_CHANGES // 2, BATCH_CHANGES // 2, 1) == [2, 1]


def test_an_incident_beyond_the_bound_goes_alone() -> None:
    assert sizes(1, BATCH_CHANGES + 1, 1) == [1, 1, 1]


def test_without_incidents_there_is_no_request() -> None:
    assert sizes() == []
