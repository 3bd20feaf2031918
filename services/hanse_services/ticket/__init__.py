"""The service desk of one unit: its tickets, and the engagements that it takes part in.

A **ticket** lives in its home unit for its whole life: NEW → IN_PROGRESS ⇄ WAITING → RESOLVED → CLOSED, and back from
RESOLVED when a solution did not hold. Its tier climbs from 1 to 3. What the unit can't solve becomes an
**engagement**: the home unit asks, headquarters offers it to a provider, the provider accepts, works, delivers, and the
home unit confirms. The ticket keeps its name throughout; only its holder changes, and with it the calendar that its
clocks count on.

- `model`: the tables, the states, the allowed transitions.
- `clocks`: promises as rows, computed from `segments`: who held the ticket, and which clocks stood. `rules`: what the
  policy makes of them as the ticket is now. `opening`: the clocks of a new ticket. `holding`: who holds it, and tells.
- `commands`: what the desk may do. `engagements`: the same for engagements. `evaluation`: what is due on the clocks.
- `teams`: who of the desk gets a ticket; `staffing` sets the teams up. `hierarchy`: who above the desk is told.
- `peers`: what the home unit offers itself while headquarters is out of reach.
- `effects`: what the desk does about what others tell it. `imports`: history from a legacy system.
- `queue`, `attainment`: what is due, and how promises were kept.
- `replaying`, `repair`, `explaining`: clocks computed anew from a ticket's history.
- `queries`, `timeline`: what may be asked. `servicer`, `reactions`: the two doors.

Each fact has one writer: the home unit writes the ticket, the provider writes its work, headquarters writes offers. So
the two units' copies of an engagement never conflict; one may only be behind the other. What comes late is applied at
the time at which it happened. What comes twice is applied once (`hanse.telling.inbox`).
"""
