"""Finding a provider: one process at headquarters for each request for an engagement.

It asks headquarters' routing to offer the engagement to the next candidate, and waits: for the signal `answered`, or
for the time at which the offer expires under its OLA. Then it has the offer expired, and asks again. The routing
chooses by the policy and counts the rounds; the last offer goes to the final owner, who can't decline and for whom no
time is set. The process ends when the routing says that the engagement is settled: accepted, or called off.

An acceptance and an expiry that meet are decided by the routing, in one transaction; this process only asks what came
of it. Asking for an offer while one stands returns that one, so being woken for nothing costs a question.
"""
