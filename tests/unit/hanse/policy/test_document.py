"""Documents are read and written as people do, and their mistakes are named with place and line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import ParseDict
from google.type.dayofweek_pb2 import FRIDAY, MONDAY, SATURDAY, SUNDAY, DayOfWeek
from google.type.money_pb2 import Money
from hypothesis import given, settings
from hypothesis import strategies as st

from hanse.errors import PolicyInvalid
from hanse.policy import diff, notation
from hanse.policy.document import MAX_TEXT_BYTES, dump_yaml, lint, load_yaml
from hanse_protos.policy.v1.policy_pb2 import (
    Agreement,
    DayException,
    DurationBounds,
    HierarchyStep,
    LadderStep,
    NumberBounds,
    PolicyDocument,
    ServiceTarget,
    Shift,
)

POLICIES = Path(__file__).parents[4] / "policies"
EVERY_POLICY = pytest.mark.parametrize("name", ["group", "demo"])

SMALL = """\
title: Small
categories:
  - {id: display, skill: repair, titles: {en: Displays, no: Skjermer}}
calendars:
  - id: office
    time_zone: Europe/Oslo
    holiday_country: NO
    shifts:
      - {days: [MON-WED, friday], start: 09:00, end: 18:00}
    exceptions:
      - date: 2026-10-10
        shifts: [{start: 10:00, end: 12:00}]
units:
  - {unit: units/hq, calendar: office, languages: [en], skills: [repair], capacity: 5}
targets:
  - {id: all, response: 1h30m, resolution: 2d, warn_percents: [50]}
ladder:
  - {at_percent: 50, action: CLIMB}
routing:
  eligible: ticket.skill in provider.skills
  score: 0 - load
  offer_timeout: 90s
  rounds: 2
  final_owner: units/hq
rates:
  - {id: flat, amount: 120.50 EUR}
