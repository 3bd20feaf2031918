"""The clocks of a ticket: what is promised, to whom, what is used up, and what happens when it runs out.

    the policy's promises ──opening, rules──> rows with deadlines ──evaluation──> warned, climbed, asked, breached
    the ticket's segments ─────────────────────────┘      │
                                                          └── queue, attainment: asked of them; repair: made anew

A clock is a row (`rows`) of one kind and number: a response, a solution, the third reply, the stay in a tier. It stores
its promise, its deadlines and which of its steps are done, and no time used: that is the exact sum of the ticket's
`segments`, which say who held the ticket, on which calendar, and which kinds of clocks stood.

- `opening`: the clocks of a ticket that has just been opened. `rules`: what the policy makes of them from then on.
- `evaluation`: what is due now, done once. `skipping`: a person has decided that it is not done.
- `queue`: what runs out next. `attainment`: how promises were kept.
- `replaying`: the same clocks computed from the ticket's history. `repair` puts that in place of the rows, `correcting`
  says first when steps really happened; `explaining` says it line by line; `judging` plays a policy's own steps too,
  for what another one would have made of it.
- `recomputing`: the same from the rows alone, where another policy differs in lengths only. `bulk_repair` puts all
  tickets with open clocks under a policy that way, many in one statement of `bulk_rows`. `choosing`: who may choose
  which version for that.

The arithmetic is in `hanse.policy`; waiting is Temporal's, which holds no deadline: what is lost there is built again
from these rows. A step that comes late is done late, once; a change that makes a deadline earlier wakes who waits.
"""
