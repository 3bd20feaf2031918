"""The federation: how what happens in a unit reaches headquarters, and how headquarters reaches the units.

A unit and headquarters are joined by one *link*: one gRPC stream that the unit opens and that stays open. Nobody ever
dials into a unit. Over it both ends do the same thing, in opposite directions: they copy streams of the event log.

    unit's database                                                headquarters' database
    ┌─────────────────────┐   up: the streams of its services    ┌───────────────────────────┐
    │ ticket.log_record   │ ───────────────────────────────────> │ copies of every stream    │──> views of the group
    │ policy, settlement, │                                      │                           │──> who is told: one
    │ knowledge …         │   down: one stream, for this unit    │                           │    stream for each unit
    │ its copy of to-unit │ <─────────────────────────────────── │ units/hq/streams/to-unit  │
    └─────────────────────┘                                      └───────────────────────────┘
         the agent                                                          the hub

Headquarters' own desk is a unit like any other, with an agent that dials the hub beside it.


Units that trust each other as peers have direct lines besides, for the time in which headquarters is out of reach; they
are a package of their own, `peers`.


## What leaves a unit

Events name no person and hold no free text; what they say in words is sealed beside them, and stays in the unit unless
the policy in force grants it, field by field (`sharing`). The chain verifies all the same. What is granted to the other
side of an engagement passes through headquarters, which keeps it no longer than that takes (`headquarters.passing`).
Texts about a ticket whose customer was erased go everywhere, and come in nowhere (`erasing`).


## Where to read on

| Package or module | What it knows |
|---|---|
| `link` | the line itself: its two ends (`agent`, `hub`), what travels on it, what fails how, how it is doing |
| `sharing`, `erasing` | what leaves a unit, and what may come in nowhere any more |
| `headquarters` | what headquarters makes of what it hears: views, engagements, routing, what is passed on |
| `peers` | direct lines between units, for the time without headquarters |
| `membership` | who belongs to the group: inviting, enrolling, admitting, revoking, retiring |
| `recovery` | streams whose two holders disagree: quarantine, and the ways out of it |
| `model` | the tables, in a unit and at headquarters |
| `servicer`, `reactions`, `effects` | the doors: gRPC beside the link itself, and what others in the unit tell |
"""
