"""`hanse policy explain`: why a ticket has the deadlines that it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from hanse.cli import output, policy_what_if
from hanse.cli.clocks import clock_name, time_base
from hanse.cli.connection import At
from hanse.clock import utc_now
from hanse.enums import name_of
from hanse.errors import PolicyMissing
from hanse.names import home_of
from hanse.policy import Standards
from hanse.policy.explanation import (
    Explanation,
    Outcome,
    RuleExplained,
    explain,
    explain_complaints,
)
from hanse.policy.routing_explained import RoutingExplained, explain_routing
from hanse.policy.tuning import tuned
from hanse.times import put_time
from hanse_protos.policy.v1.policy_pb2 import GetPolicyRequest, Policy
from hanse_protos.policy.v1.tuning_pb2 import GetPolicyOverrideRequest, PolicyOverride
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb


@dataclass(frozen=True, slots=True)
class Answer:
    """What governs a ticket at an instant, and why that answers as it does."""

    governance: rpc.Governance
    explanation: Explanation | None
    """None where no policy governs it, or the unit does not know what it was: at a provider, or without its history."""
    clocks: Sequence[pb.Clock]
    """The clocks as they stand now; none for an instant that is past."""
    complaints: Sequence[RuleExplained] | None = ()
    """The rules for a complaint that is filed then, by what was in force, whatever governs the ticket's clocks.

    None where none can be filed, since what was in force does not list the ticket's home.
    """
    routing: RoutingExplained | None = None
    """Who would be asked for an engagement then, by what was in force too; None where that can't be said."""


def explain_ticket(at: At, ticket: str, time: datetime | None) -> Answer:
    """Explain what governs a ticket at an instant, None for now. Raises PolicyMissing where nothing does now."""
    governance = _governance_at(at, ticket, time)
    if not governance.policy and time is None:
        raise PolicyMissing(f"{governance.ticket} was opened under no policy", resource=governance.ticket)
    if not governance.HasField("facts"):
        return Answer(governance, None, [])
    home = home_of(governance.ticket)
    standards = _standards(at, governance.policy, governance.override, home)
    explanation = explain(standards, governance.facts, governance.current)
    clocks = [] if time else _clocks_of(at, governance.ticket)
    if not governance.policy_in_force:
        return Answer(governance, explanation, clocks)
    in_force = _standards(at, governance.policy_in_force, governance.override_in_force, home)
    complaints = explain_complaints(in_force, governance.facts)
    routing = explain_routing(in_force, governance.facts, governance.former_holders, time or utc_now())
    return Answer(governance, explanation, clocks, complaints, routing)


def _clocks_of(at: At, ticket: str) -> Sequence[pb.Clock]:
    found: pb.Ticket = at.ask(lambda desk: desk.tickets.GetTicket(rpc.GetTicketRequest(name=ticket)))
    return found.clocks


def _governance_at(at: At, ticket: str, time: datetime | None) -> rpc.Governance:
    """Return what governed a ticket at an instant."""
    request = rpc.GetGovernanceRequest(name=at.ticket(ticket))
    put_time(request.time, time)
    governance: rpc.Governance = at.ask(lambda desk: desk.tickets.GetGovernance(request))
    return governance


def _show_governance(governance: rpc.Governance) -> None:
    """Print what governed a ticket, for people."""
    rows = (
        ("its targets, clocks and ladder", governance.policy),
        ("what its home had tuned", governance.override),
        ("held by", output.unit(governance.holder)),
        ("on the calendar", governance.calendar),
        ("engagement", governance.engagement),
        ("which is charged by", governance.engagement_policy),
        ("in force in this unit then", governance.policy_in_force),
        ("what this unit had tuned then", governance.override_in_force),
    )
    title = f"{governance.ticket} at {output.when(governance.time)} UTC"
    output.table(title, ["what", "governed by"], ((what, value or "–") for what, value in rows))


def _standards(at: At, policy_name: str, override_name: str, home: str) -> Standards:
    """Return a version of the policy, with what a ticket's home unit has tuned laid over it, where it has."""
    policy: Policy = at.ask(lambda desk: desk.policies.GetPolicy(GetPolicyRequest(name=policy_name)))
    if not override_name:
        return Standards(policy.version, policy.document)
    request = GetPolicyOverrideRequest(name=override_name)
    override: PolicyOverride = at.ask(lambda desk: desk.policy_tuning.GetPolicyOverride(request))
    return Standards(policy.version, tuned(policy.document, override.document, home))


def as_dict(answer: Answer) -> dict[str, Any]:
    """Return the explanation for programs."""
    governance = output.as_dict(answer.governance)
    explanation = answer.explanation
    if explanation is None:
        return governance
    rules = {name: [asdict(rule) for rule in found] for name, found in _rules(explanation)}
    return governance | {
        "service": output.as_dict(explanation.service) if explanation.service else None,
        **rules,
        "complaints": None if answer.complaints is None else [asdict(rule) for rule in answer.complaints],
        "routing": asdict(answer.routing) if answer.routing else None,
        "clocks": [output.as_dict(clock) for clock in answer.clocks],
    }


def _rules(explanation: Explanation) -> Iterator[tuple[str, Sequence[RuleExplained]]]:
    """Yield the rules of each part of the policy."""
    yield "targets", explanation.targets
    yield "agreements", explanation.agreements
    yield "conditions", explanation.clocks
    yield "soft", [explanation.soft] if explanation.soft else []
    yield "ladder", explanation.ladder
    yield "hierarchy", explanation.hierarchy


