"""Servers that the environment names. They are used, but never stopped."""

import os
from collections.abc import Callable
from urllib.parse import urlsplit

from tests.servers.server import Unavailable, postgres_answers, rabbitmq_answers, until


class GivenServer:
    def __init__(self, url: str) -> None:
        self.url = url

    async def start(self) -> None:
        await until(lambda: postgres_answers(self.url))

    async def stop(self) -> None:
        raise NotImplementedError("a server that was given is not ours to stop")

    kill = stop

    async def remove(self) -> None:
        """It stays."""


class GivenBroker(GivenServer):
    def __init__(self, url: str, management_url: str) -> None:
        super().__init__(url)
        self.management_url = management_url

    async def start(self) -> None:
        await until(lambda: rabbitmq_answers(self.url, self.management_url))


def look_for_postgres() -> Callable[[], GivenServer]:
    """Raises Unavailable."""
    url = _read("TEST_POSTGRES_URL")
    return lambda: GivenServer(url)


def look_for_rabbitmq() -> Callable[[], GivenBroker]:
    """Raises Unavailable."""
    url, management_url = _with_port(_read("TEST_AMQP_URL"), 5672), _with_port(_read("TEST_MANAGEMENT_URL"), 15672)
    return lambda: GivenBroker(url, management_url)


def _read(variable: str) -> str:
    if variable not in os.environ:
        raise Unavailable(f"{variable} is not set")
    return os.environ[variable]


def _with_port(url: str, default: int) -> str:
    parts = urlsplit(url)
    return url if parts.port else parts._replace(netloc=f"{parts.netloc}:{default}").geturl()
