"""The three services as processes of their own, as they would run in production."""

import asyncio
import json
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

from tests.servers.server import free_port

SERVICES = ("order_saga", "store_worker", "delivery_worker")
ROOT = Path(__file__).parent.parent
READY_SECONDS = 60.0
STOP_SECONDS = 15.0
COMMAND_SECONDS = 900.0
# A daemon recovers from everything, so it would outlive a benchmark that is killed. setpriv becomes the daemon.
WITH_US = ("setpriv", "--pdeathsig", "KILL") if shutil.which("setpriv") else ()


@dataclass(slots=True)
class Daemon:
    """`python -m order_saga run`, with its metrics served and its log in a file."""

    service: str
    environment: Mapping[str, str]
    log: Path
    process: asyncio.subprocess.Process | None = None
    port: int = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """What follows `python -m`."""
        return self.service, "run"

    @property
    def pid(self) -> int:
        assert self.process is not None, "it has been started"
        return self.process.pid

    async def start(self) -> None:
        """Return as soon as the process exists."""
        self.port = free_port()
        environment = {**self.environment, f"{self.service.upper()}_HTTP_PORT": str(self.port)}
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *WITH_US, sys.executable, "-m", *self.arguments,
                cwd=ROOT, env=environment, stdout=log, stderr=log,
            )  # fmt: skip

    async def ready(self) -> None:
        """Return when it says that it is ready. Raises RuntimeError or TimeoutError if it never does."""
        assert self.process is not None, "it has been started"
        async with asyncio.timeout(READY_SECONDS):
            while not await asyncio.to_thread(self._is_ready):
                if self._is_gone:
                    raise RuntimeError(self._last_words())
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL if it does not drain in time."""
        if self.process is None or self._is_gone:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), STOP_SECONDS)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()

    def complaints(self) -> list[str]:
        """What it has logged as an error, and that it is gone, which others of its service may hide."""
        lines = [line for line in self.log.read_text().splitlines() if line.startswith("{")]
        errors = [line for line in lines if json.loads(line).get("level") in ("error", "critical")]
        return [*errors, self._last_words()] if self._is_gone else errors

    @property
    def _is_gone(self) -> bool:
        return self.process is not None and self.process.returncode is not None

    def _last_words(self) -> str:
        return f"{self.service} ended: {self.log.read_text()[-2000:]}"

    def _is_ready(self) -> bool:
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


async def command(environment: Mapping[str, str], *arguments: str) -> str:
    """Run `python -m order_saga migrate`, say. Returns what it printed; raises RuntimeError with it if it fails."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, cwd=ROOT, env=environment,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    printed, _ = await asyncio.wait_for(process.communicate(), COMMAND_SECONDS)
    if process.returncode:
        raise RuntimeError(f"{' '.join(arguments)}: {printed.decode()[-4000:]}")
    return printed.decode()
