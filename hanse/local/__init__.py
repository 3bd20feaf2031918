"""The embedded default: real servers that arrive as wheels, started and stopped by us.

Production gives Hanse the URLs of a PostgreSQL, a broker and a Temporal cluster. Without them Hanse runs its own on
this machine, on loopback and for this user only: the same servers, not imitations, so what works here works there.

    EmbeddedPostgres   state: every unit's databases          fsync and synchronous commit stay on
    EmbeddedBroker     telling: Valkey behind kombu           a confirmed message is on disk
    EmbeddedTemporal   waiting: Temporal's development server one SQLite file
    Line               the network between a unit and headquarters, which can be cut and healed on purpose

Each is a `server`, which watches a `process`. `group` runs a whole group on them, and `control` lets another terminal
cut its lines.

A server is **new** until its data folder is prepared, **starting** until its readiness probe succeeds, **up** until it
is stopped or dies, and then **down**. `start()` takes it from any of these to up, and `stop()` back to down; both may
be repeated. The data folder holds all that outlives it: the data, the password (a file for its owner only) and the log.
Its port and password stay the same for as long as the object lives, so clients reconnect after a restart.

What happens when something fails:

- A server that dies while starting, or is not ready in time, is a `LocalServerFailed` which quotes the end of its log.
- A server that dies later is noticed by whoever awaits `wait()`. It is not restarted here: that is a supervisor's
  decision, and `start()` is all that it needs. Every server recovers what it had acknowledged.
- When *we* die, even by SIGKILL, the kernel ends the servers at once (see `launcher`). None outlives its supervisor.
- Two supervisors on one data folder would ruin it. The second gets a `LocalServerFailed` (see `folder`).

PostgreSQL refuses to run as root. Where Hanse itself runs as root, as in many containers, PostgreSQL runs in a user
namespace in which our own uid goes by another number. No user is created, and no folder outside ours changes.
"""
