"""Who is asked next."""

import pytest

from hanse.policy import Standards, load_yaml
from hanse_federation.headquarters.routing import Candidate, next_candidate
from hanse_federation.model import Offer
from hanse_protos.policy.v1.policy_pb2 import TicketFacts
from tests.support import OCCUR_TIME, POLICY_YAML


@pytest.fixture
def standards() -> Standards:
    """A policy of two rounds, in which headquarters and Munich can be asked, and headquarters ends it."""
    return Standards(1, load_yaml(POLICY_YAML))


def following(standards: Standards, loads: dict[str, int], *asked: tuple[str, int]) -> Candidate:
    """Return who is asked after the offers so far: provider and round each."""
    facts = standards.facts(priority="P2", category="display", language="zh", tier=2, home="units/shanghai")
    offers = [Offer(desk="", units=[provider], round=number) for provider, number in asked]
    return next_candidate(standards, facts, loads, offers, OCCUR_TIME)


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
    facts = standards.facts(priority="P2", category="display", language="zh", tier=2, home="units/shanghai")
    taken = Offer(desk="", units=["units/hq"], provider="units/hq", round=1, reassigned=True)
    asked = [taken, Offer(desk="", units=["units/munich"], provider="units/munich", round=1)]
    assert next_candidate(standards, facts, {}, asked, OCCUR_TIME) == Candidate(("units/munich",), 2)


def test_a_ticket_that_has_returned_too_often_goes_to_the_final_owner_at_once() -> None:
    limited = Standards(1, load_yaml(POLICY_YAML + "return_limit: {returns: 3}"))
    candidates = []
    for returns in (2, 3):
        facts = limited.facts(
            priority="P2", category="display", language="zh", tier=2, home="units/shanghai", returns=returns
        )
        candidates.append(next_candidate(limited, facts, {}, [], OCCUR_TIME))
    assert candidates == [Candidate(("units/hq",), 1), Candidate(("units/hq",), 3, final=True)]


def test_where_nobody_is_eligible_the_final_owner_takes_it_at_once() -> None:
    nobody = Standards(1, load_yaml(POLICY_YAML.replace("ticket.skill in provider.skills", "false")))
    facts = TicketFacts(priority="P2", category="display", home="units/shanghai")
    assert next_candidate(nobody, facts, {}, [], OCCUR_TIME) == Candidate(("units/hq",), 3, final=True)


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
    return Offer(desk="displays", units=["units/munich", "units/hq"], round=number)


def next_of(shared: Standards, loads: dict[str, int], *offers: Offer) -> Candidate:
    facts = shared.facts(priority="P2", category="display", language="zh", tier=2, home="units/shanghai")
    return next_candidate(shared, facts, loads, list(offers), OCCUR_TIME)


def test_a_shared_desk_that_takes_the_ticket_is_asked_before_single_units(shared: Standards) -> None:
    assert next_of(shared, {}) == Candidate(("units/munich", "units/hq"), 1, desk="displays")


def test_the_units_of_a_desk_are_not_asked_one_by_one_in_the_same_round(shared: Standards) -> None:
    assert next_of(shared, {}, after_the_desk(1)) == Candidate(("units/munich", "units/hq"), 2, desk="displays")


def test_a_unit_that_has_no_room_is_left_out_of_its_desk() -> None:
    full = POLICY_YAML.replace("title: Munich,", "title: Munich, capacity: 2,")
    shared = Standards(1, load_yaml(full + DESKS))
    assert next_of(shared, {"units/munich": 2}) == Candidate(("units/hq",), 1, desk="displays")


def test_after_the_desk_s_rounds_the_final_owner_takes_it(shared: Standards) -> None:
    assert next_of(shared, {}, after_the_desk(1), after_the_desk(2)) == Candidate(("units/hq",), 3, final=True)
