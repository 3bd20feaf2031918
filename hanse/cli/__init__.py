"""The command line: `hanse`.

It is the one place that assembles the parts: `roles` puts a unit's process together, `schemas` says which packages keep
a schema, `group` runs a whole group, `story` tells the main job from end to end on a `stage` (as `hanse demo`, and as
the end-to-end test), `replay` imports a legacy incident log (`incident_log`, `countries`), and `health` gathers how a
group is for `status`. `main` registers all commands.

The other modules are thin, each named for its command: they find a unit (`connection`), call the same rpcs that
everybody calls, as one of its people (`desk`), and print what comes back (`output`, `clocks`). `instants` reads times,
`patience` waits for what should follow. What fails is an error with its reason and a hint, and an exit status
(`output`).
"""
