"""What a policy makes of a history."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from hanse.policy import CategoryUnknown, Standards, load_yaml
from hanse.policy.what_if import History, Stretch, Verdict, judge

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOW = MONDAY + timedelta(days=30)
HOUR = timedelta(hours=1)

POLICY = """
title: A policy to judge by
categories: [{id: display, skill: display-repair}]
calendars:
  - {id: always, time_zone: UTC, shifts: [{days: MON-SUN, start: 00:00, end: 24:00}]}
  - {id: office, time_zone: UTC, shifts: [{days: MON-FRI, start: 08:00, end: 16:00}]}
units:
  - {unit: units/hq, calendar: always, languages: [en], skills: []}
  - {unit: units/munich, calendar: office, languages: [en], skills: [display-repair]}
  - {unit: units/shanghai, calendar: office, languages: [en], skills: []}
targets: [{id: p1, when: ticket.priority == "P1", response: 1h, resolution: 10h}]
ladder:
  - {at_percent: 40, action: CLIMB, when: ticket.tier == 1}
  - {at_percent: 60, action: CLIMB, when: ticket.tier == 2}
  - {at_percent: 80, action: REQUEST_ENGAGEMENT, when: ticket.tier == 3}
routing:
  eligible: ticket.skill in provider.skills
  score: 0 - load
  offer_timeout: 30m
  rounds: 1
  final_owner: units/hq
rates: [{id: standard, amount: 90.00 EUR}]
"""

standards = Standards(1, load_yaml(POLICY))
opened = History(
    ticket="units/shanghai/tickets/a",
    home="units/shanghai",
    priority="P1",
    category="display",
    language="en",
    product="",
    tier=1,
    stretches=(Stretch("units/shanghai", True, MONDAY, None),),
)


def solved_after(hours: float) -> History:
    end = MONDAY + HOUR * hours
    return replace(opened, stretches=(Stretch("units/shanghai", True, MONDAY, end),), resolve_time=end)


def test_deadlines_lie_on_the_holder_s_calendar() -> None:
    verdict = judge(standards, opened, NOW)
    assert (verdict.response_due, verdict.resolution_due) == (MONDAY + HOUR, MONDAY + timedelta(days=1) + 2 * HOUR)


def test_a_ticket_that_was_never_answered_or_solved_breaches_both() -> None:
    verdict = judge(standards, opened, NOW)
    assert (verdict.response_breached, verdict.resolution_breached) == (True, True)


def test_a_solution_in_time_breaches_nothing_but_the_answer_that_was_missing() -> None:
    verdict = judge(standards, solved_after(2), NOW)
    assert (verdict.response_breached, verdict.resolution_breached) == (True, False)


def test_an_answer_in_time_is_one() -> None:
    answered = replace(solved_after(2), response_time=MONDAY + HOUR / 2)
    assert not judge(standards, answered, NOW).response_breached


def test_time_that_a_ticket_waits_does_not_count() -> None:
    end = MONDAY + 7 * HOUR
    waited = Stretch("units/shanghai", False, MONDAY + HOUR, MONDAY + 6 * HOUR)
    stretches = (
        Stretch("units/shanghai", True, MONDAY, MONDAY + HOUR),
        waited,
        Stretch("units/shanghai", True, MONDAY + 6 * HOUR, end),
    )
    assert judge(standards, replace(opened, stretches=stretches, resolve_time=end), NOW).tier == 1


@pytest.mark.parametrize(("hours", "tier", "provider"), [(3, 1, ""), (5, 2, ""), (7, 3, ""), (26, 3, "units/munich")])
def test_the_rungs_that_come_before_the_solution_are_climbed(hours: float, tier: int, provider: str) -> None:
    verdict = judge(standards, solved_after(hours), NOW)
    assert (verdict.tier, verdict.provider) == (tier, provider)


def test_what_is_reached_while_another_unit_holds_the_ticket_is_not_climbed() -> None:
    given = MONDAY + HOUR
    stretches = (
        Stretch("units/shanghai", True, MONDAY, given),
        Stretch("units/munich", True, given, None),
    )
    assert judge(standards, replace(opened, stretches=stretches), NOW).tier == 1


def test_a_ticket_that_no_target_is_for_has_no_deadline() -> None:
    assert judge(standards, replace(opened, priority="P4"), NOW) == Verdict(tier=1)


def test_where_nobody_is_eligible_the_final_owner_is_asked() -> None:
    alone = Standards(2, load_yaml(POLICY.replace("skills: [display-repair]}", "skills: []}")))
    assert judge(alone, opened, NOW).provider == "units/hq"


def test_a_ticket_of_a_category_that_the_policy_lacks_is_refused() -> None:
    with pytest.raises(CategoryUnknown):
        judge(standards, replace(opened, category="weather"), NOW)
