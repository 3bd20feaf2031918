"""Handling a process by hand: `hanse workflow list|show|pause|resume|skip|retry`, for every kind of process.

A process knows nothing that its service does not, so it can be ended and started at any time. That is what a person's
commands are made of:

    pause   a row in PostgreSQL says so, then the process is ended. Starter and reconciler pass it over, and an activity
            of it that begins all the same fails as PROCESS_PAUSED and tries again. The pause outlives Temporal's store.
    resume  the row is ended, and the process is started where its service still needs it: what is due is done at once
    skip    the service marks the step that is due next as done without doing it (`Kind.skip`), and tells that
    retry   the process is replaced by one that asks now: whatever it waited for between two tries is over

Who did it, when and why is kept (`hanse_workflows.model.Intervention`).

    interventions  the commands and queries on those rows
    pausing        what holds a paused process's activities
    kinds          how each kind of process is found and skipped: a new kind of process is one more `Kind`
    looking        what a process does at present, as Temporal has it
    servicer       `ProcessService`, in the unit's own server

When Temporal is away, what a person wanted is in PostgreSQL nevertheless, and the command fails as
TEMPORAL_UNAVAILABLE: repeated with its request id it ends the process too, and until then its activities do nothing.
"""
