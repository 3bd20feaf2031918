"""An agent in a process of its own, so that its memory can be measured: `python -m … ` with HANSE_SETTINGS set."""

import asyncio

from hanse.config import load_settings
from hanse.runtime import Runtime
from hanse_federation.link.agent import Agent


async def run() -> None:
    """Run the agent until the process is ended."""
    runtime = Runtime(load_settings())
    async with asyncio.TaskGroup() as group:
        group.create_task(runtime.wakeup.run())
        group.create_task(Agent(runtime).run())


asyncio.run(run())
