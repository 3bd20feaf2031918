"""The promises to a customer, kept in view: one process for each ticket whose clocks run.

It begins when something is due, asks the ticket service to do it, and is told when something is due next: then it
sleeps until that time. When the ticket changes, the starter replaces it by one that begins at the new time; while the
clocks stand, and when they have ended, there is none. A ticket that is opened again gets a new run under the same id.

A warning, a breach, a climb: the service decides and does them, in one transaction with the events that say so. When
this process asks too often nothing happens; when it asks late the service does what has become due, each thing once.
The signal `changed` has a run ask at once; only processes that were started before 2026-11-23 were woken by it.
"""
