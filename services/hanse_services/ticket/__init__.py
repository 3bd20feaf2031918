"""The service desk of one unit: its tickets, and the engagements that it takes part in.

A **ticket** lives in its home unit for its whole life: NEW → IN_PROGRESS ⇄ WAITING → RESOLVED → CLOSED, and back from
RESOLVED when a solution did not hold. Its tier climbs from 1 to 3. What the unit can't solve becomes an
**engagement**: the home unit asks, headquarters offers it to a provider, the provider accepts, works, delivers, and the
home unit confirms. The ticket keeps its name throughout; only its holder changes, and with it the calendar that its
clocks count on.

- `model`: the tables, the states, the allowed transitions.
- `clocks`: a package of its own: promises, what is due on them, how they were kept, and how they are repaired.
- `loading`: the row that a command is about, locked. `messages`: rows as messages. `customers`, `partners`: on whose
  behalf a ticket is there.
- `commands`: what the desk may do. `reclassifying`, `suspending`: the two that change what is promised;
  `resuming`: work that waited goes on, at the cap by itself.
- `engagements`: the same for engagements. `peers`: what the home unit offers while headquarters is out of reach.
- `holding`: who holds a ticket; what has happened to it is told there, once its clocks have followed. `agreed`: what a
  provider has promised for an engagement.
- `complaints`: a package of its own: a customer is not content with how a ticket was handled.
- `teams`: who of the desk gets a ticket; `shifts`: the same when a shift begins; `staffing` sets the teams up.
  `hierarchy`: who above the desk is told; `levels`: who speaks for a level.
- `effects`: what the desk does about what others tell it. `imports`, `restoring`: history from a legacy system, or back
  from headquarters; `both_sides`: an engagement back from all that is known of it. `erasing`: a person's data goes.
- `queries`, `timeline`, `governance`, `partner_events`: what may be asked. `working`: when this unit worked on an
  engagement. `servicer`, `reactions`: the two doors.

Each fact has one writer: the home unit writes the ticket, the provider writes its work, headquarters writes offers. So
the two units' copies of an engagement never conflict; one may only be behind the other. What comes late is applied at
the time at which it happened, and nothing later than when it is heard of: who tells it may have a clock that is ahead.
Nor does a ticket change hands before it last did: that clock may be behind. What comes twice is applied once
(`hanse.telling.inbox`).
"""
