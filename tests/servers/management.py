"""RabbitMQ's HTTP API: virtual hosts for the tests, and whatever else a test wants to know or do."""

import asyncio
import base64
import json
from typing import Any
from urllib.parse import quote, unquote, urlsplit
from urllib.request import Request, urlopen

ANSWER_SECONDS = 60.0


class Management:
    """`url` is `http://user:password@host:port`."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._user = unquote(parts.username or "guest")
        credentials = f"{self._user}:{unquote(parts.password or 'guest')}"
        self._authorization = f"Basic {base64.b64encode(credentials.encode()).decode()}"
        self._base = f"{parts.scheme}://{parts.hostname}:{parts.port}/api/"

    async def create_vhost(self, name: str) -> None:
        path = quote(name, safe="")
        await self.call("PUT", f"vhosts/{path}", {"default_queue_type": "quorum"})
        everything = {"configure": ".*", "write": ".*", "read": ".*"}
        await self.call("PUT", f"permissions/{path}/{quote(self._user, safe='')}", everything)

    async def delete_vhost(self, name: str) -> None:
        await self.call("DELETE", f"vhosts/{quote(name, safe='')}")

    async def version(self) -> tuple[int, ...]:
        """RabbitMQ's: (4, 3)."""
        told = str((await self.call("GET", "overview"))["rabbitmq_version"])
        return tuple(int(part) for part in told.split(".")[:2])

    async def queues(self, vhost: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await self.call("GET", f"queues/{quote(vhost, safe='')}")
        return found

    async def purge(self, vhost: str, queue: str) -> None:
        await self.call("DELETE", f"queues/{quote(vhost, safe='')}/{quote(queue, safe='')}/contents")

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        """Return the parsed answer, or None. Raises OSError, of which urllib's HTTPError is one."""
        return await asyncio.to_thread(self._call, method, path, body)

    def _call(self, method: str, path: str, body: Any) -> Any:
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        data = None if body is None else json.dumps(body).encode()
        with urlopen(Request(self._base + path, data, headers, method=method), timeout=ANSWER_SECONDS) as answer:
            text = answer.read()
        return json.loads(text) if text else None
