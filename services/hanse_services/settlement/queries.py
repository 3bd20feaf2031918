"""Reading the ledger: charges, entries, and what stands between this unit and the others."""

from collections import Counter, defaultdict
from dataclasses import dataclass

from sqlalchemy import distinct, func, or_, select
from sqlalchemy.orm import Session

from hanse.errors import ResourceNotFound
from hanse.rpc.paging import decode_token, encode_token, page_size
from hanse_protos.settlement.v1 import settlement_pb2 as pb
from hanse_services.settlement.messages import charge_message, entry_message
from hanse_services.settlement.model import Charge, Entry, Journal
from hanse_services.settlement.money import to_money

PAYABLE = "payable"
RECEIVABLE = "receivable"


def get_charge(session: Session, request: pb.GetChargeRequest) -> pb.Charge:
    """Return this unit's leg of a charge. Raises ResourceNotFound."""
    charge = session.scalars(select(Charge).where(Charge.name == request.name)).one_or_none()
    if charge is None:
        raise ResourceNotFound(resource=request.name)
    return charge_message(charge)


def list_charges(session: Session, unit: str, request: pb.ListChargesRequest) -> pb.ListChargesResponse:
    """Return the charges of this unit, the last posted first. Raises ResourceNotFound for another unit's ledger."""
    require_own(unit, request.parent)
    size = page_size(request.page_size)
    query = select(Charge, Journal.number).join(Journal, (Journal.charge == Charge.name) & (Journal.leg == Charge.leg))
    if after := decode_token(request.page_token, [int]):
        query = query.where(Journal.number < after[0])
    rows = session.execute(query.order_by(Journal.number.desc()).limit(size + 1)).all()
    token = encode_token(rows[size - 1].number) if len(rows) > size else ""
    return pb.ListChargesResponse(charges=[charge_message(row.Charge) for row in rows[:size]], next_page_token=token)


def list_ledger_entries(
    session: Session, unit: str, request: pb.ListLedgerEntriesRequest
) -> pb.ListLedgerEntriesResponse:
    """Return the entries of this unit's ledger, the last posted first, each journal in the order of its lines.

    Raises ResourceNotFound for another unit's ledger.
    """
    require_own(unit, request.parent)
    size = page_size(request.page_size)
    query = select(Journal, Entry).join(Entry, Entry.journal == Journal.number)
    if after := decode_token(request.page_token, [int, int]):
        journal, line = after
        query = query.where(or_(Journal.number < journal, (Journal.number == journal) & (Entry.line > line)))
    rows = session.execute(query.order_by(Journal.number.desc(), Entry.line).limit(size + 1)).all()
    last = rows[size - 1] if len(rows) > size else None
    token = encode_token(last.Journal.number, last.Entry.line) if last else ""
    entries = [entry_message(row.Journal, row.Entry) for row in rows[:size]]
    return pb.ListLedgerEntriesResponse(entries=entries, next_page_token=token)


@dataclass
class _Standing:
    """What stands between this unit and another in one currency, in minor units."""

    receivable: int = 0
    payable: int = 0
    charges: int = 0

    def line(self, counterparty: str, currency: str) -> pb.StatementLine:
        return pb.StatementLine(
            counterparty=counterparty,
            receivable=to_money(self.receivable, currency),
            payable=to_money(self.payable, currency),
            net=to_money(self.receivable - self.payable, currency),
            charges=self.charges,
        )


def get_statement(session: Session, unit: str, request: pb.GetStatementRequest) -> pb.Statement:
    """Return what stands between this unit and each other one, by currency, summed up from the entries.

    Raises ResourceNotFound for another unit's ledger.
    """
    require_own(unit, request.parent)
    standings: defaultdict[tuple[str, str], _Standing] = defaultdict(_Standing)
    difference: Counter[str] = Counter()
    for account, currency, debit, credit, journals in _sums_by_account(session):
        difference[currency] += debit - credit
        kind, _, counterparty = account.partition("/")
        if kind == RECEIVABLE:
            standings[counterparty, currency].receivable += debit - credit
            standings[counterparty, currency].charges += journals
        elif kind == PAYABLE:
            standings[counterparty, currency].payable += credit - debit
            standings[counterparty, currency].charges += journals
    lines = [standing.line(*key) for key, standing in sorted(standings.items())]
    return pb.Statement(unit=unit, lines=lines, balanced=not any(difference.values()))


def _sums_by_account(session: Session) -> list[tuple[str, str, int, int, int]]:
    """Return debits, credits (in minor units) and how many journals touch it, for each account and currency."""
    journals = func.count(distinct(Entry.journal))
    query = select(Entry.account, Entry.currency, func.sum(Entry.debit), func.sum(Entry.credit), journals)
    rows = session.execute(query.group_by(Entry.account, Entry.currency))
    # PostgreSQL sums up whole numbers as numeric, which has no bound; Python's whole numbers have none either.
    return [(account, currency, int(debit), int(credit), count) for account, currency, debit, credit, count in rows]


def require_own(unit: str, parent: str) -> None:
    """Raise ResourceNotFound unless the ledger that is asked for is this unit's own."""
    if parent != unit:
        raise ResourceNotFound(resource=parent)
