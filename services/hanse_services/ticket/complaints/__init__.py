"""Complaints: a customer is not content with how a ticket was handled. A process of its own, apart from the tiers.

A **complaint** is about one ticket of this unit, open or closed, and is looked into by somebody who did not work on it.
It never goes to a tier: it begins with the unit's manager, or at the level that the policy says, and ends at
headquarters at the latest.

    OPEN ──acknowledge──> ACKNOWLEDGED ──answer──> ANSWERED ──close──> CLOSED
      ^  \\                     |                      |
      │   └─escalate, time out─┤    reject the answer │        withdraw: from every state before, to CLOSED
      └──── next level <───────┴──────────────────────┘

Each level has it anew: OPEN, with a time to acknowledge and a time to answer that both begin when it comes there, on
the calendar of the level's unit. When either runs out, the next level has it; above headquarters there is nobody, and
there it stays overdue. An answer starts a third clock, the customer's time to reject it; when that runs out the
complaint closes by itself, accepted by silence. Clocks are rows with steps, as a ticket's are; the ticket's own clocks
know nothing of it.

| Who | may |
|---|---|
| customer, by way of a partner or the desk | file, reject an answer, withdraw |
| a lead who did not work on the ticket, while a level of the unit has it | acknowledge, note, answer, escalate, close |
| headquarters, once it has come there | acknowledge, answer (`hanse_federation.headquarters.complaints`) |
| the waiting process `complaint` | evaluate: warn, note that a time ran out, take it to the next level, close it |

The home unit writes the complaint. What headquarters does with it there is headquarters' own fact, `ComplaintSeen` and
`ComplaintDecided`; it comes down like every other, and the complaint follows it, at the time at which it happened.
While the line is down both wait in their logs: the complaint on its way up, the answer on its way down. A time of
headquarters' that ran out meanwhile only here is taken back when the fact arrives.

Texts are sealed and stay in the unit. With the step to headquarters go those that it needs for an answer, as far as the
sharing rules grant them. A complaint is named inside its ticket, so whatever erases the ticket's texts erases its too;
a person with a complaint that is not over can't be erased.

- `model`: the tables, states, transitions. `clocks`: what is promised at a level.
- `commands`: what people may do. `evaluation`: what is due. `effects`: what headquarters told, and restoring.
- `handlers`: who may not handle it. `queries`, `attainment`, `messages`, `servicer`: the way out.
"""
