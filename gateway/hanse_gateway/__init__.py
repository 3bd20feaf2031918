"""The doors of a unit for those who are not its people.

`partner` is the one door for partner systems: their own tickets, over gRPC, with an API key. It has a server and an
address of its own, so that what is open to the outside can be put behind a firewall by itself; only the admission of
partners is served beside the unit's services, to its own operations people.

- `model`: the partners and their keys. `serving`: what the assembler of a process takes from here.

The gateway keeps no tickets. It asks the ticket service over gRPC and nothing else, as any other client would, and says
on whose behalf. When that does not answer, partners are told to try again; nothing is queued here and nothing is lost,
since every request that changes something has a request id.
"""
