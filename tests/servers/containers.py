"""Servers in Docker, through testcontainers."""

import asyncio
import contextlib
import gc
import os
import secrets
import warnings
from functools import partial

import docker
from docker.errors import DockerException, ImageNotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from tests.servers.remains import LABEL, remains
from tests.servers.server import (
    OFTEN_TOLD,
    Unavailable,
    free_port,
    postgres_answers,
    postgres_executes,
    rabbitmq_answers,
    until,
)

POSTGRES_IMAGE = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:17")
POSTGRES = "postgres -c fsync=off -c max_connections=300 -c listen_addresses=*"
ENGINE_SECONDS = 300
"""For one answer of Docker's; its own library gives up after a minute."""
LET_FOLLOW = "host replication all all trust"
STANDBY_DATA = "/var/lib/postgresql/standby"
RABBITMQ_IMAGE = os.environ.get("TEST_RABBITMQ_IMAGE", "rabbitmq:4-management")


def look_for_postgres() -> "type[PostgresContainer]":
    """Raises Unavailable."""
    _need_image(POSTGRES_IMAGE)
    return PostgresContainer


def look_for_rabbitmq() -> "type[RabbitMQContainer]":
    """Raises Unavailable."""
    _need_image(RABBITMQ_IMAGE)
    return RabbitMQContainer


class Container:
    """A container whose ports stay the same when it is started again."""

    def __init__(self, image: str, *ports: int, **environment: str) -> None:
        self._container = DockerContainer(image, docker_client_kw={"timeout": ENGINE_SECONDS}).with_envs(**environment)
        self._container.with_kwargs(labels={LABEL: remains().session})
        for port in ports:
            self._container.with_bind_ports(port, free_port())

    async def start(self) -> None:
        created = self._container.status != "not_started"
        await asyncio.to_thread(self._container.get_wrapped_container().start if created else self._container.start)

    async def stop(self) -> None:
        await asyncio.to_thread(partial(self._container.get_wrapped_container().stop, timeout=30))

    async def kill(self) -> None:
        await asyncio.to_thread(self._container.get_wrapped_container().kill)

    async def remove(self) -> None:
        await asyncio.to_thread(self._container.stop)

    def address(self, port: int) -> str:
        return f"{self._container.get_container_host_ip()}:{self._container.get_exposed_port(port)}"


class PostgresContainer(Container):
    url: str

    def __init__(self, password: str = "") -> None:
        self._password = password or secrets.token_hex(8)
        super().__init__(POSTGRES_IMAGE, 5432, POSTGRES_PASSWORD=self._password)
        self._container.with_command(POSTGRES)

    async def start(self) -> None:
        await super().start()
        self.url = f"postgresql://postgres:{self._password}@{self.address(5432)}/postgres"
        await until(lambda: postgres_answers(self.url))

    async def standby(self) -> "StandbyContainer":
        """A copy of it that follows it, running. Its commits do not wait for it yet."""
        await asyncio.to_thread(self._container.exec, ["sh", "-c", 'echo "$0" >>"$PGDATA/pg_hba.conf"', LET_FOLLOW])
        await postgres_executes(self.url, "SELECT pg_reload_conf()")
        container = self._container.get_wrapped_container()
        standby = StandbyContainer(self._password, self._container.get_docker_client().bridge_ip(container.id))
        await standby.start()
        return standby


class StandbyContainer(PostgresContainer):
    """`host` is its primary's, where containers see it."""

    def __init__(self, password: str, host: str) -> None:
        super().__init__(password)
        copy = f"pg_basebackup -h {host} -U postgres -D {STANDBY_DATA} -R -c fast"
        command = f"test -e {STANDBY_DATA} || {copy}; exec {POSTGRES} -D {STANDBY_DATA}"
        self._container.with_command(["sh", "-c", command])
        self._container.with_kwargs(labels={LABEL: remains().session}, user="postgres")


class RabbitMQContainer(Container):
    url: str
    management_url: str

    def __init__(self, password: str = "") -> None:
        self._password = password or secrets.token_hex(8)
        super().__init__(
            RABBITMQ_IMAGE,
            *(5672, 15672),
            RABBITMQ_DEFAULT_USER="test",
            RABBITMQ_DEFAULT_PASS=self._password,
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=OFTEN_TOLD,
        )

    async def start(self) -> None:
        await super().start()
        self.url = f"amqp://test:{self._password}@{self.address(5672)}/"
        self.management_url = f"http://test:{self._password}@{self.address(15672)}"
        await until(lambda: rabbitmq_answers(self.url, self.management_url))

    async def stop(self) -> None:
        # Not every image passes the signal on to the node.
        await asyncio.to_thread(self._container.exec, ["rabbitmqctl", "stop"])
        await asyncio.to_thread(partial(self._container.get_wrapped_container().wait, timeout=ENGINE_SECONDS))

    async def evaluate(self, expression: str) -> None:
        await asyncio.to_thread(self._container.exec, ["rabbitmqctl", "eval", expression])


def need_engine() -> docker.DockerClient:
    """Raises Unavailable."""
    client = _connect()
    if client is None:
        raise Unavailable("no Docker engine answers")
    return client


def _connect() -> docker.DockerClient | None:
    # Where nobody answers, the library leaves its socket to the garbage collector, which would warn some test.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        with contextlib.suppress(DockerException):
            return docker.from_env(timeout=ENGINE_SECONDS)
        gc.collect()
    return None


def _need_image(image: str) -> None:
    with contextlib.closing(need_engine()) as client:
        _without_ryuk_if_there_is_none(client)
        try:
            _pull_if_missing(client, image)
        except DockerException:
            raise Unavailable(f"Docker has no image {image} and cannot pull it") from None


def _pull_if_missing(client: docker.DockerClient, image: str) -> None:
    try:
        client.images.get(image)
    except ImageNotFound:
        client.images.pull(image)


def _without_ryuk_if_there_is_none(client: docker.DockerClient) -> None:
    # What Ryuk does is done by remains.py too, so nothing is lost where its image cannot be had.
    try:
        client.images.get(testcontainers_config.ryuk_image)
    except ImageNotFound:
        testcontainers_config.ryuk_disabled = True
