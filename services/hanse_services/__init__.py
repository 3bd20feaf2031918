"""The services of a unit: ticket, knowledge, settlement and policy.

Each keeps its own schema in the unit's database and is the only one to read or write it. The services of a unit never
import and never call each other. What one has to know of another it is told, by the other's log:

    command ─ one transaction ─► state + log ─ relay ─► broker ─ reaction ─ one transaction ─► inbox + state + log

A service's package reads the same everywhere: `model` (tables, states, allowed transitions), `commands` (what may be
done), `queries` (what may be asked), `servicer` (gRPC in, domain out), `reactions` (what it does when told something),
`migrations`.

`subscriptions` says who is told what inside a unit. `react` is the process that hosts the reactions of all services:
nameko brings eventlet, which must never share a process with gRPC or Temporal, so reactions have one of their own.

When it fails: a service that is down refuses commands and falls behind with what it is told; the log and the broker
keep that for it, and it catches up in order. A told fact that can't be applied becomes a dead letter of its service
and holds up nothing else.
"""
