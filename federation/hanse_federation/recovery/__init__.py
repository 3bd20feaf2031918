"""Recovery: what happens to a stream whose two holders disagree.

A gap in the log itself, a changed record, a unit that came back from an old backup: no retry heals these, and nothing
is ever overwritten. So that one stream is put into quarantine at both ends, which raise an alarm, and the unit's other
streams go on (`quarantine`). Then a person decides (`decisions`), over gRPC (`servicer`): a new epoch begins where both
agree, or the unit gets its own records back from headquarters' copy (`reseeding`), or the alarm was false and the
stream is released. What only one side had is kept as orphans, and can be read.

The how-to is `docs/how-to/resolve-a-quarantine.md`.
"""
