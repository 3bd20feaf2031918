"""Forks: places in a stream that its two holders disagree about. It knows no gRPC: reactions import it too."""

from hanse.errors import LogFork
from hanse.log.append import Head


def fork(stream: str, epoch: int, sequence: int, problem: str) -> LogFork:
    """Return what is wrong with a place in a stream."""
    return LogFork(f"{stream} at {epoch}/{sequence} {problem}", stream=stream, epoch=str(epoch), sequence=str(sequence))


def contradiction(stream: str, epoch: int, sequence: int) -> LogFork:
    """Return what is wrong with a record that is not what is here, or not what its own hash says."""
    return fork(stream, epoch, sequence, "is not what was received or hashed before")


def check_not_behind(stream: str, sender: Head, received: Head) -> None:
    """Check that a sender still has what was received of it before the link began.

    Raises LogFork where its stream ends earlier, or there in another way: its database came from an old backup.
    """
    place = (received.epoch, received.sequence)
    if (sender.epoch, sender.sequence) < place or (
        (sender.epoch, sender.sequence) == place and sender.hash != received.hash
    ):
        raise contradiction(stream, received.epoch, received.sequence)
