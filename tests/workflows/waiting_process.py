"""A unit's waiting in a process of its own, for a test to kill. Its environment sets it; it says when it is up."""

import asyncio

from hanse.config import load_settings
from hanse.runtime import Runtime
from hanse_workflows.worker import Waiting


async def main() -> None:
    """Run until killed."""
    runtime = Runtime(load_settings())
    print("up", flush=True)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(runtime.wakeup.run())
        tasks.create_task(Waiting(runtime).run())


if __name__ == "__main__":
    asyncio.run(main())
