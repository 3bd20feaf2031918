"""Steps from state to state, as the models list them: for each verb, from which state it leads to which."""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from hanse.enums import name_of
from hanse.errors import IllegalTransition

State = TypeVar("State", bound=int)


def next_state(
    table: Mapping[str, Mapping[State, State]],
    states: Any,
    name: str,
    state: State,
    verb: str,
    *,
    untold: Collection[str] = (),
) -> State:
    """Return the state that a verb leads a resource to.

    `states` is the protobuf enum. Raises IllegalTransition where the verb leads nowhere from here; it names the verbs
    that do, but for those that are `untold`, which the caller doesn't have.
    """
    after = table[verb].get(state)
    if after is None:
        before = name_of(states, state)
        possible = [other for other, steps in table.items() if state in steps and other not in untold]
        raise IllegalTransition(
            f"{name} is {before}: {verb} is not possible",
            hint=f"Possible now: {', '.join(possible) or 'nothing, it is over'}.",
            resource=name,
            verb=verb,
            from_=before,
        )
    return after
