"""What a target promises, and what is wrong with it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from hanse.errors import PolicyInvalid
from hanse.policy import Standards, dump_yaml, lint, load_yaml
from hanse_protos.policy.v1.policy_pb2 import PolicyDocument
from hanse_protos.ticket.v1.ticket_pb2 import Clock

POLICY = """
title: One target
categories: [{id: display, skill: display}]
calendars:
  - {id: always, time_zone: Etc/UTC, shifts: [{days: MON-SUN, start: "00:00", end: "24:00"}]}
units:
  - {unit: units/shanghai, calendar: always, languages: [zh], skills: [display]}
targets:
  - {id: every, response: 1h, resolution: 10h, EXTRA}
routing: {eligible: "true", score: "0", offer_timeout: 15m, rounds: 1, final_owner: units/shanghai}
rates: [{id: every, amount: 100.00 EUR}]
"""


def policy(extra: str) -> PolicyDocument:
    return load_yaml(POLICY.replace("EXTRA", extra))


def test_a_target_promises_what_it_gives_a_time_for() -> None:
    standards = Standards(1, policy("next_reply: 2h, clocks: {next_reply: {time: ELAPSED}}"))
    assert [(each.kind, each.duration, each.elapsed) for each in standards.promises("every")] == [
        (Clock.RESPONSE, timedelta(hours=1), False),
        (Clock.RESOLUTION, timedelta(hours=10), False),
        (Clock.NEXT_REPLY, timedelta(hours=2), True),
    ]


def test_how_clocks_count_is_written_and_read_back() -> None:
    document = policy("periodic_update: 4h, clocks: {resolution: {time: ELAPSED, pause: 'current.state == \"NEW\"'}}")
    assert load_yaml(dump_yaml(document)) == document


@pytest.mark.parametrize(
    ("extra", "path", "problem"),
    [
        ("next_reply: 0s", "targets[0].next_reply", "greater than 0"),
        ("periodic_update: 11h", "targets[0].periodic_update", "later than the resolution"),
        ("clocks: {next_reply: {time: ELAPSED}}", "targets[0].clocks.next_reply", "the target has no next_reply"),
        ('clocks: {response: {pause: "true"}}', "targets[0].clocks.response.pause", "would never run"),
        ('clocks: {response: {cancel: "true"}}', "targets[0].clocks.response.cancel", "as soon as it starts"),
        ('clocks: {response: {reset: "true"}}', "targets[0].clocks.response.reset", "never begins to"),
        (
            "clocks: {response: {start: current.assigned, cancel: current.assigned}}",
            "targets[0].clocks.response.cancel",
            "cancelled by what starts it",
        ),
        ("clocks: {response: {pause: current.stat}}", "targets[0].clocks.response.pause", "undefined field 'stat'"),
        (
            "clocks: {response: {start: provider.capacity}}",
            "targets[0].clocks.response.start",
            "this rule knows current",
        ),
        ("clocks: {response: {start: ticket.tier}}", "targets[0].clocks.response.start", "has to be true or false"),
        (
            "clocks: {resolution: {pause: 'home.languages[1] == \"de\"'}}",
            "targets[0].clocks.resolution.pause",
            "guard against it",
        ),
    ],
)
def test_what_is_wrong_with_a_promise_is_named_at_its_place(extra: str, path: str, problem: str) -> None:
    assert [(found.path, problem in found.message) for found in lint(policy(extra))] == [(path, True)]


ALL_OTHER_TIMES = """
soft: {when: "true", review_within: 14d, cap: 90d}
complaints: [{id: every, acknowledge_within: 8h, answer_within: 40h}]
hierarchy: [{at_percent: 90, level: DESK_LEAD, acknowledge_within: 1h}]
agreements:
  - {id: tier, kind: TIER, duration: 2h}
  - {id: provider, kind: ENGAGEMENT, duration: 3h}
  - {id: acme, kind: SUPPLIER, supplier: acme, duration: 72h}
"""


@pytest.mark.parametrize(
    ("time", "path"),
    [
        ("response: 1h", "targets[0].response"),
        ("resolution: 10h", "targets[0].resolution"),
        ("next_reply: 4h", "targets[0].next_reply"),
        ("periodic_update: 5h", "targets[0].periodic_update"),
        ("review_within: 14d", "soft.review_within"),
        ("cap: 90d", "soft.cap"),
        ("acknowledge_within: 8h", "complaints[0].acknowledge_within"),
        ("answer_within: 40h", "complaints[0].answer_within"),
        ("acknowledge_within: 1h", "hierarchy[0].acknowledge_within"),
        ("duration: 2h", "agreements[0].duration"),
        ("duration: 3h", "agreements[1].duration"),
        ("duration: 72h", "agreements[2].duration"),
        ("offer_timeout: 15m", "routing.offer_timeout"),
    ],
)
def test_no_time_is_nothing(time: str, path: str) -> None:
    text = POLICY.replace("EXTRA", "next_reply: 4h, periodic_update: 5h") + ALL_OTHER_TIMES
    assert (lint(load_yaml(text)), text.count(time)) == ([], 1)
    nothing = load_yaml(text.replace(time, f"{time.partition(':')[0]}: 0s"))
    assert [found.message for found in lint(nothing) if found.path == path] == ["must be greater than 0s"]


def test_promises_in_different_times_are_not_compared() -> None:
    assert lint(policy("next_reply: 11h, clocks: {next_reply: {time: ELAPSED}}")) == []


def test_a_condition_that_does_not_compile_names_its_place() -> None:
    with pytest.raises(PolicyInvalid) as caught:
        Standards(1, policy("clocks: {resolution: {cancel: nobody}}"))
    assert caught.value.metadata["path"] == "targets[0].clocks.resolution.cancel"


@pytest.mark.parametrize(
    ("extra", "path", "problem"),
    [
        ("supplier: acme", "agreements[0].supplier", "only an agreement with a supplier"),
        ("when: provider.capacity > 0", "agreements[0].when", "this rule knows current"),
        ("warn_percents: [100]", "agreements[0].warn_percents[0]", "less than 100"),
        ('clock: {cancel: "true"}', "agreements[0].clock.cancel", "as soon as it starts"),
    ],
)
def test_what_is_wrong_with_an_agreement_is_named_at_its_place(extra: str, path: str, problem: str) -> None:
    document = load_yaml(
        POLICY.replace(", EXTRA", "") + f"agreements: [{{id: one, kind: TIER, duration: 1h, {extra}}}]"
    )
    assert [(found.path, problem in found.message) for found in lint(document)] == [(path, True)]


def test_an_agreement_with_a_supplier_names_it_and_a_later_one_is_not_hidden() -> None:
    agreements = """
agreements:
  - {id: one, kind: SUPPLIER, supplier: acme, duration: 1h}
  - {id: two, kind: SUPPLIER, supplier: acme, duration: 2h, when: ticket.tier == 1}
  - {id: three, kind: SUPPLIER, duration: 1h}
  - {id: three, kind: TIER, duration: 0s}
"""
    found = {problem.path for problem in lint(load_yaml(POLICY.replace(", EXTRA", "") + agreements))}
    assert found == {"agreements[1].when", "agreements[2].supplier", "agreements[3].id", "agreements[3].duration"}