"""


def policy(name: str) -> PolicyDocument:
    return load_yaml((POLICIES / f"{name}.yaml").read_text())


def small() -> PolicyDocument:
    return load_yaml(SMALL)


# What is read


@EVERY_POLICY
def test_the_policies_that_come_with_hanse_are_clean(name: str) -> None:
    assert lint(policy(name)) == []


def test_durations_are_read_as_people_write_them() -> None:
    target = small().targets[0]
    assert (target.response.ToSeconds(), target.resolution.ToSeconds()) == (5_400, 172_800)


def test_money_is_read_as_people_write_it() -> None:
    assert small().rates[0].amount == Money(currency_code="EUR", units=120, nanos=500_000_000)


def test_days_are_read_as_names_and_ranges() -> None:
    assert small().calendars[0].shifts[0].days == [MONDAY, MONDAY + 1, MONDAY + 2, FRIDAY]


def test_what_yaml_would_misread_stays_as_it_was_written() -> None:
    calendar = small().calendars[0]
    assert (calendar.holiday_country, calendar.shifts[0].end, calendar.exceptions[0].date) == (
        "NO",
        "18:00",
        "2026-10-10",
    )
    assert small().categories[0].titles["no"] == "Skjermer"


def test_the_date_of_an_exception_says_which_day_it_is() -> None:
    assert small().calendars[0].exceptions[0].shifts[0].days == [SATURDAY]


def test_a_field_without_a_value_is_not_set() -> None:
    assert load_yaml("title: Small\nrouting:\nsharing: ~") == PolicyDocument(title="Small")


# What is refused

TELLS = "hierarchy:\n  - {at_percent: 90, level: DESK_LEAD"


@pytest.mark.parametrize(
    ("before", "after", "place", "line"),
    [
        ("rounds: 2", "rounds: two", "routing.rounds", 23),
        ("rounds: 2", "rouns: 2", "routing.rouns", 23),
        ("offer_timeout: 90s", "offer_timeout: 90", "routing.offer_timeout", 22),
        ("response: 1h30m", "response: soon", "targets[0].response", 16),
        ("120.50 EUR", "120,50 EUR", "rates[0].amount", 26),
        ("120.50 EUR", "EUR 120.50", "rates[0].amount", 26),
        ("CLIMB", "JUMP", "ladder[0].action", 18),
        # Nobody can say which level comes next, so no hierarchy goes in a circle or beyond headquarters.
        ("ladder:", f"{TELLS}, above: DESK_LEAD}}\nladder:", "hierarchy[0].above", 18),
        ("ladder:", f"{TELLS.replace('DESK_LEAD', 'BOARD')}}}\nladder:", "hierarchy[0].level", 18),
        ("friday", "fryday", "calendars[0].shifts[0].days", 9),
        ("languages: [en]", "languages: en", "units[0].languages", 14),
        ("final_owner: units/hq", "final_owner: [units/hq]", "routing.final_owner", 24),
        ("title: Small", "title: Small\ntitle: Large", "title", 2),
        ("no: Skjermer", "en: Skjermer", "categories[0].titles.en", 3),
        ("no: Skjermer", "no: [Skjermer]", 'categories[0].titles["no"]', 3),
        ("capacity: 5", "capacity: 5, <<: {}", "units[0].<<", 14),
    ],
)
def test_a_mistake_is_named_with_its_place_and_line(before: str, after: str, place: str, line: int) -> None:
    with pytest.raises(PolicyInvalid) as raised:
        load_yaml(SMALL.replace(before, after, 1))
    assert raised.value.metadata["path"] == place
    assert raised.value.metadata["line"] == str(line)
    assert str(raised.value).startswith(f"{place}: ")
    assert str(raised.value).endswith(f"(line {line})")


def test_a_misspelt_field_gets_a_suggestion() -> None:
    with pytest.raises(PolicyInvalid, match="did you mean 'rounds'"):
        load_yaml(SMALL.replace("rounds", "rouns"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a list",
        "just text",
        "title: [",
        "title: a\n--- \ntitle: b",
        "title: \x00",
        "title: \ud800",
        "? [a]\n: b",
        "%",
    ],
)
def test_text_that_is_no_policy_is_refused(text: str) -> None:
    with pytest.raises(PolicyInvalid):
        load_yaml(text)


def test_text_that_is_too_long_is_refused() -> None:
    with pytest.raises(PolicyInvalid, match="bytes"):
        load_yaml("#" * MAX_TEXT_BYTES + "\ntitle: a")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_text_that_is_too_deep_is_refused(opening: str) -> None:
    with pytest.raises(PolicyInvalid):
        load_yaml("title: " + opening * 100_000)


def test_aliases_can_be_used() -> None:
    text = SMALL.replace("languages: [en], skills", "languages: &both [en, de], skills").replace("[repair]", "*both")
    assert load_yaml(text).units[0].skills == ["en", "de"]


def test_aliases_cannot_stand_for_more_than_a_document_may_hold() -> None:
    days = ", ".join(["MON"] * 1_000)
    shifts = ", ".join(["*s"] * 1_000)
    bomb = f"calendars: [{{shifts: [&s {{days: [{days}]}}, {shifts}]}}]"
    with pytest.raises(PolicyInvalid, match="fewer aliases"):
        load_yaml(bomb)


def test_an_alias_to_itself_is_refused() -> None:
    with pytest.raises(PolicyInvalid):
        load_yaml("calendars: &c [{shifts: *c}]")


@settings(deadline=None)
@given(st.text())
def test_any_text_is_a_policy_or_refused(text: str) -> None:
    try:
        load_yaml(text)
    except PolicyInvalid:
        return


# What is written


@EVERY_POLICY
def test_a_document_survives_being_written_and_read(name: str) -> None:
    document = policy(name)
    assert load_yaml(dump_yaml(document)) == document


def test_that_no_review_is_required_is_something_else_than_not_saying_so() -> None:
    silent, said = small(), load_yaml(SMALL + "reviews_required: 0\n")
    assert load_yaml(dump_yaml(said)).HasField("reviews_required")
    assert not load_yaml(dump_yaml(silent)).HasField("reviews_required")
    assert [(each.path, each.before, each.after) for each in diff(silent, said)] == [("reviews_required", "", "0")]


def test_a_document_is_written_as_people_write_it() -> None:
    text = dump_yaml(small())
    for line in ["response: 1h30m", "resolution: 48h", "amount: 120.50 EUR", "days: [MON-WED, FRI]", "end: 18:00"]:
        assert line in text


def test_writing_leaves_the_document_alone() -> None:
    document = small()
    dump_yaml(document)
    assert document == small()


@settings(deadline=None)
@given(st.text(max_size=50), st.lists(st.text(max_size=20), max_size=3))
def test_any_text_in_a_document_survives(title: str, languages: list[str]) -> None:
    document = PolicyDocument(title=title)
    document.units.add(unit="units/hq", languages=languages)
    assert load_yaml(dump_yaml(document)) == document


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9), st.integers(0, 999_999_999))
def test_any_duration_survives(seconds: int, nanos: int) -> None:
    duration = Duration(seconds=seconds, nanos=nanos if seconds >= 0 else -nanos)
    document = PolicyDocument()
    document.routing.offer_timeout.CopyFrom(duration)
    assert load_yaml(dump_yaml(document)).routing.offer_timeout == duration


@settings(deadline=None)
@given(st.integers(0, 10**12), st.integers(0, 999_999_999), st.booleans())
def test_any_amount_survives(units: int, nanos: int, negative: bool) -> None:
    sign = -1 if negative else 1
    document = PolicyDocument()
    document.rates.add(amount=Money(currency_code="EUR", units=sign * units, nanos=sign * nanos))
    assert load_yaml(dump_yaml(document)) == document


@settings(deadline=None)
@given(st.lists(st.integers(MONDAY, SUNDAY), max_size=9))
def test_any_days_survive(numbers: list[int]) -> None:
    days = [DayOfWeek.Name(number) for number in numbers]
    assert notation.days_to_json(notation.days_to_text(days)) == days


def test_a_range_of_days_may_run_over_the_weekend() -> None:
    assert notation.days_to_json(["SAT-MON"]) == ["SATURDAY", "SUNDAY", "MONDAY"]


# What contradicts itself

Change = Callable[[PolicyDocument], object]


def problems(change: Change) -> list[tuple[str, str]]:
    document = small()
    change(document)
    return [(problem.path, problem.message) for problem in lint(document)]


def test_the_small_policy_is_clean() -> None:
    assert lint(small()) == []


def _set(path: str, field: str, value: object) -> Change:
    """Set a field of the message at a path such as "calendars.0"."""

    def change(document: PolicyDocument) -> None:
        place: object = document
        for step in path.split(".") if path else []:
            place = place[int(step)] if step.isdigit() else getattr(place, step)  # type: ignore[index]
        setattr(place, field, value)

    return change


EIGHTH_DAY = cast("DayOfWeek.ValueType", 8)
_DEAR = f"home.skills.all(s, {' && '.join(['home.skills == home.skills'] * 60)})"
"""Within the budget of iterations, and about a second of a processor for the largest unit."""


def _twice(change: Change) -> Change:
    return lambda document: (change(document), change(document))


def _peer(document: PolicyDocument) -> None:
    document.peers.add(units=["units/hq", "units/oslo"])


def _hierarchy(*steps: HierarchyStep) -> Change:
    """Add steps of the hierarchical escalation."""
    return lambda document: document.hierarchy.extend(steps)


def _lead(percent: int, within: str = "") -> HierarchyStep:
    """Tell the desk's lead, who may have a time to acknowledge."""
    return _told(HierarchyStep.DESK_LEAD, percent, within)


