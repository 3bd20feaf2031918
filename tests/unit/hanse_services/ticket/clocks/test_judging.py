"""What a policy makes of a history: its clocks are played with everything that is due on them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hanse.policy import CategoryUnknown, Standards, load_yaml
from hanse.policy.histories import Change, Happening, TicketHistory
from hanse.policy.what_if import Regime, Verdict
from hanse_protos.ticket.v1 import ticket_pb2 as pb
from hanse_services.ticket.clocks.judging import judge

MONDAY = datetime(2026, 3, 2, 8, tzinfo=UTC)
NOW = MONDAY + timedelta(days=30)
HOUR = timedelta(hours=1)
SHANGHAI, MUNICH = "units/shanghai", "units/munich"
AGENT, WORKER = f"{SHANGHAI}/agents/li", "sla"

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
targets: [{id: p1, when: ticket.priority == "P1", response: 1h, resolution: 10h, FURTHER}]
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


def policy(further: str = "", rest: str = "", text: str = POLICY) -> Standards:
    return Standards(1, load_yaml(text.replace(", FURTHER", f", {further}" if further else "") + rest))


standards = policy()


def happened(what: Happening, hours: float, actor: str = AGENT, **fields: Any) -> Change:
    return Change(what, MONDAY + HOUR * hours, f"{what}-{hours}", actor, **fields)


def history(*changes: Change, priority: pb.Priority.ValueType = pb.P1, category: str = "display") -> TicketHistory:
    opened = pb.TicketSummary(
        name=f"{SHANGHAI}/tickets/a", holder=SHANGHAI, priority=priority, category=category, tier=1, language="en"
    )
    return TicketHistory(opened, happened(Happening.OPENED, 0), policy_version=1, noted=list(changes))


def judged(*changes: Change, under: Standards = standards) -> Verdict:
    return judge(Regime(under, under), history(*changes), NOW)


def solved_after(hours: float) -> Change:
    return happened(Happening.RESOLVED, hours)


def test_deadlines_lie_on_the_holder_s_calendar() -> None:
    verdict = judged()
    assert (verdict.response_due, verdict.resolution_due) == (MONDAY + HOUR, MONDAY + timedelta(days=1) + 2 * HOUR)


def test_a_ticket_that_was_never_answered_or_solved_breaches_both() -> None:
    assert (judged().response_breached, judged().resolution_breached) == (True, True)


def test_a_solution_in_time_breaches_nothing_but_the_answer_that_was_missing() -> None:
    verdict = judged(solved_after(2))
    assert (verdict.response_breached, verdict.resolution_breached) == (True, False)


def test_an_answer_in_time_is_one() -> None:
    assert not judged(happened(Happening.ANSWERED, 0.5), solved_after(2)).response_breached


def test_time_that_a_ticket_waits_does_not_count() -> None:
    waits = happened(Happening.PAUSED, 1, waiting_for="customer"), happened(Happening.RESUMED, 6)
    assert judged(*waits, solved_after(7)).tier == 1


def test_while_a_condition_says_so_a_clock_runs_on_although_the_ticket_waits() -> None:
    waits = happened(Happening.PAUSED, 1, waiting_for="vendor"), happened(Happening.RESUMED, 6)
    under = policy("clocks: {resolution: {pause: 'current.waiting_for == \"customer\"'}}")
    assert judged(*waits, solved_after(7), under=under).tier == 3


def test_a_clock_starts_when_its_condition_first_holds() -> None:
    taken = happened(Happening.TAKEN, 5, assignee=AGENT)
    assert (
        judged(taken, under=policy("clocks: {response: {start: current.assigned}}")).response_due == MONDAY + 6 * HOUR
    )


@pytest.mark.parametrize(("hours", "tier", "provider"), [(3, 1, ""), (5, 2, ""), (7, 3, ""), (26, 3, MUNICH)])
def test_the_rungs_that_come_before_the_solution_are_climbed(hours: float, tier: int, provider: str) -> None:
    verdict = judged(solved_after(hours))
    assert (verdict.tier, verdict.climbs, verdict.provider) == (tier, tier - 1, provider)


def test_what_the_ladder_did_is_played_anew_and_what_people_did_stays() -> None:
    by_ladder, by_person = (happened(Happening.CLIMBED, 1, actor, tier=2) for actor in (WORKER, AGENT))
    verdicts = [judged(climbed, solved_after(3)) for climbed in (by_ladder, by_person)]
    assert [(verdict.tier, verdict.climbs) for verdict in verdicts] == [(1, 0), (2, 0)]


def test_while_people_have_an_engagement_that_is_not_over_the_ladder_asks_for_none() -> None:
    asked = [happened(Happening.ENGAGED, 1), happened(Happening.DISENGAGED, 2)]
    by_ladder = happened(Happening.ENGAGED, 1, WORKER)
    found = [judged(*changes).provider for changes in (asked[:1], asked, [by_ladder])]
    assert found == ["", MUNICH, MUNICH]


def test_a_ticket_that_the_ladder_lifts_is_worked_on_from_then_on() -> None:
    new = policy('clocks: {resolution: {cancel: \'current.state == "NEW" && current.holder == "units/munich"\'}}')
    handed_over = [happened(Happening.HANDED_OVER, hours, unit=MUNICH) for hours in (3, 5)]
    assert [judged(change, under=new).resolution_breached for change in handed_over] == [False, True]


def test_what_is_reached_while_another_unit_holds_the_ticket_is_not_climbed() -> None:
    assert judged(happened(Happening.HANDED_OVER, 1, unit=MUNICH)).tier == 1


BACK_AGAIN = [happened(Happening.HANDED_OVER, hours, unit=unit) for hours, unit in ((1, MUNICH), (2, SHANGHAI))]
"""Munich had the ticket and gave it back: it has returned once."""


def test_a_ticket_that_comes_back_is_seen_to_have_returned() -> None:
    under = policy("clocks: {resolution: {cancel: ticket.returns > 0}}")
    assert [judged(*BACK_AGAIN[:number], under=under).resolution_breached for number in (1, 2)] == [True, False]


def test_the_hierarchy_tells_each_level_once_and_only_before_the_solution() -> None:
    steps = [(50, "DESK_LEAD"), (60, "DESK_LEAD"), (100, "UNIT_MANAGER"), (300, "HEADQUARTERS")]
    under = policy(rest=f"hierarchy: [{', '.join(f'{{at_percent: {at}, level: {level}}}' for at, level in steps)}]")
    assert judged(solved_after(4), under=under).levels == ()
    assert judged(solved_after(50), under=under).levels == ("DESK_LEAD", "UNIT_MANAGER")


def test_replies_updates_and_agreements_that_came_late_are_counted() -> None:
    under = policy("next_reply: 1h, periodic_update: 2h", "agreements: [{id: tier-1, kind: TIER, duration: 3h}]")
    answers = [happened(Happening.ANSWERED, hours) for hours in (0.5, 4, 5)]
    verdict = judged(*answers, happened(Happening.ASKED, 2), solved_after(6), under=under)
    assert (verdict.late_replies, verdict.late_updates, verdict.late_agreements) == (1, 1, 1)


def test_a_ticket_that_no_target_is_for_has_no_deadline() -> None:
    assert judge(Regime(standards, standards), history(priority=pb.P4), NOW) == Verdict(tier=1)


def test_where_nobody_is_eligible_the_final_owner_is_asked() -> None:
    alone = policy(text=POLICY.replace("skills: [display-repair]}", "skills: []}"))
    verdict = judged(under=alone)
    assert (verdict.asked, verdict.provider, verdict.final) == (("units/hq",), "units/hq", True)


def test_a_shared_desk_that_takes_the_ticket_is_asked_before_single_units() -> None:
    everybody = POLICY.replace("skills: []", "skills: [display-repair]")
    under = policy(rest="desks: [{id: displays, units: [units/hq, units/shanghai, units/munich]}]", text=everybody)
    verdict = judged(under=under)
    assert (verdict.desk, verdict.asked, verdict.provider) == ("displays", ("units/hq", MUNICH), "")


@pytest.mark.parametrize(
    ("limit", "asked", "final"),
    [
        ("{returns: 2}", MUNICH, False),
        ("{returns: 1}", "units/hq", True),
        ("{returns: 2, skip_former_holders: true}", "units/hq", True),
    ],
)
def test_of_a_ticket_that_has_come_back_whoever_the_limit_leaves_is_asked(limit: str, asked: str, final: bool) -> None:
    verdict = judged(*BACK_AGAIN, under=policy(rest=f"return_limit: {limit}"))
    assert (verdict.provider, verdict.final) == (asked, final)


def test_routing_knows_what_units_say_of_themselves_and_who_has_left_the_group() -> None:
    unskilled = policy(text=POLICY.replace("skills: [display-repair]}", "skills: []}"))
    without_munich = Regime(standards, unskilled), Regime(standards, standards, frozenset({MUNICH}))
    assert [judge(regime, history(), NOW).provider for regime in without_munich] == ["units/hq", "units/hq"]


def test_a_ticket_of_a_category_that_the_policy_lacks_is_refused() -> None:
    with pytest.raises(CategoryUnknown):
        judge(Regime(standards, standards), history(category="weather"), NOW)
