"""Membership: who belongs to the group, and how a unit comes, stays and goes.

The states of a member, and the steps between them, are in `register`.

`register` is headquarters' list of the units, which the hub asks before it lets anybody in. `counter` is headquarters'
side of coming and going (inviting, signing the first certificate and the next ones, letting a unit go), `enrolling` the
unit's side of it, `invitations` the one line that a person carries from the one to the other, and `servicer` the door.
`seeding` tells a unit that is admitted what it lacks, so that one that comes late works like the others from its first
minute. `retirement` gives the work of a unit that has gone to others. `listing` tells every unit which certificates are
void, and `revocations` is what the units do about that: peers go by it while headquarters is out of reach.

A certificate is renewed long before it ends, without a restart. One that has run out, or a unit that was shut out,
needs a new invitation: the unit works on by itself until then.
"""
