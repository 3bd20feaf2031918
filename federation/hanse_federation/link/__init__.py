"""The link: one gRPC stream between a unit and headquarters, over which both ends copy streams of the event log.

`agent` is the unit's end and dials; `hub` is headquarters' end and takes every unit's. What they share is `end` (hear,
send, give signs of life) over `sending` and `receiving`, its two halves.


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


## The states of a link, and what fails how

    OFFLINE --dial, Hello, Welcome--> LIVE --line broken, silence, error--> OFFLINE

**Offline is normal.** The unit works on; its log is the queue. The agent dials again after half a second, then ever
more slowly up to a few seconds, with jitter so that units don't come back all at once. An answer resets it.

| What happens | What follows |
|---|---|
| The line breaks, or swallows bytes without a word | both ends notice within 10 s by silence; the agent dials again |
| Either process is killed | what was not committed was not acknowledged, and comes again |
| The receiver is slow, or stops reading | credit runs out and the sender waits; nothing piles up in memory |
| An end goes on sending without reading its answers | FRAMES_UNREAD where more wait than both credits allow |
| Records are so large that few fill the memory of a link | the receiver reads on when a transaction is over |
| The line is slow: 10 kB/s, say | batches stay so small that each gets through in time (`pacing`) |
| The sender does not heed its credit | CREDIT_EXCEEDED, the link ends; the agent resumes from what was committed |
| A frame breaks its contract, or is of a kind that this version does not know | VALIDATION_FAILED, the link ends |
| An event is of a type, or has fields, that this version does not know | it is stored and passed on as it is |
| Headquarters fails over a fact: an odd value, a defect | it is set apart (`headquarters.setting_apart`); all goes on |
| A record can't be stored: no event, a name with a NUL | FACT_UNREADABLE; the stream goes into quarantine |
| A heartbeat names streams that this end does not take | they are passed over |
| A second link of one unit comes in | it takes over, since the line of the older one is dead |
| A frame speaks for another unit, or an event was written by one | FRAME_FOREIGN, the link ends, nothing is stored |
| An event tells what is another's to tell (`hanse.authority`) | it is stored, is no fact, and raises FACT_FOREIGN |
| A unit that is not a member dials (`hanse_federation.membership`) | UNIT_NOT_ADMITTED, UNIT_REVOKED or UNIT_RETIRED |
| A unit is revoked while its link is up | UNIT_REVOKED at its next batch, which is not stored, or next heartbeat |
| A certificate is revoked while a link uses it | CERTIFICATE_REVOKED at the next heartbeat; batches count until then |
| A certificate is not of exactly one unit, or was revoked | CERTIFICATE_INVALID, CERTIFICATE_REVOKED |
| What answers at the hub's address is not headquarters | HUB_FOREIGN; nothing is sent |
| A certificate expires | it was renewed long before; else CERTIFICATE_EXPIRED, and the unit enrols again |
| A batch leaves a gap | LOG_GAP with the expected position; the agent resumes from there |
| The same gap comes again, so it is in the log itself | LOG_GAP, as follows |
| A record is not what was hashed, or what was acknowledged is not what was sent | LOG_FORK, as follows |
| An end was restored from an old backup | LOG_FORK, as follows |

A fork is data loss, which no retry heals. The *stream* goes into quarantine at both ends, which raise an alarm; the
unit's other streams go on, and a person ends that (`hanse_federation.recovery`). Nothing is ever overwritten.


## Where to read on

`frames` says what travels, and how much at once at most, `pacing` how much now; `batches` puts records into a batch and
takes them out. `sending` is one half of an end. `receiving` and `storing` are the other: a batch is opened, then
stored, with its records written as `COPY` takes them (`copying`). `opened` and `outgoing` bound what waits at an end,
to be stored and to be read. `forks` says where two holders of a stream disagree, and `comparing` finds the last record
that they share. `dialling` knows headquarters before anything is said. `status` keeps how links are doing, in the
database, so that any process can show it: `showing` does, and `metrics`; `problems` puts what went wrong into words.
"""
