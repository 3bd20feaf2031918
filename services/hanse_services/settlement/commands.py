"""Posting what engagements cost: when others tell that one was confirmed. Nobody may ask for it."""

from typing import cast

from sqlalchemy.dialects.postgresql import insert as upsert

from hanse.log.events import Fact
from hanse.names import TicketName, short_unit, ticket_of
from hanse.policy.errors import CategoryUnknown, UnitUnknown
from hanse.policy.facts import facts_of
from hanse.telling.inbox import Effect
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import PolicyAcknowledged, Rate
from hanse_protos.settlement.v1.settlement_pb2 import ChargePosted, Leg
from hanse_protos.ticket.v1.events_pb2 import EngagementConfirmed
from hanse_protos.ticket.v1.ticket_pb2 import EngagementSummary
from hanse_services.settlement.messages import charge_message
from hanse_services.settlement.model import Account, Charge, Entry, Journal
from hanse_services.settlement.money import to_minor_units


def engagement_confirmed(work: Work, fact: Fact) -> None:
    """Post this unit's leg of the charge that a confirmed engagement has earned, once.

    Raises PolicyMissing while the policy version of the engagement is not known here.
    """
    engagement = cast(EngagementConfirmed, fact.payload).engagement
    leg = _leg_of(work.unit, engagement)
    name = charge_name(engagement.name)
    if leg is None:
        return
    posted = work.session.get(Charge, (name, leg))
    if posted:
        return
    rate = _rate_of(work, engagement)
    charge = Charge(
        name=name,
        leg=leg,
        engagement=engagement.name,
        home=engagement.home,
        provider=engagement.provider,
        currency=rate.amount.currency_code,
        amount=to_minor_units(rate.amount),
        rate=rate.id,
        policy_version=engagement.policy_version,
        confirm_time=fact.occur_time,
        post_time=work.now,
    )
    post(work, charge)
    work.tell(charge.name, ChargePosted(charge=charge_message(charge)))


def charge_name(engagement: str) -> str:
    """Return the name of an engagement's charge, the same in both units: "charges/shanghai.3k9m2x-4t7qzd.e1"."""
    ticket = TicketName.parse(ticket_of(engagement))
    number = engagement.rsplit("/", 1)[-1]
    return f"charges/{short_unit(ticket.unit)}.{ticket.id}.{number}"


def _leg_of(unit: str, engagement: EngagementSummary) -> Leg.ValueType | None:
    """Return which leg this unit posts; None for a unit that served itself, or that has no part in it."""
    if engagement.home == engagement.provider:
        return None
    return {engagement.home: Leg.PAYABLE, engagement.provider: Leg.RECEIVABLE}.get(unit)


def _rate_of(work: Work, engagement: EngagementSummary) -> Rate:
    """Return the rate that applies, from what both units know of the engagement, so that both find the same one."""
    standards = work.standards_of(engagement.policy_version)
    try:
        facts = facts_of(standards, engagement.ticket, engagement.home)
    except (CategoryUnknown, UnitUnknown):
        facts = None
    return standards.rate_for(facts, engagement.provider)


def accounts_of(charge: Charge) -> tuple[str, str]:
    """Return the accounts that a leg debits and credits."""
    if charge.leg == Leg.PAYABLE:
        return f"expense/engagements/{charge.counterparty}", f"payable/{charge.counterparty}"
    return f"receivable/{charge.counterparty}", f"revenue/engagements/{charge.counterparty}"


def post(work: Work, charge: Charge) -> None:
    """Keep a leg with its two entries."""
    session = work.session
    debited, credited = accounts_of(charge)
    accounts = [{"name": name, "open_time": work.now} for name in sorted((debited, credited))]
    session.execute(upsert(Account).values(accounts).on_conflict_do_nothing())
    session.add(charge)
    session.flush()
    journal = Journal(charge=charge.name, leg=charge.leg, post_time=work.now)
    session.add(journal)
    session.flush()
    amount, currency = charge.amount, charge.currency
    session.add_all(
        [
            Entry(journal=journal.number, line=1, account=debited, currency=currency, debit=amount, credit=0),
            Entry(journal=journal.number, line=2, account=credited, currency=currency, debit=0, credit=amount),
        ]
    )


def policy_acknowledged(work: Work, fact: Fact) -> None:
    """Take this service's copy of a policy version that the unit put in force."""
    work.policies.enact(work.session, cast(PolicyAcknowledged, fact.payload).policy)


EFFECTS: dict[type, Effect] = {EngagementConfirmed: engagement_confirmed, PolicyAcknowledged: policy_acknowledged}
"""What this service does about what others tell it, by the fact."""
