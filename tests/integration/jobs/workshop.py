"""Jobs that count their runs, and one that fails."""

import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable

from messages.transport.database.transactions import Transaction
from messages.transport.handled import Handled
from messages.transport.service import Job
from tests.integration.toy.station import Station

OFTEN = 0.02


class Workshop:
    """Jobs that count their runs."""

    def __init__(self) -> None:
        self.runs: Counter[str] = Counter()
        self.began: defaultdict[str, list[float]] = defaultdict(list)

    def job(
        self,
        name: str,
        work: Callable[[Transaction], Awaitable[Handled | None]] | None = None,
        *,
        every: float = OFTEN,
        only_when_quiet: bool = False,
        needed: Callable[[], bool] = lambda: True,
        due: str | None = None,
        low_priority: bool = False,
        despite_backpressure: bool = False,
    ) -> Job:
        async def run(tx: Transaction) -> Handled:
            self.runs[name] += 1
            self.began[name].append(time.monotonic())
            return (await work(tx) if work else None) or Handled()

        return Job(name, every, run, only_when_quiet, needed, due, low_priority, despite_backpressure)

    async def until_run(self, station: Station, name: str, times: int) -> None:
        async def reached() -> bool:
            return self.runs[name] >= times

        await station.until(reached)


async def fail(_tx: Transaction) -> None:
    raise ValueError("as arranged")
