"""What waits for an agent is given out when a shift begins, without Temporal."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from hanse.errors import Unavailable
from hanse_workflows.shifts import INTERVAL_SECONDS, Shifts
from tests.workflows.fake_teams import FakeTeams
from tests.workflows.fakes import channel_to, eventually
from tests.workflows.unit import in_seconds

UNIT = "units/shanghai"
TICKETS = [f"{UNIT}/tickets/t{number}" for number in range(5)]


@pytest.fixture
def teams() -> FakeTeams:
    return FakeTeams()


@asynccontextmanager
async def shifts_of(teams: FakeTeams, interval_seconds: float = INTERVAL_SECONDS) -> AsyncIterator[Shifts]:
    async with channel_to(teams) as channel:
        yield Shifts(UNIT, channel, interval_seconds=interval_seconds)


@asynccontextmanager
async def running(teams: FakeTeams, interval_seconds: float = INTERVAL_SECONDS) -> AsyncIterator[None]:
    async with shifts_of(teams, interval_seconds) as shifts:
        work = asyncio.create_task(shifts.run())
        yield
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


async def test_what_waits_is_given_out_when_the_shift_begins_and_not_before(teams: FakeTeams) -> None:
    teams.waiting, teams.shift_time = list(TICKETS), in_seconds(1)
    async with running(teams):
        await eventually(lambda: not teams.waiting)
    assert [done.what for done in teams.given] == TICKETS
    assert all(done.lateness >= timedelta() for done in teams.given)
    # Asked at the start, when the shift began, and after each page: nobody asks again and again meanwhile.
    assert teams.questions <= 2 + len(TICKETS)


async def test_what_waited_while_nobody_asked_is_given_out_at_once(teams: FakeTeams) -> None:
    teams.waiting, teams.shift_time = list(TICKETS), in_seconds(-3600)
    async with shifts_of(teams) as shifts:
        assert await shifts.give_out() == INTERVAL_SECONDS
    assert [done.what for done in teams.given] == TICKETS


async def test_where_no_shift_begins_it_is_asked_once_in_an_interval(teams: FakeTeams) -> None:
    teams.waiting = list(TICKETS)
    async with shifts_of(teams) as shifts:
        assert await shifts.give_out() == INTERVAL_SECONDS
    assert (teams.questions, teams.given) == (1, [])


async def test_what_came_just_before_a_shift_is_given_out_after_an_interval(teams: FakeTeams) -> None:
    teams.shift_time = in_seconds(-1)
    async with running(teams, interval_seconds=0.1):
        await eventually(lambda: teams.questions > 1)
        teams.waiting = TICKETS[:1]
        await eventually(lambda: teams.given)


async def test_a_desk_that_is_away_is_asked_again(teams: FakeTeams) -> None:
    teams.waiting, teams.shift_time = TICKETS[:1], in_seconds(-1)
    teams.failures.append(Unavailable("restarting"))
    async with running(teams):
        await eventually(lambda: teams.given)
