"""The group policy in one unit: headquarters publishes versions, every unit puts them in force.

Before it is a version it may be a **draft**, at headquarters only: written, handed in, approved by somebody who did not
write on it, published; returned or withdrawn instead. A policy that demands reviews is followed by no other way.

A version of the policy goes through four states:

- **published**: headquarters has checked the document, numbered it and told the group (`PolicyPublished`). Publishing
  puts nothing in force, not even at headquarters: every unit, headquarters' own desk among them, learns of it over the
  federation link, so that there is one way and no unit that is treated differently.
- **acknowledged**: a unit has received it and stored its copy. It tells so (`PolicyAcknowledged`), which headquarters
  counts, and which the unit's other services take their own copies from.
- **in force**: its time has come, which is at once where none was named.
- **superseded**: a newer version is in force. Nothing is ever deleted: a ticket that was opened under version 3, and a
  charge that was earned under it, are judged by version 3 for ever.

An **independent** unit has no headquarters: its own administrator publishes, and what is published is in force at once.
Its versions are negative and called `policies/own-3`; the group's first version is greater than all of them, and
supersedes them when the unit joins, while what was opened under them is judged by them for ever.

What is in force is the greatest version that has arrived and whose time has come: a version may be published for a time
to come, so that every unit has it before, and all change over in the same instant. A unit whose line is down goes on
under the version that it has, and catches up in order. A document that does not hold together is refused whole with
`PolicyInvalid`, which names every place; nothing of it is stored. Two publications at once take two numbers, one after
the other.

A unit may **tune** a version for itself, within the bounds that the version sets: an override is numbered, told
(`PolicyTuned`) and laid over the group's document for the tickets that the unit opens from then on. Places that a later
version does not allow are dropped while it is in force, which is told as well (`TuningCurtailed`); see
`hanse.policy.tuning`.

`model` holds the tables, `tuning` puts overrides in force, `drafting` writes and reviews, `commands` publishes and
enacts, `scheduled` looks after versions that wait for their time, `queries` shows, `messages` makes messages of rows,
and `problems` says what is wrong with a document in as many words as an error holds. The two doors are `servicer` and
`reactions`.
"""
