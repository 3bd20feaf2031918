"""Headquarters' side of the federation: what it makes of what the units tell, what it decides, what it can be asked.

## What headquarters does with a batch

In one transaction, which batches of several links may share (`intake`): it copies the records into its log, brings its
views up to date (`projections`), lets the facts take effect on engagements (`engagements`), appends what concerns other
units to the streams to them (`forwarding`), and moves the heads of the streams. Then it acknowledges. So a fact is
never seen without its consequences, and a batch that is sent twice has them once. Routing's decisions are commands
(`routing`), which append to headquarters' own stream and to those of the units that they concern, in one transaction
too.


## Where to read on

- `intake` is where what the links bring comes together, and `absorbing` is that transaction; `foreign` (what is no
  fact), `projections`, `engagements`, `forwarding` and `passing` are its parts. What it fails over goes to
  `setting_apart`.
- `routing` decides who is asked for an engagement, and takes one that is stuck from its provider. `escalations` is what
  headquarters was told as the highest level, and that it has seen it. `complaints` answers those that came to it, and
  `complaint_states` lays that together with what their homes told.
- `overrides` is what the units have tuned for themselves, laid over the policy for routing and comparing.
- `views` answers what headquarters may ask about the group, and `messages` makes messages of its rows.
- `promises` answers what is due in the group, and how promises were kept.
- `what_if` says what another policy would have made of the tickets' lives, which the kernel reads from the copies of
  the logs (`hanse.policy.histories`).

Nothing here is needed for a unit's own work. While headquarters is away, units work on; when it is back, it takes in
what they did, in their order, and every view is again what it would have been.
"""
