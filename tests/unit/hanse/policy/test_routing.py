"""Who is asked next for an engagement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from hanse.errors import PolicyMissing
from hanse.policy import Standards, load_yaml
from hanse.policy.routing import Candidate, Known, knowing, last_resort, next_candidate, next_peer
from hanse_protos.policy.v1.policy_pb2 import TicketFacts
from hanse_protos.ticket.v1.ticket_pb2 import P2, TicketSummary
from tests.support import OCCUR_TIME, POLICY_YAML


@dataclass(frozen=True, slots=True)
class Offer:
    """An offer that was made before."""

    units: Sequence[str]
    round: int = 1
    provider: str = ""
    desk: str = ""
    reassigned: bool = False


@pytest.fixture
def standards() -> Standards:
    """A policy of two rounds, in which headquarters and Munich can be asked, and headquarters ends it."""
    return Standards(1, load_yaml(POLICY_YAML))


def facts_under(standards: Standards, returns: int = 0) -> TicketFacts:
    return standards.facts(
        priority="P2", category="display", language="zh", tier=2, home="units/shanghai", returns=returns
    )


def following(standards: Standards, loads: dict[str, int], *asked: tuple[str, int]) -> Candidate:
    """Return who is asked after the offers so far: provider and round each."""
    offers = [Offer([provider], number, provider) for provider, number in asked]
    return next_candidate(standards, facts_under(standards), Known(loads, offers=offers), OCCUR_TIME)


def test_the_best_candidate_is_asked_first(standards: Standards) -> None:
    assert following(standards, {"units/hq": 3}) == Candidate(("units/munich",), 1)


def test_who_was_asked_in_this_round_is_left_out(standards: Standards) -> None:
    assert following(standards, {}, ("units/hq", 1)) == Candidate(("units/munich",), 1)


def test_the_next_round_asks_everybody_again(standards: Standards) -> None:
    assert following(standards, {}, ("units/hq", 1), ("units/munich", 1)) == Candidate(("units/hq",), 2)


def test_after_the_rounds_the_final_owner_takes_it(standards: Standards) -> None:
    asked = [(provider, number) for number in (1, 2) for provider in ("units/hq", "units/munich")]
    assert following(standards, {}, *asked) == Candidate(("units/hq",), 3, final=True)


def test_who_had_it_and_gave_no_solution_is_not_asked_again(standards: Standards) -> None:
    taken = Offer(["units/hq"], provider="units/hq", reassigned=True)
    known = Known(offers=[taken, Offer(["units/munich"], provider="units/munich")])
    assert next_candidate(standards, facts_under(standards), known, OCCUR_TIME) == Candidate(("units/munich",), 2)


def test_a_unit_that_has_left_the_group_is_not_asked(standards: Standards) -> None:
    known = Known(gone=["units/munich"], offers=[Offer(["units/hq"])])
    assert next_candidate(standards, facts_under(standards), known, OCCUR_TIME) == Candidate(("units/hq",), 2)


def test_headquarters_is_the_last_resort_where_the_final_owner_has_left_the_group() -> None:
    standards = Standards(1, load_yaml(POLICY_YAML.replace("final_owner: units/hq", "final_owner: units/munich")))
    asked = [Offer(["units/hq"], number) for number in (1, 2)]
    known = Known(gone=["units/munich"], offers=asked)
    assert next_candidate(standards, facts_under(standards), known, OCCUR_TIME) == Candidate(
        ("units/hq",), 3, final=True
    )


@pytest.mark.parametrize(
    ("rule", "asked"),
    [
        ("return_limit: {returns: 9}", Candidate(("units/munich",), 1)),
        ("return_limit: {returns: 9, skip_former_holders: true}", Candidate(("units/hq",), 3, final=True)),
    ],
)
def test_who_had_the_ticket_before_is_passed_over_where_the_policy_says_so_but_not_as_the_last_resort(
    rule: str, asked: Candidate
) -> None:
    standards = Standards(1, load_yaml(POLICY_YAML + rule))
    known = Known(loads={"units/hq": 1}, former_holders=["units/hq", "units/munich"])
    assert next_candidate(standards, facts_under(standards), known, OCCUR_TIME) == asked


def test_a_ticket_that_has_returned_too_often_goes_to_the_final_owner_at_once() -> None:
    limited = Standards(1, load_yaml(POLICY_YAML + "return_limit: {returns: 3}"))
    candidates = [next_candidate(limited, facts_under(limited, returns), Known(), OCCUR_TIME) for returns in (2, 3)]
    assert candidates == [Candidate(("units/hq",), 1), Candidate(("units/hq",), 3, final=True)]


def test_of_the_peers_that_can_be_reached_the_best_is_asked_and_nobody_once_the_ticket_is_stopped() -> None:
    limited = Standards(1, load_yaml(POLICY_YAML + "return_limit: {returns: 3}"))
    peers = [
        next_peer(limited, facts_under(limited, returns), Known(), OCCUR_TIME, {"units/munich"}) for returns in (2, 3)
    ]
    assert peers == ["units/munich", None]


def test_where_nobody_is_eligible_the_final_owner_takes_it_at_once() -> None:
    nobody = Standards(1, load_yaml(POLICY_YAML.replace("ticket.skill in provider.skills", "false")))
    facts = TicketFacts(priority="P2", category="display", home="units/shanghai")
    assert next_candidate(nobody, facts, Known(), OCCUR_TIME) == Candidate(("units/hq",), 3, final=True)


DESKS = """
desks:
  - {id: elsewhere, units: [units/hq, units/munich], when: ticket.category != "display"}
  - {id: displays, units: [units/munich, units/shanghai, units/hq], when: ticket.category == "display"}
