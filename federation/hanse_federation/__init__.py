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


## What an end says

The agent begins with *Hello*: where its copy of the stream from headquarters ends, and how many records it will take
without having acknowledged them (its *credit*). The hub answers with *Welcome*: where its copies of the unit's streams
end, and its own credit. From then on each end sends, as it likes:

- a *batch*: records of one stream, without a gap, each with its hash. Streams take turns, so a policy's acknowledgement
  does not wait behind a backlog of tickets.
- an *acknowledgement*: "I have **committed** this stream up to here, and this is the hash". It frees credit.
- a *heartbeat*, every two seconds: where its own streams end, so that the other end knows how far behind it is.

Three rules carry everything else:

1. **Acknowledge after COMMIT, never before.** A write to a socket proves nothing.
2. **Resume from what the receiver says.** The sender keeps no position that matters. Acknowledgements that got lost
   with a line cost a repetition, which the receiver knows by its hash.
3. **Check, then store.** A batch must follow from the head that is stored, and every hash in it is computed anew. So
   two ends that agree on one hash agree on everything before it.


## What headquarters does with a batch

In one transaction: it copies the records into its log, brings its views up to date (`projections`), lets the facts
take effect on engagements (`engagements`), appends what concerns other units to the streams to them (`forwarding`),
and moves the head of the stream. Then it acknowledges. So a fact is never seen without its consequences, and a batch
that is sent twice has them once. Routing's decisions are commands (`routing`), which append to headquarters' own stream
and to those of the units that they concern, in one transaction too.


## What leaves a unit

Events name no person and hold no free text; what they say in words is sealed beside them, and stays in the unit unless
the policy in force grants it, field by field (`sharing`). The chain verifies all the same. What is granted to the
other side of an engagement passes through headquarters, which keeps it no longer than that takes (`passing`). Texts
about a ticket whose customer was erased go everywhere, and come in nowhere (`erasing`).


## The states of a link, and what fails how

    OFFLINE --dial, Hello, Welcome--> LIVE --line broken, silence, error--> OFFLINE

**Offline is normal.** The unit works on; its log is the queue. The agent dials again after half a second, then ever
more slowly up to a few seconds, with jitter so that units don't come back all at once. An answer resets it.

| What happens | What follows |
|---|---|
| The line breaks, or swallows bytes without a word | both ends notice within 10 s by silence; the agent dials again |
| Either process is killed | what was not committed was not acknowledged, and comes again |
| The receiver is slow, or stops reading | credit runs out and the sender waits; nothing piles up in memory |
| The sender does not heed its credit | CREDIT_EXCEEDED, the link ends; the agent resumes from what was committed |
| A frame breaks its contract, or is of a kind that this version does not know | VALIDATION_FAILED, the link ends |
| An event is of a type, or has fields, that this version does not know | it is stored and passed on as it is |
| A heartbeat names streams that this end does not take | they are passed over |
| A second link of one unit comes in | it takes over, since the line of the older one is dead |
| A frame or a fact speaks for another unit | FRAME_FOREIGN, the link ends, nothing is stored |
| A unit that is not a member dials (`membership`) | UNIT_NOT_ADMITTED, UNIT_REVOKED or UNIT_RETIRED |
| A unit is revoked while its link is up | the link closes at the next heartbeat, with UNIT_REVOKED |
| A certificate is not of exactly one unit, or was revoked | CERTIFICATE_INVALID, CERTIFICATE_REVOKED |
| What answers at the hub's address is not headquarters | HUB_FOREIGN; nothing is sent |
| A certificate expires | it was renewed long before; else CERTIFICATE_EXPIRED, and the unit enrols again |
| A batch leaves a gap | LOG_GAP with the expected position; the agent resumes from there |
| The same gap comes again, so it is in the log itself | LOG_GAP, as follows |
| A record is not what was hashed, or what was acknowledged is not what was sent | LOG_FORK, as follows |
| An end was restored from an old backup | LOG_FORK, as follows |

A fork is data loss, which no retry heals. The *stream* goes into quarantine at both ends, which raise an alarm; the
unit's other streams go on (`quarantine`). A person ends it (`recovery`, `reseeding`). Nothing is ever overwritten.


## Where to read on

`frames` and `link` are what both ends share, `sending` and `receiving` its two halves; `agent` and `hub` are the ends.
`membership` says who may come in, and `seeding` what a unit is told when it is admitted. `enrolment` is headquarters'
counter for units that come, renew and go, `enrolling` the unit's side of it; `dialling` knows headquarters before
anything is said.
`status` keeps how links are doing, in the database, so that any process can show it: `linking` does, and `metrics`.
`model` has the tables.
"""
