"""What differs between two policy documents is told place by place."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from hanse.policy import Difference, diff, load_yaml
from hanse_protos.policy.v1.policy_pb2 import PolicyDocument

GROUP_POLICY = (Path(__file__).parents[4] / "policies" / "group.yaml").read_text()


def changed(old: str, new: str) -> list[Difference]:
    assert old in GROUP_POLICY
    return diff(load_yaml(GROUP_POLICY), load_yaml(GROUP_POLICY.replace(old, new, 1)))


def test_a_document_does_not_differ_from_itself() -> None:
    assert diff(load_yaml(GROUP_POLICY), load_yaml(GROUP_POLICY)) == []


def test_a_changed_value_is_told_at_its_place_as_people_write_it() -> None:
    assert changed("resolution: 4h", "resolution: 3h30m") == [Difference("targets[p1].resolution", "4h", "3h30m")]


def test_a_new_day_of_a_calendar_is_named_by_its_date() -> None:
    added = changed(
        "{date: 2026-12-24, note: Christmas Eve}", "{date: 2026-12-23}\n      - {date: 2026-12-24, note: Christmas Eve}"
    )
    assert added == [Difference("calendars[munich-office].exceptions[2026-12-23]", "", "{date: '2026-12-23'}")]


def test_a_rung_of_the_ladder_that_changed_is_one_dropped_and_one_added() -> None:
    before, after = changed("at_percent: 80", "at_percent: 85")
    assert (before.path, before.after, after.path, after.before) == ("ladder[4]", "", "ladder[4]", "")
    assert ("80" in before.before, "85" in after.after) == (True, True)


def test_text_of_a_map_is_named_by_its_key() -> None:
    assert changed("zh: 网络}", "zh: 网络连接}") == [Difference("categories[network].titles.zh", "网络", "网络连接")]


@pytest.mark.parametrize("field", ["targets", "rates"])
def test_an_order_that_decides_is_a_difference(field: Literal["targets", "rates"]) -> None:
    document = load_yaml(GROUP_POLICY)
    turned = PolicyDocument()
    turned.CopyFrom(document)
    rules = list(getattr(document, field))
    turned.ClearField(field)
    getattr(turned, field).extend([rules[1], rules[0], *rules[2:]])
    assert [difference.path for difference in diff(document, turned)] == [f"{field}, in their order"]


def test_an_order_that_decides_nothing_is_none() -> None:
    document = load_yaml(GROUP_POLICY)
    turned = PolicyDocument()
    turned.CopyFrom(document)
    turned.ClearField("units")
    turned.units.extend(reversed(document.units))
    assert diff(document, turned) == []
