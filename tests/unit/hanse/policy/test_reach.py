"""What is hardly meant is warned of with its place, and what may be meant is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from hanse.policy import lint, load_yaml
from hanse.policy.reach import warnings

POLICY = """
title: A policy to look through
categories: [{id: display, skill: display-repair}, {id: network, skill: network-engineering}]
calendars: [{id: office, time_zone: UTC, shifts: [{days: MON-FRI, start: 08:00, end: 16:00}]}]
units:
  - {unit: units/hq, calendar: office, languages: [en], skills: [display-repair, network-engineering]}
  - {unit: units/munich, calendar: office, languages: [en], skills: [display-repair]}
targets:
  - {id: p1, when: ticket.priority == "P1", response: 1h, resolution: 4h}
  - {id: every, response: 2h, resolution: 8h}
routing: {eligible: ELIGIBLE, score: 0 - load, offer_timeout: 30m, rounds: 1, final_owner: units/hq}
rates: [{id: standard, amount: 90.00 EUR}]
"""
SKILLED = "ticket.skill in provider.skills"


def found(extra: str = "", eligible: str = SKILLED, targets: str = "") -> list[tuple[str, str]]:
    document = load_yaml(
        POLICY.replace("  - {id: every", f"{targets}\n  - {{id: every").replace("ELIGIBLE", eligible) + extra
    )
    assert lint(document) == []
    return [(warning.path, warning.message) for warning in warnings(document)]


def test_nothing_is_said_of_what_is_meant() -> None:
    assert found() == []


@pytest.mark.parametrize("name", ["group", "demo"])
def test_nothing_is_said_of_the_policies_that_come_with_hanse(name: str) -> None:
    assert warnings(load_yaml((Path(__file__).parents[4] / "policies" / f"{name}.yaml").read_text())) == []


@pytest.mark.parametrize(
    "when",
    [
        'ticket.priority == "P5"',
        'ticket.priority == "P1" && ticket.category == "display"',
        'ticket.customer_class == "vip"',
        'ticket.home == "units/oslo"',
        'ticket.category == "display" && ticket.skill == "network-engineering"',
    ],
)
def test_a_target_that_no_ticket_has_is_named(when: str) -> None:
    [(path, message)] = found(targets=f"  - {{id: never, when: '{when}', response: 1h, resolution: 4h}}")
    assert (path, "no ticket ever has" in message) == ("targets[1].when", True)


def test_of_what_has_no_end_of_values_nothing_is_said_nor_of_what_comes_after_it() -> None:
    endless = "  - {id: x, when: '!ticket.product.startsWith(\"X\")', response: 1h, resolution: 4h}"
    assert found(targets=endless) == []


@pytest.mark.parametrize(
    ("extra", "path", "message"),
    [
        ("ladder: [{at_percent: 50, action: CLIMB, when: ticket.tier == 4}]", "ladder[0].when", "no ticket ever"),
        ("hierarchy: [{at_percent: 90, level: DESK_LEAD, kind: NEXT_REPLY}]", "hierarchy[0].kind", "starts a clock"),
        ("hierarchy: [{at_percent: 90, level: DESK_LEAD, when: ticket.tier > 3}]", "hierarchy[0].when", "no ticket"),
        (
            "hierarchy: [{at_percent: 50, level: HEADQUARTERS}, {at_percent: 90, level: DESK_LEAD}]",
            "hierarchy[0].at_percent",
            "before DESK_LEAD (hierarchy[1])",
        ),
        ("agreements: [{id: tier, kind: TIER, duration: 5h}]", "agreements[0].duration", "than the 4h in which 'p1'"),
    ],
)
def test_what_is_hardly_meant_is_named_with_its_place(extra: str, path: str, message: str) -> None:
    [(place, said)] = found(extra)
    assert (place, message in said) == (path, True), said


@pytest.mark.parametrize(
    "extra",
    [
        "agreements: [{id: tier, kind: TIER, duration: 5h, clock: {time: ELAPSED}}]",
        "agreements: [{id: tier, kind: TIER, duration: 5h, when: current.assigned}]",
        "agreements: [{id: tier, kind: TIER, duration: 5h, when: ticket.priority != 'P1'}]",
        "agreements: [{id: acme, kind: SUPPLIER, supplier: acme, duration: 500h}]",
        "hierarchy: [{at_percent: 5, level: HEADQUARTERS, when: ticket.tier == 3}, {at_percent: 9, level: DESK_LEAD}]",
        "hierarchy: [{at_percent: 50, level: DESK_LEAD, when: ticket.returns > 3}]",
    ],
)  # fmt: skip
def test_what_can_not_be_compared_or_known_is_left_alone(extra: str) -> None:
    assert found(extra) == []


@pytest.mark.parametrize(
    ("eligible", "path"),
    [
        ("provider.capacity > 5", "routing.eligible"),
        ("provider.unit == 'units/munich'", "routing.final_owner"),
    ],
)
def test_who_can_never_be_asked_is_named(eligible: str, path: str) -> None:
    assert [place for place, _ in found(eligible=eligible)] == [path]


@pytest.mark.parametrize(
    ("takes", "places"), [("network", ["desks[0].units[1]"]), ("display", [])], ids=["without-the-skill", "with-it"]
)
def test_a_unit_of_a_shared_desk_that_can_never_be_asked_for_it_is_named(takes: str, places: list[str]) -> None:
    desk = f"desks: [{{id: both, units: [units/hq, units/munich], when: 'ticket.category == \"{takes}\"'}}]"
    assert [place for place, _ in found(desk)] == places


def test_a_rule_may_ask_for_who_works_now() -> None:
    assert found(eligible=f"{SKILLED} && open_now") == []


COMPLAINTS = """
complaints:
  - {id: urgent, when: WHEN, acknowledge_within: 1h, answer_within: 4h}
  - {id: every, acknowledge_within: 8h, answer_within: 40h}
