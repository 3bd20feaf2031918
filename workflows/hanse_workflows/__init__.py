"""Waiting: Temporal waits, PostgreSQL knows.

A deadline is a row in a service's database, computed from the policy. What lives here only sleeps until it, asks the
service to do what is due, and sleeps again. So a process of ours decides nothing and knows nothing that could be lost:

    sla         per ticket with a running clock, in the unit's namespace: it begins when something is due, calls
                `TicketService.EvaluateClocks`, then waits until the next deadline
    complaint   per complaint on which something is due, in the unit's namespace: as `sla`, with
                `ComplaintService.EvaluateComplaint`
    escalation  per request for an engagement, in headquarters' namespace: `RoutingService.OfferEngagement`, then wait
                for the answer; at the offer's time, `ExpireOffer`, and offer to the next

Each goes **asking** (an activity calls the service) and **waiting** (a timer, a signal, or both) by turns until the
service says that nothing is left to wait for; then it has **ended**. A process is called by what it waits for,
`sla:units/shanghai/tickets/3k9m2x-4t7qzd`, so starting it twice is starting it once.

Waiting costs next to nothing: an `sla` process is a delayed start that no worker has heard of until something is due.
Most tickets are solved before that, and their processes end without having begun (`processes`).

    starter     follows the logs: an event of a ticket starts its process, moves its time, wakes it, or ends it
    reconciler  has the services do what is overdue, compares what they have open with the processes that run, and
                starts what lacks
    store       says when Temporal has another store than before
    handling    what a person does to a process by hand: pause, resume, skip, retry (`model` keeps it)
    shifts      has the desk give out what waits for an agent when a shift begins: without a process, since nothing is
                waited for but the desk's own rows
    worker      connects to Temporal and runs the processes, the starter and the reconciler: `Waiting`, for one unit

`sources` says which logs they follow, `hints` what an event there means to a process, `open_work` what the services
have open; `calls` and `backoff` how a service is asked, and how long it is left alone when it does not answer.

What happens when something fails:

- **A service is down.** Its activity is tried again for ever, every 30 seconds at most. The request id is the same
  each time, so a command whose answer got lost is not done twice.
- **A service refuses** (no such ticket, not allowed): no repetition can help, and the process fails with the service's
  reason. Where the service still lists the clock as open, the reconciler starts the process again.
- **Temporal is down.** The starter keeps its place in the log, and the unit works on. While we run, what becomes due is
  done by the reconciler, which asks the services directly.
- **Temporal's store is lost.** The reconciler notices within five seconds, and starts every process again; the
  deadlines are the services' own.
- **We were away** while deadlines passed. What is overdue is done by the services before anything else begins, each
  thing once.
- **We are killed.** Temporal keeps the timers, and the starter's cursor is saved after its effect, never before: the
  worst is that a process is woken once too often, which asks a question and changes nothing.
"""
