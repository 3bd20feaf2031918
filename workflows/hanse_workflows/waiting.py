"""Waiting inside a workflow: for a time, for a signal, or for whichever comes first."""

from collections.abc import Callable
from datetime import datetime, timedelta

from temporalio import workflow

MINIMUM_WAIT = timedelta(milliseconds=250)
"""A deadline that is still due after it was asked for means that two clocks differ; asking at once would be a loop."""


async def wait_for(woken: Callable[[], bool], due_time: datetime | None) -> bool:
    """Wait until woken, and return True; or until the time is due, and return False. Without a time, only for that."""
    timeout = None if due_time is None else max(due_time - workflow.now(), MINIMUM_WAIT)
    try:
        await workflow.wait_condition(woken, timeout=timeout)
    except TimeoutError:
        return False
    return True


async def wait_until(due_time: datetime) -> None:
    """Wait until a time, for a process that nothing wakes before it."""
    await workflow.sleep(max(due_time - workflow.now(), MINIMUM_WAIT))