def _told(level: HierarchyStep.Level.ValueType, percent: int, within: str = "") -> HierarchyStep:
    step = HierarchyStep(at_percent=percent, level=level)
    return ParseDict({"acknowledge_within": notation.duration_to_json(within)} if within else {}, step)


def _tunable(**fields: object) -> Change:
    """Let units tune a target."""
    return lambda document: document.tunable.targets.add(**({"target": "all"} | fields))


def _tunable_agreement(name: str) -> Change:
    """Let units tune an agreement, of a tier or of an engagement."""

    def change(document: PolicyDocument) -> None:
        for kind in (Agreement.TIER, Agreement.ENGAGEMENT):
            agreed = document.agreements.add(id="tier" if kind == Agreement.TIER else "provider", kind=kind)
            agreed.duration.FromSeconds(600)
        document.tunable.agreements.add(agreement=name, duration=_bounds("1h", "4h"))

    return change


def _bounds(floor: str, ceiling: str) -> DurationBounds:
    written = {name: notation.duration_to_json(value) for name, value in (("floor", floor), ("ceiling", ceiling))}
    return ParseDict(written, DurationBounds())


def _service(**fields: object) -> Change:
    """Add a service to the catalogue."""
    return lambda document: document.services.add(**({"id": "displays", "owner": "units/hq"} | fields))


