"""The services as their users run them: operating system processes, with their settings in the environment."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from tests.end_to_end.waiting import until
from tests.servers.server import free_port

ROOT = Path(__file__).parents[2]
SERVICES = ("order_saga", "store_worker", "delivery_worker")
READY_SECONDS = 240.0
PAGE_SECONDS = 30.0
DRAIN_SECONDS = 10.0


class Daemon:
    """One process of one service. Every start continues the same log."""

    def __init__(self, service: str, environment: Mapping[str, str], log: Path) -> None:
        self.service = service
        self.log = log
        self._port = free_port()
        self._environment = {**environment, f"{service.upper()}_HTTP_PORT": str(self._port)}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def _running(self) -> "subprocess.Popen[bytes]":
        assert self._process is not None, f"{self.service} was never started"
        return self._process

    async def start(self) -> None:
        """Return when it is ready to work."""
        self.launch()
        await self.ready()

    def launch(self) -> None:
        """Return at once; its servers may be down."""
        assert not self.running
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.service, "run"],
                cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not await asyncio.to_thread(self._is_ready):
            assert self.running, f"{self.service} has ended: {self.tail()}"
            assert time.monotonic() < deadline, f"{self.service} is not ready: {self.tail()}"
            await asyncio.sleep(0.05)

    async def kill(self) -> None:
        """End it like a crash does."""
        assert self.running
        self._running.kill()
        assert await asyncio.to_thread(self._running.wait) == -signal.SIGKILL

    async def terminate(self) -> tuple[int, float]:
        """Ask it to stop. Return its exit code, and how many seconds it took."""
        assert self.running
        began = time.monotonic()
        self._running.terminate()
        code = await asyncio.to_thread(self._running.wait)
        return code, time.monotonic() - began

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Meanwhile it stands still, as under a hypervisor or a debugger; its connections stay open."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    def pause(self) -> None:
        self._running.send_signal(signal.SIGSTOP)
        # The signal is on its way; the process stands still when the kernel says so.
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def resume(self) -> None:
        self._running.send_signal(signal.SIGCONT)

    async def remove(self) -> None:
        if self.running:
            self._running.kill()
            await asyncio.to_thread(self._running.wait)

    async def counted(self, counter: str) -> float:
        """The sum of a counter over its labels, since the process began."""
        page = await asyncio.to_thread(self._page, "metrics")
        lines = (line for line in page.splitlines() if line.startswith(f"ordersaga_{counter}_total"))
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines)

    def told(self, event: str) -> list[dict[str, Any]]:
        """Every line of the log about such an event."""
        return [line for line in self._lines() if line.get("event") == event]

    async def until_told(self, *events: str, times: int = 1) -> None:
        """Wait until the log has so many lines about one of these events."""

        async def found() -> bool:
            return sum(len(self.told(event)) for event in events) >= times

        await until(found, f"{self.service} logs {' or '.join(events)}, {times} times: {self.tail(5)}")

    def tail(self, lines: int = 30) -> str:
        """The end of the log; nothing, if it was never started."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:]) if self.log.exists() else ""

    def _lines(self) -> Iterator[dict[str, Any]]:
        for line in self.log.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                yield json.loads(line)

    def _is_ready(self) -> bool:
        try:
            self._page("readyz")
        except OSError:
            return False
        return True

    def _page(self, name: str) -> str:
        """Raises OSError, also where the page says that not all is well."""
        with urlopen(f"http://127.0.0.1:{self._port}/{name}", timeout=PAGE_SECONDS) as page:
            return str(page.read(), "utf-8")
