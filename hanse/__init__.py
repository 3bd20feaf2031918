"""The kernel of Hanse: what every part stands on, and which knows none of them.

- `hanse.log`: the event log (append, follow, verify).
- `hanse.work`: commands, each in one transaction with the events that say what it did; group commit.
- `hanse.rpc`: gRPC servers and channels with one way to authenticate, authorise, validate and fail.
- `hanse.policy`: the group's standards as pure functions.
- `hanse.telling`: telling inside a unit, from the log over AMQP to nameko.
- `hanse.identity`, `hanse.errors`, `hanse.config`, `hanse.telemetry`: who, why not, where, and what happened.
- `hanse.local`: the embedded default, real servers from wheels. `hanse.cli`: the command line.

The kernel may import the contracts (`hanse_protos`) and nothing else of the project; import-linter keeps it so. The
one exception is `hanse.cli`, which assembles the roles.
"""
