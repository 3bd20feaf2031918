"""The main job, from end to end, on a real group: headquarters and two subsidiaries, real servers and processes."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from hanse.cli.group import DEMO_UNITS, policies
from hanse.cli.schemas import migrate_all
from hanse.cli.stage import HQ, MUNICH, SHANGHAI, StoryResult
from hanse.cli.story import Story
from hanse.local.group import Group
from hanse_protos.federation.v1 import group_pb2
from hanse_protos.ticket.v1 import complaint_pb2
from hanse_protos.ticket.v1 import ticket_pb2 as pb

STEPS = [
    ("shanghai", "TicketOpened"),
    ("shanghai", "TicketAssigned"),
    ("shanghai", "TicketCommented"),
    ("shanghai", "TicketPaused"),
    ("shanghai", "TicketCommented"),
    ("shanghai", "TicketResumed"),
    ("shanghai", "TicketEscalated"),
    ("shanghai", "SlaWarned"),
    ("shanghai", "EngagementRequested"),
    ("hq", "EngagementOffered"),
    ("munich", "EngagementDeclined"),
    ("hq", "EngagementOffered"),
    ("hq", "EngagementOfferExpired"),
    ("hq", "EngagementOffered"),
    ("munich", "EngagementAccepted"),
    ("shanghai", "TicketHandedOver"),
    ("munich", "EngagementWorkNoted"),
    ("munich", "EngagementWorkNoted"),
    ("munich", "EngagementDelivered"),
    ("shanghai", "TicketHandedOver"),
    ("shanghai", "EngagementConfirmed"),
    ("shanghai", "TicketCommented"),
    ("shanghai", "TicketResolved"),
    ("shanghai", "TicketClosed"),
]
"""Every step of the story's ticket, in order, with the unit in which it happened."""


SLOWER = {
    "response: 20s\n    resolution: 60s": "response: 3m\n    resolution: 3m",
    "warn_percents: [25]": "warn_percents: [9]",
    "at_percent: 20\n    action: CLIMB": "at_percent: 7\n    action: CLIMB",
    "at_percent: 30\n    action: REQUEST": "at_percent: 10\n    action: REQUEST",
    "offer_timeout: 6s": "offer_timeout: 15s",
}
"""A person watches seconds, which may be short on a busy machine. The ticket climbs after 12.6 s, warns after 16.2 s
and asks for an engagement after 18 s, much as in the demo; offers and promises last longer."""


class Silence:
    """A narrator for nobody: the story checks itself as it goes."""

    def chapter(self, number: int, title: str) -> None:
        """Say nothing."""

    def say(self, text: str) -> None:
        """Say nothing."""

    @contextlib.contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Show nothing."""
        yield


@pytest.fixture(scope="module")
async def result(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[StoryResult]:
    """What came of the story."""
    folder = tmp_path_factory.mktemp("group")
    async with Group(folder, DEMO_UNITS, migrate_all, lambda _text: None) as group:
        yield await Story(group, unhurried(policies() / "demo.yaml", folder), Silence()).tell()


def unhurried(policy: Path, folder: Path) -> Path:
    """Return a copy of the demo's policy with the steps where they were, and more time for what has to be in time."""
    text = policy.read_text()
    for old, new in SLOWER.items():
        assert text.count(old) == 1, f"{policy.name} says {old!r} {text.count(old)} times"
        text = text.replace(old, new)
    copy = folder / policy.name
    copy.write_text(text)
    return copy


async def test_timeline_shows_every_step_in_every_unit_in_order(result: StoryResult) -> None:
    assert [(entry.unit.removeprefix("units/"), entry.type) for entry in result.timeline] == STEPS


async def test_every_step_says_who_did_it_under_which_policy(result: StoryResult) -> None:
    assert all(entry.actor and entry.policy_version == 1 for entry in result.timeline)


async def test_ticket_keeps_its_name_in_every_unit(result: StoryResult) -> None:
    assert result.ticket.startswith(f"{SHANGHAI}/tickets/")
    assert {entry.resource.split("/engagements/")[0] for entry in result.timeline} == {result.ticket}


async def test_one_trace_follows_the_ticket_through_temporal_and_the_link(result: StoryResult) -> None:
    by_type = {entry.type: entry.trace_context.split("-")[1] for entry in reversed(result.timeline)}
    assert by_type["EngagementRequested"] == by_type["TicketOpened"]
    assert by_type["EngagementOffered"] == by_type["TicketOpened"]


async def test_customers_clock_is_the_sum_of_segments_on_both_units_calendars(result: StoryResult) -> None:
    resolution = next(clock for clock in result.final_ticket.clocks if clock.kind == pb.Clock.RESOLUTION)
    parts = [segment.used_duration.ToTimedelta() for segment in resolution.segments]
    assert sum(parts[1:], parts[0]) == resolution.used_duration.ToTimedelta()
    assert [(segment.unit, segment.calendar) for segment in resolution.segments if segment.unit == MUNICH] == [
        (MUNICH, "munich-always")
    ]
    assert [segment.running for segment in resolution.segments] == [True, False, True, True, True]
    assert resolution.state == pb.Clock.MET


async def test_text_of_the_provider_crosses_the_border(result: StoryResult) -> None:
    notes = [entry.text for entry in result.timeline if entry.type == "EngagementWorkNoted"]
    assert notes == ["Netzteil gemessen: 11,2 V statt 12 V.", "Firmware 3.9, bekannter Fehler im Regler."]


async def test_the_complaint_was_upheld_by_the_manager_and_closed_in_time(result: StoryResult) -> None:
    summary = result.complaint.summary
    assert (summary.state, summary.outcome) == (complaint_pb2.COMPLAINT_CLOSED, complaint_pb2.UPHELD)
    assert (summary.stage, summary.handler) == (1, f"{SHANGHAI}/agents/chen")
    assert {clock.state for clock in summary.clocks} == {pb.Clock.MET}


async def test_charge_is_posted_in_both_ledgers_under_one_id_and_matches(result: StoryResult) -> None:
    home, provider = result.statements
    assert (home.lines[0].payable.units, provider.lines[0].receivable.units) == (120, 120)
    assert home.balanced
    assert provider.balanced
    assert result.match.state == group_pb2.MATCHED
    assert (result.match.home, result.match.provider) == (SHANGHAI, MUNICH)


async def test_all_is_green_and_every_hash_chain_verifies_at_both_ends(result: StoryResult) -> None:
    assert {health.unit for health in result.health} == {HQ, SHANGHAI, MUNICH}
    assert all(health.green and health.verified_records for health in result.health)
