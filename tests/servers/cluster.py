"""Three RabbitMQ nodes in Docker that are one cluster, behind one address."""

import asyncio
import secrets
from contextlib import AsyncExitStack
from typing import Self
from urllib.parse import urlsplit

from testcontainers.core.network import Network

from tests.servers.balancer import Balancer, Place
from tests.servers.containers import RabbitMQContainer
from tests.servers.management import Management
from tests.servers.remains import LABEL, remains
from tests.servers.server import OFTEN_TOLD, until

NAMES = ("one", "two", "three")


class ClusterNode(RabbitMQContainer):
    """A node that knows the names of the others, and finds them at its first start."""

    def __init__(self, name: str, network: Network, password: str, cookie: str) -> None:
        super().__init__(password)
        self.name = f"rabbit@{name}"
        peers = ",".join(f"'rabbit@{each}'" for each in NAMES)
        self._container.with_envs(
            RABBITMQ_ERLANG_COOKIE=cookie,
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=f"{OFTEN_TOLD} -rabbit cluster_nodes {{[{peers}],disc}}",
        )
        self._container.with_network(network).with_network_aliases(name)
        self._container.with_kwargs(labels={LABEL: remains().session}, hostname=name)

    @property
    def place(self) -> Place:
        host, port = urlsplit(self.url).hostname, urlsplit(self.url).port
        assert host
        assert port
        return host, port

    async def lead(self, vhost: str) -> None:
        """All queues of a virtual host: while this node was slow, another one may have taken some of them over."""
        queues = f'rabbit_amqqueue:list(<<"{vhost}">>)'
        await self.evaluate(f"[rabbit_quorum_queue:transfer_leadership(Queue, node()) || Queue <- {queues}].")

    async def joined(self) -> None:
        """Raises OSError unless all nodes run, and know each other."""
        nodes = await Management(self.management_url).call("GET", "nodes")
        if sum(node["running"] for node in nodes) < len(NAMES):
            raise OSError(f"{self.name} knows these nodes: {nodes}")


class RabbitMQCluster:
    """Started when all nodes have joined. `url` leads to the first that runs; `management_url` is that of the last."""

    def __init__(self) -> None:
        self._password = secrets.token_hex(8)
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        cookie = secrets.token_hex(16)
        network = await asyncio.to_thread(Network(docker_network_kw={"labels": {LABEL: remains().session}}).create)
        self._stack.push_async_callback(asyncio.to_thread, network.remove)
        self.nodes = [ClusterNode(name, network, self._password, cookie) for name in NAMES]
        for node in self.nodes:
            self._stack.push_async_callback(node.remove)
        try:
            await asyncio.gather(*(node.start() for node in self.nodes))
            for node in self.nodes:
                await until(node.joined)
            self.balancer = await self._stack.enter_async_context(Balancer([node.place for node in self.nodes]))
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    @property
    def url(self) -> str:
        return f"amqp://test:{self._password}@127.0.0.1:{self.balancer.port}/"

    @property
    def management_url(self) -> str:
        return self.nodes[-1].management_url
