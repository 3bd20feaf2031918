"""Partners at the desk: their systems call the gateway, and the gateway calls the desk on their behalf."""

from hanse.identity import Role
from hanse.rpc.call import current_caller


def check_partner(partner: str) -> None:
    """Only the gateway speaks for a partner. Raises RoleMissing for people."""
    if partner:
        current_caller().require(Role.SYSTEM)
