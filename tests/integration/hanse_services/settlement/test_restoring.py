"""The ledger comes back from its events as it was."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from hanse.log.events import Fact
from hanse.policy.store import PolicyStore
from hanse.runtime import Runtime
from hanse.work import Work
from hanse_services.settlement.model import SCHEMA
from hanse_services.settlement.restoring import RESTORES
from tests.integration.hanse_services.settlement.test_posting import MUNICH, Act, OpenLedger, charge_of, entries_of
from tests.support import cause_by, told


def lose(session: Session) -> None:
    """Be as an old backup is: what is posted can't be taken out, so the triggers that say so are off for a moment."""
    session.execute(text("SET LOCAL session_replication_role = replica"))
    session.execute(text("TRUNCATE settlement.entry, settlement.journal, settlement.account, settlement.charge"))


async def restore(runtime: Runtime) -> None:
    facts = [Fact(event, payload, {}) for event, payload in await told(runtime, SCHEMA) if payload]

    def restore_all(session: Session) -> None:
        for fact in facts:
            work = Work(session, runtime.unit, cause_by(), fact.occur_time, PolicyStore(SCHEMA))
            RESTORES[type(fact.payload)](work, fact)

    await runtime.database.write(restore_all)


async def test_a_lost_charge_comes_back_once_with_its_entries(open_ledger: OpenLedger, confirm: Act) -> None:
    munich = await open_ledger(MUNICH)
    await confirm(munich)
    charge = await charge_of(munich)
    lines = [(entry.account, entry.debit, entry.credit) for entry in await entries_of(munich)]
    await munich.database.write(lose)
    await restore(munich)
    await restore(munich)
    assert await charge_of(munich) == charge
    assert [(entry.account, entry.debit, entry.credit) for entry in await entries_of(munich)] == lines
