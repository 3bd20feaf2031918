"""The gateway for partner systems.

A partner opens tickets, reads and comments on its own ones, follows what happens to them, and complains about how they
were handled. It never sees another's: a ticket that is not its own does not exist for it.

- **Keys** (`keys`, `authentication`): a partner is admitted with an API key, which is shown once and kept as a hash. A
  new key voids the old one within 5 s, on open streams too. A key that is lost is replaced, not found.
- **The desk** (`desk`, `complaints`, `refusals`): every request becomes a call of the unit's ticket service, on the
  partner's behalf. What the desk refuses is translated here, reason by reason: the partner is told what it can act on,
  and never what is wrong inside the unit.
- **Events** (`events`): a stream of the steps of the partner's own tickets, each with a cursor. It is the ticket log
  read through a window, so nothing is kept here for a partner that is away; with the last cursor that it has handled
  it goes on there, without a gap and without a repeat. When the desk goes away, the stream ends with UNAVAILABLE; when
  the partner goes away, its stream is over at the next event.

`servicer` has the two doors: for partners, and for those who admit them (`commands`).
"""
