"""Who may choose which version of the policy clocks are repaired under.

A repair judges anew what has happened: under a version that asks for less, a breach is none any more. So nobody chooses
a version whose time has not come, nor one of the unit's own once the group's policy is in force. A desk's lead chooses
what is in force now, or was when the ticket was opened; any other version is chosen by who sets the standards.
"""

from collections.abc import Collection
from datetime import UTC

from sqlalchemy.orm import Session

from hanse.errors import GroupPolicyInForce, PolicyNotYetInForce, PolicyVersionReserved
from hanse.identity import Role
from hanse.names import policy_name
from hanse.policy.store import PolicyStore


def check_choice(
    session: Session, policies: PolicyStore, version: int, roles: Collection[Role], *, opened_under: int = 0
) -> None:
    """Let somebody with these roles choose a version that this unit has. 0 for `opened_under` is none.

    Raises PolicyNotYetInForce, GroupPolicyInForce, PolicyVersionReserved.
    """
    name, in_force = policy_name(version), policies.current_version(session)
    if effective_time := policies.time_to_come(session, version):
        raise PolicyNotYetInForce(
            f"{name} is not in force before {effective_time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
            policy=name,
            effective_time=effective_time.isoformat(),
        )
    if version < 0 < in_force:
        raise GroupPolicyInForce(
            f"{name} was this unit's own, and the group's policy is in force",
            hint="Name a version of the group's, or leave each ticket under its own.",
            policy=name,
        )
    if Role.STANDARDS not in roles and version not in (in_force, opened_under):
        raise PolicyVersionReserved(policy=name)
