"""The command line: `hanse`.

It is the one place that assembles the parts: `roles` puts a unit's process together, `story` tells the main job from
end to end (as `hanse demo`, and as the end-to-end test), `replay` imports a legacy incident log. The other modules are
thin: they call the same rpcs that everybody calls (`desk`) and print what comes back (`output`).
"""
