"""When a process of the toy takes no more, and leaves what comes to others."""

from tests.integration.toy.station import Running
from tests.integration.toy.waiting import until


async def until_paused(running: Running) -> None:
    """Until nothing more comes, which is a moment after the pause has begun."""
    guard = running.process._intake._stall_guard

    async def paused() -> bool:
        return guard._pausing is not None and guard._pausing.done()

    await until(paused)
