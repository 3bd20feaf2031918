"""The promises to a customer, kept in view: one process for each ticket whose clocks have not ended.

It asks the ticket service to do what is due, and is told when something is due next: then it sleeps until that time, or
until the signal `changed` says that the ticket is not what it was. While the clocks stand there is no such time, and it
sleeps until the signal alone. It ends with the clocks; a ticket that is opened again gets a new run under the same id.

A warning, a breach, a climb: the service decides and does them, in one transaction with the events that say so. When
this process asks too often nothing happens; when it asks late the service does what has become due, each thing once.
"""
