"""A toy that is checked, with its servers and what is found wrong with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from messages.transport.command_line.broker_check import broker_problems
from messages.transport.command_line.database_check import check_database
from tests.integration.toy.service import Toy, ToySettings
from tests.integration.toy.station import Station
from tests.servers.management import Management

SECRET = "hunter2"


@dataclass
class Checked:
    """A toy whose servers are as they should be, until a test changes one."""

    station: Station
    broker_url: str
    management_url: str

    async def problems(self, **settings: Any) -> list[str]:
        values = {
            "database_url": self.station.url,
            "broker_url": self.broker_url,
            "management_url": self.management_url,
            "topology": "expect",
        }
        service, given = Toy().service(), ToySettings(**values | settings)
        found, _ = await check_database(service, given)
        found += await broker_problems(service, given)
        assert all(len(problem.splitlines()) == 1 for problem in found)
        assert not any(SECRET in problem for problem in found)
        return found

    @property
    def vhost(self) -> str:
        return urlsplit(self.broker_url).path[1:]

    async def manage(self, method: str, path: str, body: Any = None) -> None:
        await Management(self.management_url).call(method, path, body)

    async def declare_again(self, queue: str, arguments: Mapping[str, Any], *, durable: bool = True) -> None:
        path = f"queues/{self.vhost}/{queue}"
        await self.manage("DELETE", path)
        await self.manage("PUT", path, {"durable": durable, "arguments": dict(arguments)})
