"""The times of a complaint, kept: one process for each complaint on which something is due.

It begins when something is due, asks the ticket service to do it (warn, note that a time ran out, take the complaint to
the next level, close one whose answer nobody rejected), and is told when something is due next: then it sleeps until
that time. When nothing is due any more it has ended, also while the complaint stays overdue at the top. When somebody
takes a step, the starter replaces it by one that begins at the new time, or ends it.

The service decides and does everything, once, in one transaction with the events that say so. When this process asks
too often nothing happens; when it asks late the service does what has become due, and the next level has its full time.
"""
