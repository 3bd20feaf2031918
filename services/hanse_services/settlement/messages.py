"""Rows as the contract has them."""

from hanse_protos.settlement.v1 import settlement_pb2 as pb
from hanse_services.settlement.model import Charge, Entry, Journal
from hanse_services.settlement.money import to_money


def charge_message(charge: Charge) -> pb.Charge:
    """Return a charge as the contract has it."""
    message = pb.Charge(
        name=charge.name,
        engagement=charge.engagement,
        home=charge.home,
        provider=charge.provider,
        amount=to_money(charge.amount, charge.currency),
        rate=charge.rate,
        policy_version=charge.policy_version,
        leg=charge.leg,  # type: ignore[arg-type]  # ProtoEnum stores values of this enum.
    )
    message.confirm_time.FromDatetime(charge.confirm_time)
    message.post_time.FromDatetime(charge.post_time)
    return message


def entry_message(journal: Journal, entry: Entry) -> pb.LedgerEntry:
    """Return a line of a journal as the contract has it; of debit and credit, one is set."""
    message = pb.LedgerEntry(journal=f"journals/{journal.number}", account=entry.account, charge=journal.charge)
    if entry.debit:
        message.debit.CopyFrom(to_money(entry.debit, entry.currency))
    else:
        message.credit.CopyFrom(to_money(entry.credit, entry.currency))
    message.post_time.FromDatetime(journal.post_time)
    return message
