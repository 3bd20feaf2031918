"""gRPC, one way for every server and every caller.

A request passes four gates in `interceptor`, in this order, before a servicer sees it: it is decoded, its caller is
authenticated, the caller's roles are looked up in the one table of `access` (deny by default; denied before anything
is looked up, AIP-211), and the rules declared in the contract are checked. A servicer then only turns the request into
a domain call. Whatever is raised becomes a status with `google.rpc.ErrorInfo` in one place.

`server` builds servers with TLS, health and reflection; `client` builds channels and turns a peer's status back into
a `RemoteError`, which is never passed on as an error of ours; `paging` makes page tokens. `call` says who calls, and in
which trace; `texts` finds text that can't be one, and `tls` where a unit's certificate is. Two services are the same in
every unit, whichever schemas it has, and are here: `log_servicer` and `dead_letter_servicer`.
"""
