"""Why routing would ask whom it would ask."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from hanse.policy import Standards, load_yaml
from hanse.policy.explanation import Outcome
from hanse.policy.routing import Known, next_candidate, units_asked
from hanse.policy.routing_explained import RoutingExplained, explain_routing
from hanse_protos.policy.v1.policy_pb2 import TicketFacts
from tests.support import OCCUR_TIME, POLICY_YAML

MUNICH, HEADQUARTERS = "units/munich", "units/hq"
DESKS = """
desks:
  - {id: elsewhere, units: [units/hq, units/munich], when: ticket.category != "display"}
  - {id: displays, units: [units/munich, units/shanghai, units/hq], when: ticket.category == "display"}
"""
LIMIT = "return_limit: {returns: 3, skip_former_holders: true}"


def facts(returns: int = 0) -> TicketFacts:
    return Standards(1, load_yaml(POLICY_YAML)).facts(
        priority="P2", category="display", language="zh", tier=2, home="units/shanghai", returns=returns
    )


def explained(rest: str = "", *, returns: int = 0, former_holders: tuple[str, ...] = ()) -> RoutingExplained:
    found = explain_routing(Standards(7, load_yaml(POLICY_YAML + rest)), facts(returns), former_holders, OCCUR_TIME)
    assert found
    return found


def test_the_explanation_agrees_with_what_a_live_offer_asks() -> None:
    group = Standards(7, load_yaml((Path(__file__).parents[4] / "policies" / "group.yaml").read_text()))
    categories = [category.id for category in group.document.categories]
    for priority, category, returns in product(("P1", "P4"), categories, (0, 1, 9)):
        asked = group.facts(
            priority=priority, category=category, language="de", tier=1, home="units/shanghai", returns=returns
        )
        for former_holders in ([], [MUNICH]):
            known = Known(former_holders=former_holders)
            live, found = (
                next_candidate(group, asked, known, OCCUR_TIME),
                explain_routing(group, asked, former_holders, OCCUR_TIME),
            )
            assert found and (found.asked, found.desk, found.final) == (live.units, live.desk, live.final)
            in_order = [each.unit for each in found.providers if each.eligible and not each.had_it_before]
            assert in_order == units_asked(group, asked, known, OCCUR_TIME)


def test_of_the_shared_desks_those_that_take_the_ticket_say_whom_they_ask() -> None:
    found = explained(DESKS)
    assert [(desk.path, desk.outcome, desk.units) for desk in found.desks] == [
        ("desks[elsewhere]", Outcome.DOES_NOT_HOLD, ()),
        ("desks[displays]", Outcome.APPLIES, (HEADQUARTERS, MUNICH)),
    ]
    assert (found.asked, found.desk) == ((HEADQUARTERS, MUNICH), "displays")


def test_a_unit_that_had_the_ticket_before_is_named_as_passed_over() -> None:
    found = explained(LIMIT, former_holders=(HEADQUARTERS,))
    assert [(each.unit, each.had_it_before) for each in found.providers] == [(MUNICH, False), (HEADQUARTERS, True)]
    assert found.asked == (MUNICH,)


def test_what_routing_has_no_answer_for_is_said_with_its_reason() -> None:
    document = load_yaml(POLICY_YAML + DESKS)
    document.desks[0].when = "int(ticket.product) > 3"
    document.routing.score = 'provider.unit == "units/hq" ? 1 / load : -5'
    asked = facts()
    asked.product = "SAP"
    found = explain_routing(Standards(7, document), asked, (), OCCUR_TIME)
    assert found and found.problems == {
        "desks[0].when": "cannot convert string to int",
        "routing.score": "divide by zero",
    }
    assert [desk.outcome for desk in found.desks] == [Outcome.NO_ANSWER, Outcome.APPLIES]
    assert [(each.unit, each.score) for each in found.providers] == [(MUNICH, -5), (HEADQUARTERS, None)]


@pytest.mark.parametrize(("returns", "stopped"), [(2, False), (3, True)])
def test_a_ticket_that_has_returned_too_often_is_stopped_and_the_limit_is_named(returns: int, stopped: bool) -> None:
    found = explained(LIMIT, returns=returns)
    assert (found.stopped, found.final, found.returns, found.return_limit) == (stopped, stopped, returns, 3)


def test_nobody_can_be_asked_where_no_other_unit_is_listed_or_the_category_or_home_is_unknown() -> None:
    foreign, dropped = facts(), facts()
    foreign.category, dropped.home = "telex", "units/atlantis"
    standards = Standards(7, load_yaml(POLICY_YAML))
    alone = Standards(7, load_yaml(POLICY_YAML))
    for profile in list(alone.document.units):
        if profile.unit != "units/shanghai":
            alone.document.units.remove(profile)
    assert explain_routing(standards, foreign, (), OCCUR_TIME) is None
    assert explain_routing(standards, dropped, (), OCCUR_TIME) is None
    assert explain_routing(Standards(7, alone.document), facts(), (), OCCUR_TIME) is None
