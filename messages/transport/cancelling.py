"""Ends tasks, also one in which a library swallows the cancellation."""

import asyncio

CANCEL_AGAIN_SECONDS = 2.0
"""Longer than a cancelled task may need to close what it holds."""


async def cancel(*tasks: "asyncio.Task[None]") -> None:
    """Cancel the tasks until all have ended, and let their results be.

    Once is not enough: up to Python 3.11 `asyncio.wait_for`, which aiormq uses, drops a cancellation that comes
    together with its result.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=CANCEL_AGAIN_SECONDS)
    await asyncio.gather(*tasks, return_exceptions=True)
