"""`hanse policy explain`: why a ticket has the deadlines that it has."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp
from rich.text import Text

from hanse.cli import output
from hanse.cli.clocks import clock_name, time_base
from hanse.cli.connection import At
from hanse.clock import utc_now
from hanse.errors import PolicyMissing
from hanse.names import home_of, override_name, policy_name
from hanse.policy import Standards
from hanse.policy.explanation import Explanation, Outcome, explain
from hanse.policy.facts import facts_of
from hanse.policy.tuning import tuned
from hanse.times import put_time
from hanse_protos.policy.v1.policy_pb2 import GetPolicyRequest, Policy, PolicyDocument
from hanse_protos.policy.v1.tuning_pb2 import GetPolicyOverrideRequest, PolicyOverride
from hanse_protos.ticket.v1 import service_pb2 as rpc
from hanse_protos.ticket.v1 import ticket_pb2 as pb


def explain_ticket(at: At, ticket: str) -> tuple[pb.Ticket, Policy, Explanation]:
    """Return a ticket, the policy that governs it, and why that answers as it does. Raises PolicyMissing for none."""
    found: pb.Ticket = at.ask(lambda desk: desk.tickets.GetTicket(rpc.GetTicketRequest(name=at.ticket(ticket))))
    if not found.policy_version:
        raise PolicyMissing(f"{found.name} was opened under no policy", resource=found.name)
    request = GetPolicyRequest(name=policy_name(found.policy_version))
    policy: Policy = at.ask(lambda desk: desk.policies.GetPolicy(request))
    standards = Standards(policy.version, _governing_document(at, found, policy), found.policy_override)
    return found, policy, explain(standards, facts_of(standards, found, home_of(found.name)), utc_now())


def governance_at(at: At, ticket: str, time: datetime | None) -> rpc.Governance:
    """Return what governed a ticket at an instant."""
    request = rpc.GetGovernanceRequest(name=at.ticket(ticket))
    put_time(request.time, time)
    governance: rpc.Governance = at.ask(lambda desk: desk.tickets.GetGovernance(request))
    return governance


def show_governance(governance: rpc.Governance) -> None:
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


def _governing_document(at: At, ticket: pb.Ticket, policy: Policy) -> PolicyDocument:
    """Return what governs a ticket: the policy, with what its home unit has tuned laid over it."""
    home = home_of(ticket.name)
    if not ticket.policy_override or home != at.parent:
        return policy.document
    request = GetPolicyOverrideRequest(name=override_name(home, ticket.policy_override))
    override: PolicyOverride = at.ask(lambda desk: desk.policy_tuning.GetPolicyOverride(request))
    return tuned(policy.document, override.document, home)


def as_dict(ticket: pb.Ticket, policy: Policy, explanation: Explanation) -> dict[str, Any]:
    """Return the explanation for programs."""
    return {
        "ticket": ticket.name,
        "policy": policy.name,
        "override": ticket.policy_override,
        "facts": output.as_dict(explanation.facts),
        "service": output.as_dict(explanation.service) if explanation.service else None,
        "targets": [asdict(rule) for rule in explanation.targets],
        "ladder": [asdict(rule) for rule in explanation.ladder],
        "providers": [asdict(provider) for provider in explanation.providers],
        "clocks": [output.as_dict(clock) for clock in ticket.clocks],
    }


def show(ticket: pb.Ticket, policy: Policy, explanation: Explanation) -> None:
    """Print the explanation for people."""
    governed = f" is governed by {policy.name}, in force here since {output.when(policy.acknowledge_time)} UTC"
    if ticket.policy_override:
        governed += f", with {override_name(home_of(ticket.name), ticket.policy_override)} over it"
    output.console.print(Text.assemble((ticket.name, "bold"), governed))
    facts = ", ".join(f"{name} {value}" for name, value in output.as_dict(explanation.facts).items() if value)
    output.console.print(facts, style="dim")
    if explanation.service:
        service = explanation.service
        price = f", costs {output.money(service.cost)}" if service.HasField("cost") else ""
        output.console.print(f"service {service.id}, which {output.unit(service.owner)} answers for{price}")
    for title, rules in (("Targets: the first that holds", explanation.targets), ("Ladder", explanation.ladder)):
        rows = ((rule.path, rule.says, rule.condition or "always", _marked(rule.outcome)) for rule in rules)
        output.table(title, ["rule", "says", "when", "here"], rows)
    for clock in ticket.clocks:
        _show_clock(clock)
    rows_of_providers = (
        (output.unit(each.unit), output.yes_no(each.eligible), "" if each.score is None else f"{each.score:g}")
        for each in explanation.providers
    )
    output.table(
        "Who would be asked, first to last, nobody being busy", ["unit", "eligible", "score"], rows_of_providers
    )


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
    state = pb.Clock.State.Name(clock.state).lower()
    output.console.print(f"{used} of {target} used, due {due}, {state}", style="bold")


def _end(time: Timestamp) -> str:
    return output.when(time) if time.seconds else "now"


def _marked(outcome: Outcome) -> Text:
    return Text(outcome, style="green" if outcome == Outcome.APPLIES else "dim")
