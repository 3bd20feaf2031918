"""The fault harness: does the federation lose nothing, whatever dies and whenever a line breaks?

A group runs on the embedded default, with real servers, TLS, and each role in a process of its own. Clients send
commands and write down what they were answered. Meanwhile things go wrong, as a **schedule** says that is a pure
function of a seed. When all is quiet again, a **checker** reads the databases and holds them against the history.

    schedule    what goes wrong, when: a pure function of the seed          injection   carries it out
    clients     send commands over gRPC, and repeat what got no answer      history     what they were answered
    writers     append to a log as a busy unit's services do
    group       the group, its parts and their supervisor (`parts`)         launch      a process with its own clock
    network     a line through a router in namespaces of the kernel         standards   the policy of the group
    witness     a service that is told everything and counts it             quiet       when all has come to rest
    snapshot    what the databases hold, by plain SQL                       checker     pure functions over both
    bugs        six planted bugs, for `planted`: does the checker work?     report      the table

What a client knows of a request is one of three things, after Jepsen: **ok**, and it must be there once; **failed**,
and it must not be there; **unknown**, and it may be there, once at most. A request that was repeated after no answer,
and was then refused, is unknown too, since its first try might still be on its way to COMMIT.

When a run fails it prints its seed and the command that repeats it. The schedule is the same then; what the machine
makes of it is not, so a rare defect may take some repetitions. The group's folder, with every log, is kept.

See `README.md` beside this file for how to run it and how to read the table.
"""