"""


@pytest.fixture
def shared() -> Standards:
    """The same policy with a shared desk, which the home unit serves too."""
    return Standards(1, load_yaml(POLICY_YAML + DESKS))


def after_the_desk(number: int) -> Offer:
    return Offer(["units/hq", "units/munich"], number, desk="displays")


def next_of(shared: Standards, loads: dict[str, int], *offers: Offer) -> Candidate:
    return next_candidate(shared, facts_under(shared), Known(loads, offers=offers), OCCUR_TIME)


def test_a_shared_desk_that_takes_the_ticket_is_asked_before_single_units(shared: Standards) -> None:
    assert next_of(shared, {}) == Candidate(("units/hq", "units/munich"), 1, desk="displays")


def test_of_a_desk_the_best_unit_comes_first(shared: Standards) -> None:
    assert next_of(shared, {"units/hq": 1}) == Candidate(("units/munich", "units/hq"), 1, desk="displays")


@pytest.mark.parametrize(
    ("eligible", "asked"),
    [
        ("ticket.language in provider.languages", Candidate(("units/munich",), 1, desk="displays")),
        ("open_now", Candidate(("units/hq",), 1, desk="displays")),
        ("ticket.skill in provider.skills", Candidate(("units/hq",), 1, desk="displays")),
        ('provider.unit == "units/oslo"', Candidate(("units/oslo",), 1)),
    ],
    ids=["by-language", "by-hours", "by-skill", "a-desk-without-a-unit-that-fits"],
)
def test_of_a_desk_only_units_are_asked_that_could_be_asked_by_themselves(eligible: str, asked: Candidate) -> None:
    """Munich speaks the customer's language, but sleeps and lacks the skill; Oslo serves no desk."""
    document = (POLICY_YAML + DESKS).replace("ticket.skill in provider.skills", eligible)
    document = document.replace(
        "calendar: always, languages: [de, en], skills: [display]", "calendar: night, languages: [zh]"
    )
    document = document.replace(
        "units:\n",
        "  - {id: night, time_zone: Etc/UTC, shifts: [{days: [sun], start: '22:00', end: '23:00'}]}\nunits:\n"
        "  - {unit: units/oslo, title: Oslo, calendar: night, languages: [nb]}\n",
        1,
    )
    shared = Standards(1, load_yaml(document))
    assert next_of(shared, {}) == asked


def test_a_unit_that_serves_two_desks_is_asked_once_in_a_round() -> None:
    both = Standards(1, load_yaml(POLICY_YAML + DESKS.replace('!= "display"', '== "display"')))
    assert next_of(both, {"units/hq": 1}, Offer(["units/munich"], desk="elsewhere")) == Candidate(
        ("units/hq",), 1, desk="displays"
    )


def test_the_units_of_a_desk_are_not_asked_one_by_one_in_the_same_round(shared: Standards) -> None:
    assert next_of(shared, {}, after_the_desk(1)) == Candidate(("units/hq", "units/munich"), 2, desk="displays")


def test_a_unit_that_has_no_room_is_left_out_of_its_desk() -> None:
    full = POLICY_YAML.replace("title: Munich,", "title: Munich, capacity: 2,")
    shared = Standards(1, load_yaml(full + DESKS))
    assert next_of(shared, {"units/munich": 2}) == Candidate(("units/hq",), 1, desk="displays")


def test_after_the_desk_s_rounds_the_final_owner_takes_it(shared: Standards) -> None:
    assert next_of(shared, {}, after_the_desk(1), after_the_desk(2)) == Candidate(("units/hq",), 3, final=True)


def test_a_unit_of_a_desk_that_had_the_ticket_before_is_left_out_and_a_desk_without_units_is_not_asked() -> None:
    rule = "return_limit: {returns: 9, skip_former_holders: true}"
    shared = Standards(1, load_yaml(POLICY_YAML + DESKS + rule))
    candidates = [
        next_candidate(shared, facts_under(shared), Known(former_holders=holders), OCCUR_TIME)
        for holders in (["units/munich"], ["units/munich", "units/hq"])
    ]
    assert candidates == [
        Candidate(("units/hq",), 1, desk="displays"),
        Candidate(("units/hq",), 3, final=True),
    ]


TICKET = TicketSummary(priority=P2, category="display", language="zh", tier=2)
RENAMED = POLICY_YAML.replace("id: display", "id: screens").replace("unit: units/munich", "unit: units/oslo")


def test_the_version_in_force_decides_on_what_it_knows(standards: Standards) -> None:
    newer = Standards(2, load_yaml(POLICY_YAML))
    version = knowing(newer, lambda: standards, TICKET, "units/shanghai")
    assert version and (version.standards, version.dropped) == (newer, frozenset())


@pytest.mark.parametrize(
    "text", [RENAMED, POLICY_YAML.replace("unit: units/shanghai", "unit: units/oslo")], ids=["category", "home"]
)
def test_what_the_version_in_force_has_dropped_is_decided_by_the_one_that_it_was_asked_for_under(
    standards: Standards, text: str
) -> None:
    newer = Standards(2, load_yaml(text))
    version = knowing(newer, lambda: standards, TICKET, "units/shanghai")
    kept = {profile.unit for profile in newer.document.units}
    dropped = frozenset(profile.unit for profile in standards.document.units) - kept
    assert version and (version.standards, version.facts.skill, version.dropped) == (standards, "display", dropped)


def test_where_no_version_knows_the_ticket_nobody_is_chosen_but_the_final_owner(standards: Standards) -> None:
    def missing() -> Standards:
        raise PolicyMissing(version="1")

    newer = Standards(2, load_yaml(RENAMED))
    assert knowing(newer, missing, TICKET, "units/shanghai") is None
    assert last_resort(newer, Known()) == Candidate(("units/hq",), 3, final=True)
