"""What people read of a what-if."""

from __future__ import annotations

import pytest

from hanse.cli.policy_what_if import Answer, show
from hanse_protos.federation.v1 import what_if_pb2 as pb
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep

BEFORE = pb.WhatIfVerdict(target="p1", tier=1, levels=[HierarchyStep.DESK_LEAD])
AFTER = pb.WhatIfVerdict(
    target="p1", tier=1, late_replies=2, levels=[HierarchyStep.DESK_LEAD, HierarchyStep.UNIT_MANAGER]
)


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """No table is folded."""
    monkeypatch.setattr("hanse.cli.output.console._width", 250)


def test_a_ticket_that_differs_says_only_what_differs(capsys: pytest.CaptureFixture[str]) -> None:
    difference = pb.WhatIfDifference(ticket="units/shanghai/tickets/a", before=BEFORE, after=AFTER)
    show(Answer([difference], []), every_ticket=False)
    line = capsys.readouterr().out.splitlines()[-1].split("  ")
    assert [word.strip() for word in line if word.strip()] == [
        "units/shanghai/tickets/a",
        "late replies 0, tells desk lead",
        "late replies 2, tells desk lead, unit manager",
    ]


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (pb.WhatIfVerdict(), "asks nobody"),
        (pb.WhatIfVerdict(provider="units/hq", asked_units=["units/hq"]), "asks hq"),
        (pb.WhatIfVerdict(provider="units/hq", asked_units=["units/hq"], final=True), "asks hq, the final owner"),
        (
            pb.WhatIfVerdict(desk="displays", asked_units=["units/hq", "units/munich"]),
            "asks the shared desk displays (hq, munich)",
        ),
    ],
)
def test_who_is_asked_first_is_a_unit_or_a_shared_desk_or_the_final_owner(
    verdict: pb.WhatIfVerdict, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    other = pb.WhatIfVerdict(desk="other", asked_units=["units/oslo"])
    difference = pb.WhatIfDifference(ticket="units/shanghai/tickets/a", before=other, after=verdict)
    show(Answer([difference], []), every_ticket=False)
    assert capsys.readouterr().out.splitlines()[-1].split("  ")[-1].strip(" │┃") == words


def test_what_can_not_be_known_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    summary = pb.WhatIfSummary(unit="units/shanghai", tickets=3, imported=1)
    summary.after.tickets_told_above = 2
    show(Answer([], [summary]), every_ticket=False)
    printed = capsys.readouterr().out
    assert "0 → 2" in printed
    assert "who above the desk would have acknowledged" in printed
    assert "Of 1 imported ticket it is not known what customers wrote" in printed
