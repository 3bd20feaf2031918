"""What holds a paused process: no activity of it calls its service, even where the process itself still runs."""

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from hanse.errors import ProcessPaused

IsPaused = Callable[[str], Awaitable[bool]]
"""Says whether the process of an id is paused."""


class PausedProcesses(Interceptor):
    """Lets no activity of a paused process begin."""

    def __init__(self, is_paused: IsPaused) -> None:
        self._is_paused = is_paused

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:  # noqa: A002
        """Put the question before every activity."""
        return _Inbound(next, self._is_paused)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, is_paused: IsPaused) -> None:  # noqa: A002
        super().__init__(next)
        self._is_paused = is_paused

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:  # noqa: A002
        """Ask, then go on. Raises ApplicationError, upon which Temporal tries again."""
        if await self._is_paused(activity.info().workflow_id or ""):
            raise ApplicationError(
                ProcessPaused.message, type=ProcessPaused.reason, category=ApplicationErrorCategory.BENIGN
            )
        return await super().execute_activity(input)
