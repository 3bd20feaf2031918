"""The conditions of a policy: CEL, compiled and type-checked when a policy is loaded, bounded when it runs.

This is all that the rest knows of `cel-expr-python`, a young library around cel-cpp. What was found out about it:

- It takes the contract's descriptors, so `ticket` is a real TicketFacts and a misspelt field does not compile. `dyn()`
  would switch that check off, so it is refused.
- Parsing stops at 32 levels of nesting, and running stops at an iteration budget that nested comprehensions use up
  together. Neither limit can be set from Python; the tests pin that both are there.
- What goes wrong while running comes back as a *value* whose type is ERROR (a division by zero, an index out of range),
  save for the budget, which raises. Both mean that there is no answer; `hanse.policy.unanswered` says what becomes of
  such a condition.

Not holding is the side on which a mistake does least, so a rule is written to give something when its condition holds,
never when it does not:

| Without an answer | |
|---|---|
| a target, an agreement, a rate, a rule for complaints | the next is asked; of rates and of rules there is a last one |
| `start` of a clock | it does not start yet, and is asked again with each change |
| `pause` | the clock runs |
| `cancel`, `reset` | the clock goes on |
| suspended work | may not be suspended, so the clocks run |
| a rung, a level | nobody climbs or is told by it; other rungs, warnings and the breach come all the same |
| a shared desk | does not take the ticket |
| `eligible`, of a provider | it is not asked; the final owner takes what nobody else can be asked for |
| the score of a provider | it is asked after all that have one |

Which text leaves a unit depends on no condition (`SharingRule`), so none without an answer can release any.

A `Scope` is the list of variables that a kind of rule may use, so `provider` in a service target does not compile
either. CEL's language definition: https://github.com/google/cel-spec/blob/master/doc/langdef.md
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from cel_expr_python import cel  # type: ignore[import-untyped]  # It ships stubs, but not the py.typed marker.
from google.protobuf import descriptor_pool

from hanse.errors import PolicyInvalid
from hanse.policy.errors import ConditionFailed
from hanse.policy.unanswered import Unanswered, disregard
from hanse_protos.policy.v1.policy_pb2 import ClockSituation, TicketFacts, UnitProfile

# As long as the contract allows a condition to be; compiling one of this size stays under 10 ms.
MAX_EXPRESSION_CHARACTERS = 2_000

LOWEST_SCORE = -math.inf
"""What a provider without a score has: it is asked last, rather than never."""

Fact: TypeAlias = TicketFacts | UnitProfile | ClockSituation | int | float | bool

_FACTS = cel.Type(TicketFacts.DESCRIPTOR.full_name)
_PROFILE = cel.Type(UnitProfile.DESCRIPTOR.full_name)
_CURRENT = cel.Type(ClockSituation.DESCRIPTOR.full_name)

_DYNAMIC = re.compile(r"\bdyn\s*\(")
_COMPILER_POSITION = re.compile(r"<input>:(-?\d+):(-?\d+): ")
_STATUS_PREFIX = re.compile(r"^[A-Z_]+: (ERROR: )?")
_STATUS_SUFFIX = re.compile(r" \[[A-Z_]+\]$")


@dataclass(frozen=True, slots=True)
class Situation:
    """The facts at hand, bound to the variables of one scope; several conditions can be asked about it."""

    activation: cel.Activation


class Condition:
    """A boolean expression that has passed the type check; an empty one holds always."""

    def __init__(self, scope: Scope, text: str, path: str, unanswered: Unanswered = disregard) -> None:
        """Compile `text`; `path` is its place in the document, for errors. Raises `PolicyInvalid`."""
        self.path = path
        self.text = text.strip()
        self._unanswered = unanswered
        self.unconditional = is_unconditional(text)
        self._program = scope.program(text.strip() or "true", path)
        if self._program.return_type() != cel.Type.BOOL:
            raise invalid(path, f"the condition is a {self._program.return_type()}: it has to be true or false")

    def holds(self, situation: Situation) -> bool:
        """Tell whether the condition holds. Without an answer it does not, and whoever listens hears of it."""
        try:
            return self.answer(situation)
        except ConditionFailed as failed:
            self._unanswered(failed)
            return False

    def answer(self, situation: Situation) -> bool:
        """Tell whether the condition holds. Raises `ConditionFailed` where it has no answer."""
        if self.unconditional:
            return True
        answer = _run(self._program, situation, self.path)
        if isinstance(answer, bool):
            return answer
        raise _failed(self.path, str(answer))


_WORD = re.compile(r"[A-Za-z_]\w*")


def mentions(text: str, variable: str) -> bool:
    """Tell whether an expression may read a variable; a word in a text of its own counts too."""
    return variable in _WORD.findall(text)


class Score:
    """A numeric expression that has passed the type check: the higher, the earlier a provider is asked."""

    def __init__(self, scope: Scope, text: str, path: str, unanswered: Unanswered = disregard) -> None:
        """Compile `text`; `path` is its place in the document, for errors. Raises `PolicyInvalid`."""
        self.path = path
        self._unanswered = unanswered
        self._program = scope.program(text, path)
        if not any(self._program.return_type() == number for number in (cel.Type.INT, cel.Type.DOUBLE)):
            raise invalid(path, f"the score is a {self._program.return_type()}: it has to be a number")

    def of(self, situation: Situation) -> float:
        """Give the score; the lowest of all where there is none, or where it can't be ordered."""
        try:
            return self.answer(situation)
        except ConditionFailed as failed:
            self._unanswered(failed)
            return LOWEST_SCORE

    def answer(self, situation: Situation) -> float:
        """Give the score. Raises `ConditionFailed` where there is none, or where it can't be ordered."""
        answer = _run(self._program, situation, self.path)
        if isinstance(answer, int | float) and math.isfinite(answer):
            return answer
        raise _failed(self.path, f"the score is {answer}")


