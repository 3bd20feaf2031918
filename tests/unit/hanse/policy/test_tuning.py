"""What a unit tunes for itself: within the bounds, at its own places, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hanse.policy import Standards, load_override_yaml, load_yaml
from hanse.policy.tuning import dropped, override_problems, tuned, with_profile
from hanse_protos.policy.v1.policy_pb2 import ClockRule, PolicyDocument
from hanse_protos.policy.v1.tuning_pb2 import OverrideDocument

GROUP = load_yaml((Path(__file__).parents[4] / "policies" / "group.yaml").read_text())
SHANGHAI = "units/shanghai"

OVERRIDE = load_override_yaml("""
targets:
  - {target: p3, resolution: 30h, warn_percents: [80]}
  - {target: p4, response: 2h}
  - {target: p2, next_reply: 1h}
offer_timeout: 1h
calendar_exceptions:
  - {date: 2026-11-27}
capacity: 30
add_languages: [de]
drop_skills: [logistics]
agreements:
  - {agreement: tier-1-urgent, duration: 45m, warn_percents: [60]}
soft: {cap: 60d}
""")


def changed(change: Callable[[PolicyDocument], object]) -> PolicyDocument:
    document = PolicyDocument()
    document.CopyFrom(GROUP)
    change(document)
    return document


def target(document: PolicyDocument, name: str) -> tuple[float, float, list[int]]:
    [found] = [each for each in document.targets if each.id == name]
    return found.response.ToSeconds() / 3600, found.resolution.ToSeconds() / 3600, list(found.warn_percents)


def test_what_is_within_the_bounds_is_laid_over_the_groups_document() -> None:
    laid = tuned(GROUP, OVERRIDE, SHANGHAI)
    assert (target(laid, "p3"), target(laid, "p4")) == ((4, 30, [80]), (2, 40, [90]))
    assert laid.routing.offer_timeout.ToTimedelta() == timedelta(hours=1)
    [profile] = [unit for unit in laid.units if unit.unit == SHANGHAI]
    assert (profile.capacity, profile.languages[:], "logistics" in profile.skills) == (30, ["zh", "en", "de"], False)


def test_further_promises_agreements_and_suspended_work_are_laid_over_it_too() -> None:
    laid = tuned(GROUP, OVERRIDE, SHANGHAI)
    assert next(each.next_reply.ToTimedelta() for each in laid.targets if each.id == "p2") == timedelta(hours=1)
    [tier_1] = [each for each in laid.agreements if each.id == "tier-1-urgent"]
    assert (tier_1.duration.ToTimedelta(), tier_1.warn_percents[:]) == (timedelta(minutes=45), [60])
    assert (laid.soft.cap.ToTimedelta(), laid.soft.review_within) == (timedelta(days=60), GROUP.soft.review_within)


def test_nothing_is_wrong_with_it() -> None:
    assert override_problems(GROUP, OVERRIDE, SHANGHAI) == []


def test_the_groups_document_stays_as_it_is() -> None:
    before = GROUP.SerializeToString(deterministic=True)
    tuned(GROUP, OVERRIDE, SHANGHAI)
    assert GROUP.SerializeToString(deterministic=True) == before


def test_a_day_off_is_off_for_the_unit_and_for_nobody_else_on_its_calendar() -> None:
    shared = changed(lambda document: setattr(document.units[2], "calendar", "shanghai-office"))
    laid = Standards(3, tuned(shared, OVERRIDE, SHANGHAI), 1)
    friday = datetime(2026, 11, 27, tzinfo=UTC)

    def worked(unit: str) -> timedelta:
        return laid.calendars[laid.calendar_of(unit)].between(friday, friday + timedelta(days=1))

    assert (worked(SHANGHAI), worked("units/munich")) == (timedelta(0), timedelta(hours=8))


def test_of_its_profile_only_what_a_unit_says_of_itself_counts_for_others_tickets() -> None:
    laid = with_profile(GROUP, OVERRIDE, SHANGHAI)
    assert target(laid, "p3") == target(GROUP, "p3")
    assert laid.routing == GROUP.routing
    assert next(unit.capacity for unit in laid.units if unit.unit == SHANGHAI) == 30


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        ("targets: [{target: p3, resolution: 33h}]", "targets[0].resolution", "33h is outside of the group's bounds"),
        ("targets: [{target: p3, resolution: 7h}]", "targets[0].resolution", "8h to 32h"),
        ("targets: [{target: p1, resolution: 4h}]", "targets[0].resolution", "does not let units tune this"),
        ("targets: [{target: p9, resolution: 4h}]", "targets[0].target", "no target 'p9'"),
        ("targets: [{target: p3}, {target: p3}]", "targets[1].target", "twice"),
        ("targets: [{target: p3, warn_percents: [20]}]", "targets[0].warn_percents", "50 to 95"),
        ("targets: [{target: p3, resolution: 0s}]", "targets[0].resolution", "greater than 0s"),
        ("targets: [{target: p4, response: 16h}, {target: p3, response: 9h}]", "targets[1].response", "1h to 8h"),
        ("targets: [{target: p2, next_reply: 5h}]", "targets[0].next_reply", "30m to 4h"),
        ("targets: [{target: p1, periodic_update: 2h}]", "targets[0].periodic_update", "does not let units tune"),
        ("agreements: [{agreement: tier-1-urgent, duration: 3h}]", "agreements[0].duration", "30m to 2h"),
        ("agreements: [{agreement: acme-panels, warn_percents: [80]}]", "agreements[0].warn_percents", "not let units"),
        ("agreements: [{agreement: provider, duration: 8h}]", "agreements[0].agreement", "providers, not of this unit"),
        ("agreements: [{agreement: tier-9}]", "agreements[0].agreement", "no agreement 'tier-9'"),
        ("agreements: [{agreement: acme-panels}, {agreement: acme-panels}]", "agreements[1].agreement", "twice"),
        ("soft: {review_within: 30d}", "soft.review_within", "168h to 672h"),
        ("offer_timeout: 1m", "offer_timeout", "15m to 2h"),
        ("capacity: 500", "capacity", "5 to 100"),
        ("add_skills: [network-engineering]", "add_skills[0]", "does not let units tune"),
        ("add_skills: [billing]", "add_skills[0]", "already"),
        ("drop_languages: [de]", "drop_languages[0]", "no 'de'"),
        ("drop_languages: [zh, en]", "drop_languages[1]", "the last one"),
        ("calendar_exceptions: [{date: 2026-02-30}]", "calendar_exceptions[0]", "no day"),
        ("calendar_exceptions: [{date: 2026-11-27, note: Wang marries}]", "calendar_exceptions[0]", "leave the unit"),
    ],
)  # fmt: skip
def test_what_is_outside_is_refused_with_the_place_and_the_reason(text: str, path: str, message: str) -> None:
    found = override_problems(GROUP, load_override_yaml(text), SHANGHAI)
    assert any(problem.path == path and message in problem.message for problem in found), found


def test_a_solution_before_the_response_is_refused() -> None:
    wide = changed(lambda document: document.tunable.targets[1].resolution.floor.FromSeconds(3600))
    [problem] = override_problems(wide, load_override_yaml("targets: [{target: p3, resolution: 2h}]"), SHANGHAI)
    assert (problem.path, "after the solution" in problem.message) == ("targets[0].resolution", True)


def test_a_reply_after_the_solution_is_refused_and_so_is_a_review_after_the_cap() -> None:
    wide = changed(lambda document: document.tunable.targets[0].next_reply.ceiling.FromSeconds(24 * 3600))
    wide.tunable.soft.cap.floor.FromSeconds(24 * 3600)
    text = "{targets: [{target: p2, next_reply: 9h}], soft: {cap: 10d}}"
    found = override_problems(wide, load_override_yaml(text), SHANGHAI)
    assert [(problem.path, problem.message) for problem in found] == [
        ("targets[0].next_reply", "the next reply would be due after the solution"),
        ("soft.cap", "the next review would be later than the cap"),
    ]


def test_what_counts_other_time_than_the_solution_is_not_compared_with_it() -> None:
    def elapsed(document: PolicyDocument) -> None:
        document.targets[2].clocks.next_reply.time = ClockRule.ELAPSED
        document.tunable.targets[0].next_reply.ceiling.FromSeconds(24 * 3600)

    override = load_override_yaml("targets: [{target: p2, next_reply: 9h}]")
    assert override_problems(changed(elapsed), override, SHANGHAI) == []


def test_a_new_version_drops_the_place_that_it_does_not_allow_and_keeps_the_rest() -> None:
    stricter = changed(lambda document: document.tunable.targets[1].resolution.ceiling.FromSeconds(24 * 3600))
    [problem] = dropped(stricter, OVERRIDE, SHANGHAI)
    assert problem.path == "targets[0].resolution"
    assert target(tuned(stricter, OVERRIDE, SHANGHAI), "p3") == (4, 24, [80])


def test_a_version_that_does_not_list_the_unit_drops_everything_of_its_profile_and_does_not_fail() -> None:
    without = changed(lambda document: document.units.pop(1))
    assert "document" in [problem.path for problem in dropped(without, OVERRIDE, SHANGHAI)]
    assert len(tuned(without, OVERRIDE, SHANGHAI).units) == 2


def test_a_policy_without_bounds_lets_nothing_be_tuned() -> None:
    closed = changed(lambda document: document.ClearField("tunable"))
    assert len(dropped(closed, OVERRIDE, SHANGHAI)) == 12
    assert tuned(closed, OVERRIDE, SHANGHAI) == closed


def test_an_empty_override_changes_nothing() -> None:
    assert tuned(GROUP, OverrideDocument(), SHANGHAI) == GROUP