"""
READ = """
sharing:
  - {events: [ComplaintEscalated], fields: [complaint], audience: HEADQUARTERS}
  - {events: [ComplaintDecided], fields: [text], audience: COUNTERPART}
"""


@pytest.mark.parametrize(
    ("when", "paths"), [('ticket.priority == "P1"', []), ('ticket.priority == "P5"', ["complaints[0].when"])]
)
def test_a_rule_for_complaints_about_no_ticket_is_named(when: str, paths: list[str]) -> None:
    assert [path for path, _ in found(COMPLAINTS.replace("WHEN", when) + READ)] == paths


def test_complaints_that_nobody_could_read_where_they_are_answered_are_named() -> None:
    said = found(COMPLAINTS.replace("WHEN", 'ticket.priority == "P1"'))
    assert [(path, message.split(":")[0]) for path, message in said] == [
        ("sharing", "headquarters can't read the complaints that come to it"),
        ("sharing", "units can't read what headquarters answers to complaints"),
    ]


@pytest.mark.parametrize(("cost", "paths"), [("", ["rates[0].service_cost"]), (", cost: 45.00 EUR", [])])
def test_a_rate_that_goes_by_services_none_of_which_costs_anything_is_named(cost: str, paths: list[str]) -> None:
    document = POLICY.replace("90.00 EUR", "90.00 EUR, service_cost: true").replace("ELIGIBLE", SKILLED)
    document += f"services: [{{id: displays, owner: units/hq, categories: [display]{cost}}}]"
    assert [warning.path for warning in warnings(load_yaml(document))] == paths


@pytest.mark.parametrize(
    ("level", "paths"),
    [("DESK_LEAD", ["complaints[1].first_level"]), ("UNIT_MANAGER", []), ("HEADQUARTERS", [])],
)
def test_complaints_that_would_not_go_past_the_desk_are_named(level: str, paths: list[str]) -> None:
    rules = COMPLAINTS.replace("WHEN", 'ticket.priority == "P1"').replace("40h", f"40h, first_level: {level}")
    assert [path for path, _ in found(rules + READ)] == paths
