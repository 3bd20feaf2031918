"""The event log: what has happened in a unit, in order, for ever.

Every service keeps its own log in its own schema, in the same database as its state, and appends to it in the same
transaction that changes the state. Nothing else ever leaves a service. Followers read the log and carry it on: the
relay to the unit's reactions, the federation agent to headquarters, the starter to Temporal.

Three properties make the log worth following:

- **Dense and commit-ordered.** The last statement of a transaction takes the next numbers from the stream's head row
  under its row lock (`append`). So a reader that has seen number n has seen everything before n, for ever: there are
  no gaps to wait for, and no number appears late. A `bigserial` cursor has neither property.
- **Chained.** Each record's hash covers the hash before it, its place and the exact bytes of its event (`chain`). Two
  holders of a stream who agree on one hash agree on everything before it. Gaps, forks, edits and cut tails show.
- **Selective.** Free text is not in the event but beside it, in sealed fields; the event holds their digests. So the
  chain verifies everywhere, and a unit still decides field by field what leaves it (`sealing`).

The same tables hold a service's own stream, headquarters' copies of the units' streams, the streams from
headquarters to the units, and the units' copies of those: a stream is a stream, whoever keeps it.

A writer that has lost a part of its stream goes on in a new *epoch* behind what is left (`epochs`).

`events` makes an event and reads what it says, `tables` holds the records and heads, `follow` reads a stream in order,
and `verify` says whether every record follows from the one before.

When it fails: a transaction that can't append does not commit. A reader that finds a record that doesn't follow from
the one before stops with `LogGap` or `LogFork` and changes nothing.
"""
