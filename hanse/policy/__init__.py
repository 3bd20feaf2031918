"""The group's standards as pure functions: one document, evaluated in the same way by every service of every unit.

Headquarters publishes a `PolicyDocument`; this package reads it, checks it and answers from it. How urgent is a ticket
(`Standards.target_for`)? When is it due (`calendar`, `clock`)? Who climbs (`ladder_for`), and who is asked (`routing`)?
What does it cost (`rate_for`), and what may leave a unit (`grants`)? None of this touches a database, a network or the
time of day: `now` is always a parameter. So a deadline that was computed in Shanghai can be computed again in Munich,
today or in a year, and comes out the same.

A document goes through three states:

- **written**: YAML for people. `load_yaml` turns it into the contract's message, or names the place and the line.
- **checked**: `lint` lists what is wrong with a message: the contract's own rules first, then what contradicts itself.
  Only a document without problems may be published. `reach.warnings` lists what may be, but is hardly meant.
- **compiled**: `Standards` holds the conditions as checked CEL programs and the calendars as sorted stretches of
  working time. It is built once per version and then only read; share it freely between threads and tasks.

| Module | What it knows |
|---|---|
| `notation` | how people write durations, money and days of the week |
| `document` | YAML in and out |
| `diff` | what differs between two documents |
| `lint` | what makes a document contradict itself; `clock_checks` and `tunable_checks` are parts of it |
| `reach` | what is hardly meant in a document that holds together |
| `findings` | how a finding looks |
| `rehearsal` | the conditions, tried out before a real ticket meets them |
| `cost` | what an expression may not do, so that it stays cheap |
| `conditions` | CEL: a thin layer over a young library |
| `unanswered` | what becomes of a condition that has no answer for a ticket |
| `public_holidays` | which days a country takes off, and which weekends it works instead |
| `calendar` | working time between two instants, and the instant after so much of it |
| `promises` | the clocks that a target starts |
| `clock` | the sum of segments on different calendars: what is used up, and when it runs out |
| `histories` | what happened to a ticket, read from its events |
| `standards` | the compiled document and its answers |
| `routing` | who is asked next for an engagement |
| `levels`, `complaints` | the levels above a desk, and what is promised to somebody who complains |
| `explanation`, `routing_explained` | why the answers are what they are, rule by rule |
| `what_if` | what another policy would have made of a ticket |
| `facts` | what conditions see of a ticket, gathered from its row, its message or its summary |
| `tuning` | what a unit changes for itself, laid over the document as far as its bounds allow |
| `store` | a service's copy of the versions in force; the only module here that knows a database |

When something fails, it fails typed: `PolicyInvalid` while a document is written or compiled, and one of the errors in
`hanse.policy.errors` while it is evaluated. A condition that has no answer for a ticket (a number read out of a text
that has none) stops nothing: it does not hold for that ticket, which is the side on which least happens (`conditions`),
and it is counted, warned of and shown in the explanations, so that the next version can correct it.
"""

from hanse.policy.calendar import WorkingCalendar
from hanse.policy.diff import Difference, diff
from hanse.policy.document import dump_yaml, load_override_yaml, load_yaml
from hanse.policy.errors import (
    CategoryUnknown,
    ConditionFailed,
    HorizonExceeded,
    UnitUnknown,
)
from hanse.policy.lint import lint
from hanse.policy.standards import Standards

__all__ = [
    "CategoryUnknown",
    "ConditionFailed",
    "Difference",
    "HorizonExceeded",
    "Standards",
    "UnitUnknown",
    "WorkingCalendar",
    "diff",
    "dump_yaml",
    "lint",
    "load_override_yaml",
    "load_yaml",
]