class Scope:
    """The variables that one kind of rule may use, with their types."""

    def __init__(self, **variables: cel.Type) -> None:
        self.variables = frozenset(variables)
        self._environment = cel.NewEnv(descriptor_pool.Default(), variables=variables)

    def program(self, text: str, path: str) -> cel.Expression:
        """Compile and type-check an expression. Raises `PolicyInvalid` that names `path` and the column."""
        if len(text) > MAX_EXPRESSION_CHARACTERS:
            raise invalid(path, f"the expression has over {MAX_EXPRESSION_CHARACTERS} characters: shorten it")
        if _DYNAMIC.search(text):
            raise invalid(path, "dyn() would hide misspelt fields until a ticket meets them: write it without")
        try:
            return self._environment.compile(text)
        except (RuntimeError, ValueError) as error:
            raise invalid(path, self._explained(_compiler_message(error))) from error

    def _explained(self, message: str) -> str:
        """Say what could have been meant, where a name is not known: variables differ from rule to rule."""
        known = ", ".join(sorted(self.variables))
        return message.replace(" (in container '')", f"; this rule knows {known}")

    def situation(self, **facts: Fact) -> Situation:
        """Bind the facts. Each of the scope's variables is needed: a missing one fails only when it is read."""
        if facts.keys() != self.variables:
            raise TypeError(f"this scope takes {sorted(self.variables)}, not {sorted(facts)}")
        return Situation(self._environment.Activation(facts))


# Which facts a rule may look at: service targets and ladder steps; clocks; rates; eligibility; and the score.
TICKET_SCOPE = Scope(ticket=_FACTS, home=_PROFILE)
CLOCK_SCOPE = Scope(ticket=_FACTS, home=_PROFILE, current=_CURRENT)
PROVIDER_SCOPE = Scope(ticket=_FACTS, home=_PROFILE, provider=_PROFILE)
ELIGIBLE_SCOPE = Scope(ticket=_FACTS, home=_PROFILE, provider=_PROFILE, open_now=cel.Type.BOOL)
SCORE_SCOPE = Scope(
    ticket=_FACTS,
    home=_PROFILE,
    provider=_PROFILE,
    load=cel.Type.INT,
    open_now=cel.Type.BOOL,
    opens_in_minutes=cel.Type.INT,
    cost=cel.Type.DOUBLE,
)


def is_unconditional(text: str) -> bool:
    """Tell whether a condition holds always, as far as can be seen without knowing any facts."""
    return text.strip() in {"", "true"}


def invalid(path: str, problem: str, **metadata: str) -> PolicyInvalid:
    """Build the error for one place in a document: "targets[0].when: …"."""
    return PolicyInvalid(f"{path}: {problem}", path=path, problem=problem, **metadata)


def _run(program: cel.Expression, situation: Situation, path: str) -> object:
    try:
        value = program.eval(situation.activation)
    except RuntimeError as error:
        raise _failed(path, _run_message(error)) from error
    if value.type() == cel.Type.ERROR:
        raise _failed(path, _run_message(value.plain_value()))
    return value.value()


def _failed(path: str, problem: str) -> ConditionFailed:
    return ConditionFailed(f"{path}: {problem}", path=path, problem=problem)


def _run_message(problem: object) -> str:
    """Keep what went wrong of a status's text."""
    return _STATUS_PREFIX.sub("", _STATUS_SUFFIX.sub("", str(problem)))


def _compiler_message(error: Exception) -> str:
    """Keep the first line of the compiler's report, and turn its position into words."""
    first_line = _STATUS_SUFFIX.sub("", str(error).splitlines()[0])
    message = _STATUS_PREFIX.sub("", first_line)
    position = _COMPILER_POSITION.match(message)
    if not position:
        return message
    message = message[position.end() :]
    return f"{message} (at column {position[2]})" if int(position[2]) > 0 else message
