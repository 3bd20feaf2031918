"""The levels above a desk's agents inside a unit, and who speaks for each.

What comes to the desk's lead, the manager may answer too. What comes to the manager, often since the lead was silent or
is complained about, is not the lead's to answer. In a small unit one person may have both roles.
"""

from hanse.errors import LevelAboveCaller
from hanse.identity import Role
from hanse.work import Work
from hanse_protos.policy.v1.policy_pb2 import HierarchyStep


def check_level(work: Work, resource: str, level: HierarchyStep.Level.ValueType) -> None:
    """Let the caller speak for a level. Raises LevelAboveCaller for a lead and what has come to the unit's manager."""
    if level == HierarchyStep.UNIT_MANAGER and Role.MANAGER not in work.cause.roles:
        raise LevelAboveCaller(resource=resource, level=HierarchyStep.Level.Name(level))