_TITLES = {
    "targets": "Targets: the first that holds",
    "agreements": "Agreements (OLA, UC): of each party, the first that holds",
    "conditions": "Conditions on its clocks",
    "soft": "Suspended work",
    "ladder": "Ladder",
    "hierarchy": "Hierarchy",
}
_COMPLAINTS_TITLE = "Complaints filed then: the first that holds; handled by leads who did not work on the ticket"


def show(answer: Answer) -> None:
    """Print the explanation for people, with how each clock ran."""
    _show_governance(answer.governance)
    if answer.explanation:
        _show_rules(answer.governance, answer.explanation)
        _show_complaints(answer.complaints)
    for clock in answer.clocks:
        _show_clock(clock)
    if answer.routing:
        _show_routing(answer.routing)
    elif answer.explanation and answer.governance.policy_in_force:
        output.console.print(_NOBODY)


def _show_rules(governance: rpc.Governance, explanation: Explanation) -> None:
    facts = ", ".join(f"{name} {value}" for name, value in output.as_dict(explanation.facts).items() if value)
    output.console.print(facts, style="dim")
    stands = ", ".join(f"{name} {_in_words(value)}" for name, value in output.as_dict(governance.current).items())
    output.console.print(stands, style="dim")
    if explanation.service:
        service = explanation.service
        price = f", costs {output.money(service.cost)}" if service.HasField("cost") else ""
        output.console.print(f"service {service.id}, which {output.unit(service.owner)} answers for{price}")
    for name, rules in _rules(explanation):
        _show_table(_TITLES[name], rules)


def _show_table(title: str, rules: Sequence[RuleExplained]) -> None:
    rows = ((rule.path, rule.says, rule.condition or "always", _marked(rule.outcome, rule.problem)) for rule in rules)
    output.table(title, ["rule", "says", "when", "here"], rows)


def _show_complaints(rules: Sequence[RuleExplained] | None) -> None:
    if rules is None:
        output.console.print(_NO_COMPLAINTS)
    else:
        _show_table(_COMPLAINTS_TITLE, rules)


def _show_routing(routing: RoutingExplained) -> None:
    """Print who would be asked for an engagement, for people."""
    desks = (
        (desk.path, desk.condition or "always", _marked(desk.outcome), ", ".join(map(output.unit, desk.units)) or "–")
        for desk in routing.desks
    )
    if routing.desks:
        output.table("Shared desks: those that apply come before single units", ["desk", "when", "here", "asks"], desks)
    units = (
        (
            output.unit(each.unit),
            output.yes_no(each.eligible),
            "" if each.score is None else f"{each.score:g}",
            "had it before: passed over" if each.had_it_before else "",
        )
        for each in routing.providers
    )
    output.table("Who would be asked, first to last, nobody being busy", ["unit", "eligible", "score", ""], units)
    for place, problem in routing.problems.items():
        output.console.print(f"{place} has no answer for this ticket: {problem}", style="yellow")
    output.console.print(f"asked first for a new engagement: {_first_asked(routing)}", style="bold")
    output.console.print(_NOT_KNOWN, style="dim")


_NO_COMPLAINTS = "No complaint can be filed: the policy in force does not list the ticket's home (UNIT_UNKNOWN)"
_NOBODY = (
    "Who would be asked for an engagement does not follow from the policy in force: it lists no other unit, or not the "
    "ticket's category or home"
)
_NOT_KNOWN = (
    "By the policy in force. Only headquarters knows how much each unit has to do, what the others have tuned for "
    "themselves, and who has left the group."
)


def _first_asked(routing: RoutingExplained) -> str:
    said = policy_what_if.asked_in_words(routing.asked, routing.desk, final=routing.final)
    if routing.stopped:
        returned = output.count(routing.returns, "time")
        return f"{said}, since the ticket has returned {returned}: the limit is {routing.return_limit}"
    return f"{said}, since nobody else can be" if routing.final else said


def _in_words(value: object) -> str:
    return "yes" if value is True else str(value)


def _show_clock(clock: pb.Clock) -> None:
    name, target = clock_name(clock), output.seconds(clock.target_duration) + time_base(clock)
    rows = (
        (
            f"{output.when(segment.start_time)} – {_end(segment.end_time)}",
            "ran" if segment.running else "stood",
            f"{segment.calendar}, {output.unit(segment.unit)}",
            output.seconds(segment.used_duration),
        )
        for segment in clock.segments
    )
    output.table(f"{name.capitalize()}: {target} by {clock.target}", ["UTC", "", "on the calendar", "used"], rows)
    used, due = output.seconds(clock.used_duration), output.when(clock.due_time)
    state = name_of(pb.Clock.State, clock.state).lower()
    output.console.print(f"{used} of {target} used, due {due}, {state}", style="bold")


def _end(time: Timestamp) -> str:
    return output.when(time) if time.seconds else "now"


def _marked(outcome: Outcome, problem: str = "") -> Text:
    if problem:
        return Text(f"{outcome}, so it does not hold: {problem}", style="yellow")
    return Text(outcome, style="green" if outcome == Outcome.APPLIES else "dim")
