"""The kernel of Hanse: what every part stands on, and which knows none of them.

- `hanse.log`: the event log (append, follow, verify).
- `hanse.work`: commands, each in one transaction with the events that say what it did; group commit. `hanse.schema`:
  what every service keeps for that beside its own tables; `hanse.database`, `hanse.session`, `hanse.columns`,
  `hanse.migrations`, `hanse.pruning`: how it is kept. `hanse.transitions`, `hanse.etags`, `hanse.validation`: what a
  command checks. `hanse.runtime`: what the parts of one process share.
- `hanse.rpc`: gRPC servers and channels with one way to authenticate, authorise, validate and fail.
- `hanse.policy`: the group's standards as pure functions.
- What more than one unit has to know alike: `hanse.authority` (who may tell which fact), `hanse.engagement_states`,
  `hanse.offers`, `hanse.further_clocks`, `hanse.attainment`, `hanse.complaint_attainment`, `hanse.erasing`.
- `hanse.telling`: telling inside a unit, from the log over AMQP to nameko.
- `hanse.identity`, `hanse.errors`, `hanse.config`: who, why not, where. `hanse.telemetry`, `hanse.otlp_http`,
  `hanse.logs`, `hanse.discreet`: what happened, and saying so without what people told us.
- `hanse.names`, `hanse.enums`, `hanse.times`, `hanse.clock`: names, words and instants. `hanse.temporal`: connecting to
  Temporal.
- `hanse.local`: the embedded default, real servers from wheels. `hanse.cli`: the command line.

The kernel may import the contracts (`hanse_protos`) and nothing else of the project; import-linter keeps it so. The
one exception is `hanse.cli`, which assembles the roles.
"""
