"""Temporal's store as its clients see it: our namespace, and whether it is the one that knows our processes."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta

import structlog
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

RETENTION = timedelta(days=3)
"""How long Temporal keeps a process that has ended, for people to look at."""
LOOK_INTERVAL_SECONDS = 5.0
"""Between two looks: one small request, so that a store that was lost is rebuilt well within a minute."""
ANSWER_TIMEOUT = timedelta(seconds=4)
"""How long a look may take."""

logger = structlog.get_logger(__name__)


class Store:
    """The namespace of a client. It got its id when it was made: in a new store ours has another one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known_id = ""

    async def ensure_namespace(self) -> None:
        """Make the namespace if it is missing. Raises RPCError where that is not allowed, or nobody answers."""
        try:
            self._known_id = await self._namespace_id()
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise
            request = RegisterNamespaceRequest(namespace=self._client.namespace)
            request.workflow_execution_retention_period.FromTimedelta(RETENTION)
            await self._client.workflow_service.register_namespace(request)
            logger.info("made the namespace", namespace=self._client.namespace)

    async def is_same_for(self, seconds: float) -> bool:
        """Return True after that time; False as soon as Temporal has gone away, or has another store than before."""
        until = time.monotonic() + seconds
        while (rest_seconds := until - time.monotonic()) > 0:
            await asyncio.sleep(min(rest_seconds, LOOK_INTERVAL_SECONDS))
            if not await self._is_same():
                return False
        return True

    async def _is_same(self) -> bool:
        try:
            found_id = await self._namespace_id()
        except RPCError as error:
            # A server that is slow is there.
            return error.status == RPCStatusCode.DEADLINE_EXCEEDED
        known_id, self._known_id = self._known_id, found_id
        return found_id == known_id

    async def _namespace_id(self) -> str:
        request = DescribeNamespaceRequest(namespace=self._client.namespace)
        answer = await self._client.workflow_service.describe_namespace(request, timeout=ANSWER_TIMEOUT)
        return answer.namespace_info.id