def _desk(*units: str, when: str = "") -> Change:
    """Add a shared desk."""
    return lambda document: document.desks.add(id="displays", units=units, when=when)


@pytest.mark.parametrize(
    ("change", "path", "message"),
    [
        (_set("", "title", ""), "title", "at least 1 characters"),
        (_set("", "reviews_required", 2), "reviews_required", "less than or equal to 1"),
        (_set("calendars.0", "id", "Office"), "calendars[0].id", "does not match"),
        (lambda d: d.ClearField("routing"), "routing", "required"),
        (lambda d: d.categories.add().CopyFrom(d.categories[0]), "categories[1].id", "twice"),
        (lambda d: d.units.add().CopyFrom(d.units[0]), "units[1].unit", "twice"),
        (lambda d: d.targets[0].warn_percents.append(100), "targets[0].warn_percents[1]", "less than 100"),
        (_set("calendars.0", "time_zone", "Europe/Lübeck"), "calendars[0].time_zone", "no time zone"),
        (_set("calendars.0", "holiday_country", "ZZ"), "calendars[0].holiday_country", "ISO 3166"),
        (_set("calendars.0", "holiday_subdivision", "ZZ"), "calendars[0].holiday_country", "no subdivision"),
        (_set("calendars.0", "holiday_country", ""), None, ""),
        (_set("calendars.0.shifts.0", "start", "18:00"), "calendars[0].shifts[0]", "not after"),
        (_set("calendars.0.shifts.0", "start", "18:00"), "calendars[0].shifts", "no working time"),
        (
            lambda d: d.calendars[0].shifts.append(Shift(days=[FRIDAY], start="17:00", end="20:00")),
            "calendars[0].shifts[1]",
            "overlaps 09:00 to 18:00 on FRI",
        ),
        (
            lambda d: d.calendars[0].shifts.extend(2 * [Shift(days=[EIGHTH_DAY], start="09:00", end="18:00")]),
            "calendars[0].shifts[2].days[0]",
            "defined enum value",
        ),
        (_set("calendars.0.exceptions.0", "date", "2026-02-30"), "calendars[0].exceptions[0].date", "no day"),
        (
            lambda d: d.calendars[0].exceptions.append(DayException(date="2026-10-10")),
            "calendars[0].exceptions[1].date",
            "twice",
        ),
        (_set("units.0", "calendar", "nights"), "units[0].calendar", "no calendar"),
        (_set("categories.0", "skill", "sorcery"), "categories[0].skill", "no unit has"),
        (_set("routing", "final_owner", "units/oslo"), "routing.final_owner", "not one of the units"),
        (lambda d: d.targets[0].response.FromSeconds(999_999), "targets[0].response", "later than the resolution"),
        (lambda d: d.targets[0].response.FromSeconds(0), "targets[0].response", "greater than 0s"),
        (lambda d: d.targets.add().MergeFrom(_named(d, "second")), "targets[1].when", "targets[0] always comes first"),
        (lambda d: d.ladder.add().CopyFrom(d.ladder[0]), "ladder[1]", "does the same at 50 percent"),
        (
            lambda d: d.ladder.append(LadderStep(at_percent=50, action=LadderStep.REQUEST_ENGAGEMENT)),
            "ladder[1]",
            "does something else at 50 percent",
        ),
        (_set("rates.0", "when", "ticket.tier == 1"), "rates", "no rate always applies"),
        (_set("rates.0.amount", "units", -120), "rates[0].amount", "more than nothing"),
        (lambda d: d.rates[0].amount.Clear(), "rates[0].amount", "more than nothing"),
        (_set("rates.0.amount", "nanos", -1), "rates[0].amount.nanos", "decimal point"),
        (_set("rates.0.amount", "currency_code", "€"), "rates[0].amount.currency_code", "ISO 4217"),
        (_set("targets.0", "when", "ticket.prio == 1"), "targets[0].when", "undefined field 'prio'"),
        (_set("targets.0", "when", "ticket.tier"), "targets[0].when", "true or false"),
        (_set("routing", "score", "ticket.language"), "routing.score", "has to be a number"),
        (_set("routing", "score", "100 / load"), "routing.score", "divide by zero, for a P"),
        (_set("targets.0", "when", 'home.languages[1] == "de"'), "targets[0].when", "index"),
        (
            lambda d: d.sharing.add(events=["TicketSmiled"], fields=["text"], audience="GROUP"),
            "sharing[0].events[0]",
            "no event 'TicketSmiled'",
        ),
        (
            lambda d: d.sharing.add(events=["ArticlePublished", "EngagementWorkNoted", "*"], fields=["*"], audience=1),
            None,
            "",
        ),
        (
            lambda d: d.sharing.add(events=["TicketOpened"], fields=["title", "title"], audience="GROUP"),
            "sharing[0].fields[1]",
            "twice",
        ),
        (lambda d: d.peers.add(units=["units/hq"]), "peers[0].units", "at least 2 item(s)"),
        (lambda d: d.peers.add(units=["units/hq", "units/oslo"]), "peers[0].units[0]", "without headquarters"),
        (lambda d: d.peers.add(units=["units/hq", "units/oslo"]), "peers[0].units[1]", "not one of the units"),
        (lambda d: d.peers.add(units=["units/oslo", "units/oslo"]), "peers[0].units[1]", "twice"),
        (lambda d: d.desks.add(id="displays"), "desks[0].units", "at least 2 item(s)"),
        (_desk("units/hq", "units/oslo"), "desks[0].units[1]", "not one of the units"),
        (_desk("units/hq", "units/hq"), "desks[0].units[1]", "twice"),
        (_desk("units/hq", "units/hq", when="provider.capacity > 1"), "desks[0].when", "undeclared"),
        (lambda d: (_desk()(d), _desk()(d)), "desks[1].id", "twice"),
        (lambda d: (_service()(d), _service()(d)), "services[1].id", "twice"),
        (
            _set("targets.0", "when", 'home.skills.map(a, a + a).map(b, b + b)[0] == ""'),
            "targets[0].when",
            "map() makes new values",
        ),
        (
            _set("targets.0", "when", 'home.skills.exists(a, a + a + a == "")'),
            "targets[0].when",
            "'+' inside exists() can grow",
        ),
        (
            _set("targets.0", "when", "home.skills.all(a, home.skills.all(b, a <= b || b <= a))"),
            "targets[0].when",
            "budget exceeded",
        ),
        (_set("targets.0", "when", 'home.skills.exists(a, a in ["repair", "a+b"])'), None, ""),
        (_set("targets.0", "when", _DEAR), "targets[0].when", "takes too long for a unit with"),
        (_set("targets.0", "when", 'ticket.product.matches("\\\\pL{500}")'), "targets[0].when", "without counts"),
        (
            _set("targets.0", "when", 'ticket.product == "" || int(ticket.product) > 3'),
            "targets[0].when",
            "cannot convert string to int",
        ),
        (_set("ladder.0", "when", "ticket.tier > 2"), "ladder[0]", "nobody climbs above tier 3"),
        (
            lambda d: (d.units.add(unit="units/oslo", calendar="office", languages=["no"]), _desk("units/oslo")(d)),
            "desks[0]",
            "none of its units has the skill 'repair'",
        ),
        (_twice(_peer), "peers[1]", "says so already"),
        (_hierarchy(_lead(90), _lead(90)), "hierarchy[1]", "tells the same level"),
        (_hierarchy(_lead(90, "1h"), _lead(95, "2h")), "hierarchy[1].acknowledge_within", "another time"),
        (_hierarchy(_lead(90, "1h"), _lead(95)), None, ""),
        (_hierarchy(_told(HierarchyStep.HEADQUARTERS, 90, "1h")), "hierarchy[0].acknowledge_within", "nobody is above"),
        (_hierarchy(_told(HierarchyStep.UNIT_MANAGER, 0)), "hierarchy[0].at_percent", "greater than 0"),
        (_hierarchy(_told(HierarchyStep.LEVEL_UNSPECIFIED, 90)), "hierarchy[0].level", "must not be in list"),
        (_tunable(target="none"), "tunable.targets[0].target", "not one of the targets"),
        (_tunable(response=_bounds("2h", "1h")), "tunable.targets[0].response", "floor is above"),
        (_tunable(response=_bounds("2h", "4h")), "tunable.targets[0].response", "own value is outside"),
        (_tunable(response=_bounds("0s", "4h")), "tunable.targets[0].response.floor", "greater than 0s"),
        (_tunable(response=_bounds("1h", "4h")), None, ""),
        (_tunable(next_reply=_bounds("1h", "4h")), "tunable.targets[0].next_reply", "has no next_reply"),
        (_tunable_agreement("none"), "tunable.agreements[0].agreement", "not one of the agreements"),
        (_tunable_agreement("tier"), "tunable.agreements[0].duration", "own value is outside"),
        (_tunable_agreement("provider"), "tunable.agreements[0].agreement", "its provider's promise"),
        (lambda d: d.tunable.soft.cap.MergeFrom(_bounds("1h", "4h")), "tunable.soft", "no work be suspended"),
        (lambda d: d.tunable.skills.append("sorcery"), "tunable.skills[0]", "no category takes"),
        (
            lambda d: d.tunable.capacity.MergeFrom(NumberBounds(floor=3, ceiling=2)),
            "tunable.capacity",
            "floor is above",
        ),
        (_service(owner="units/oslo"), "services[0].owner", "not one of the units"),
        (_service(categories=["weather"]), "services[0].categories[0]", "not one of the categories"),
        (_service(targets=["weather"]), "services[0].targets[0]", "not one of the targets"),
        (_service(targets=["all", "all"]), "services[0].targets[1]", "twice"),
        (_service(cost=Money(currency_code="EUR")), "services[0].cost", "more than nothing"),
        (lambda d: (_desk()(d), _desk()(d)), "desks[1].when", "desks[0] always comes first"),
    ],
)
def test_a_contradiction_is_named_with_its_place(change: Change, path: str | None, message: str) -> None:
    found = problems(change)
    if path is None:
        assert found == []
    else:
        assert any(place == path and message in text for place, text in found), found


def _named(document: PolicyDocument, name: str) -> ServiceTarget:
    second = type(document.targets[0])()
    second.CopyFrom(document.targets[0])
    second.id = name
    return second


def test_one_mistake_does_not_hide_another() -> None:
    def change(document: PolicyDocument) -> None:
        document.title = ""
        document.targets[0].when = "nonsense("
        document.calendars[0].time_zone = "Nowhere"

    assert {"title", "targets[0].when", "calendars[0].time_zone"} <= {path for path, _ in problems(change)}


def test_steps_that_never_meet_may_share_a_percent() -> None:
    def change(document: PolicyDocument) -> None:
        document.ladder[0].when = "ticket.tier == 1"
        document.ladder.append(LadderStep(at_percent=50, action=LadderStep.CLIMB, when="ticket.tier == 2"))

    assert problems(change) == []


def test_a_service_and_everybody_may_each_have_a_target_without_a_condition() -> None:
    def change(document: PolicyDocument) -> None:
        document.targets.add().CopyFrom(_named(document, "express"))
        document.services.add(id="express", owner="units/hq", targets=["express"])

    assert problems(change) == []


def test_an_empty_document_has_problems_and_no_crash() -> None:
    assert lint(PolicyDocument())
