"""How a person may name a process."""

from pathlib import Path

import pytest

from hanse.cli.connection import At
from hanse.cli.workflow import id_of

TICKET = "units/hq/tickets/t1"


@pytest.mark.parametrize(
    ("named", "process"),
    [
        ("t1", f"sla:{TICKET}"),
        ("sla:t1", f"sla:{TICKET}"),
        (TICKET, f"sla:{TICKET}"),
        (f"sla:{TICKET}", f"sla:{TICKET}"),
        (f"{TICKET}/engagements/e1", f"escalation:{TICKET}/engagements/e1"),
        (f"{TICKET}/complaints/c1", f"complaint:{TICKET}/complaints/c1"),
    ],
)
def test_a_process_may_be_named_by_what_it_waits_for(named: str, process: str) -> None:
    assert id_of(At("hq", "li", Path(), as_json=False), named) == process
