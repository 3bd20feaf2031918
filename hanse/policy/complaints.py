"""What the policy says on complaints besides what each rule writes down."""

from datetime import timedelta

from hanse_protos.policy.v1.policy_pb2 import ComplaintRule, HierarchyStep

LEVELS = (HierarchyStep.DESK_LEAD, HierarchyStep.UNIT_MANAGER, HierarchyStep.HEADQUARTERS)
"""From the lowest to the highest: a complaint only ever goes up, one level at a time."""
FIRST_LEVEL = HierarchyStep.UNIT_MANAGER
"""Where it begins unless the policy says otherwise: at the top of the unit."""
CLOSE_AFTER = timedelta(days=14)
"""How long an answer waits for the customer where the policy doesn't say."""


def close_after_of(rule: ComplaintRule | None) -> timedelta:
    """Return how long an answer waits for the customer to reject it before the complaint closes, in elapsed time."""
    return rule.close_after.ToTimedelta() if rule and rule.HasField("close_after") else CLOSE_AFTER
