"""Benchmarks: how fast Hanse is, measured against a floor that runs in the same minutes on the same servers.

A number of its own says little: it is the machine's as much as the code's. So each benchmark measures a *floor* too,
the least that could do the job without Hanse, in turns with it, and reports the ratio of the medians.

| Name | Hanse | the floor |
|---|---|---|
| `open_ticket` | CreateTicket, durable, 32 callers at once | a bare handler inserts the same two rows, raw asyncpg |
| `catch_up` | 50,000 events to headquarters, with projections | PostgreSQL's logical replication of the same table |
| `live_latency` | commit in a unit until headquarters shows it, 200 events/s | insert and notify over one gRPC stream |
| `many_units` | 20 simulated units at headquarters | 20 times one of them |
| `memory` | the two processes of a unit with every role, idle | none; at most 400 MB, and next to no CPU |
| `waiting` | an SLA process that ends before anything is due | a bare workflow with one timer and one signal |
| `recompute` | 10,000 running deadlines under a new policy, told and all | one UPDATE and the arithmetic |
| `idle_clocks` | 10,000 open clocks on which nothing is due | the same group without them |
| `long_backlog` | 1,000,000 events over one link; only where it is named | none; neither end may grow |

`python -m tests.benchmarks` runs all but the long one, and `python -m tests.benchmarks open_ticket --json` one, for
programs.
Everything is real: embedded PostgreSQL with fsync, TLS, certificates, the processes that `hanse up` starts. A benchmark
that misses its target says so and ends well: speed is judged by people, since machines differ.
"""
