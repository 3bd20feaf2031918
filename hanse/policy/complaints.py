"""What the policy says on complaints besides what each rule writes down."""

from collections.abc import Sequence
from datetime import timedelta

from google.protobuf.duration_pb2 import Duration

from hanse.names import HEADQUARTERS
from hanse.policy.calendar import ELAPSED_ID
from hanse.policy.errors import UnitUnknown
from hanse.policy.levels import LEVELS, Level
from hanse.policy.standards import Standards
from hanse.times import duration
from hanse_protos.policy.v1.policy_pb2 import ClockRule, ComplaintRule, HierarchyStep

FIRST_LEVEL = HierarchyStep.UNIT_MANAGER
"""Where it begins unless the policy says otherwise: at the top of the unit."""
CLOSE_AFTER = timedelta(days=14)
"""How long an answer waits for the customer where the policy doesn't say."""


def close_after_of(rule: ComplaintRule | None) -> timedelta:
    """Return how long an answer waits for the customer to reject it before the complaint closes, in elapsed time."""
    return close_after_in(rule).ToTimedelta()


def close_after_in(rule: ComplaintRule | None) -> Duration:
    """Return the same as it is written, in a rule that was not checked yet: it may be longer than a timedelta."""
    return rule.close_after if rule and rule.HasField("close_after") else duration(CLOSE_AFTER)


def levels_of(standards: Standards, unit: str, rule: ComplaintRule | None) -> Sequence[Level]:
    """Return the levels that may have a complaint of a unit, in order.

    An independent unit has no headquarters: its manager is the top.
    """
    levels = LEVELS if standards.lists_others(unit) else LEVELS[:-1]
    first = (rule.first_level if rule else HierarchyStep.LEVEL_UNSPECIFIED) or FIRST_LEVEL
    return levels[levels.index(first if first in levels else FIRST_LEVEL) :]


def calendar_of(standards: Standards, rule: ComplaintRule, level: Level, home: str) -> str:
    """Return the calendar that the times of a level count on.

    It is that of the level's unit: the home unit's where the policy lists no headquarters.
    """
    if rule.time == ClockRule.ELAPSED:
        return ELAPSED_ID
    try:
        return standards.calendar_of(HEADQUARTERS if level == HierarchyStep.HEADQUARTERS else home)
    except UnitUnknown:
        return standards.calendar_of(home)
