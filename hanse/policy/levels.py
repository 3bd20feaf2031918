"""The levels above a desk's agents, and their order: who is told of a clock, and to whom a complaint comes."""

from __future__ import annotations

from typing import TypeAlias

from hanse.enums import in_words
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep

Level: TypeAlias = HierarchyStep.Level.ValueType

LEVELS: tuple[Level, ...] = (HierarchyStep.DESK_LEAD, HierarchyStep.UNIT_MANAGER, HierarchyStep.HEADQUARTERS)
"""From the lowest to the highest. Everything goes up one level at a time."""


def level_above(level: Level) -> Level | None:
    """Return the next level; None above headquarters."""
    return next(iter(LEVELS[LEVELS.index(level) + 1 :]), None)


def level_in_words(level: Level) -> str:
    """Return a level as it stands in a sentence: "the desk lead", "headquarters"."""
    word = in_words(HierarchyStep.Level, level)
    return word if level == HierarchyStep.HEADQUARTERS else f"the {word}"
