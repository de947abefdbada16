"""The plain saga as a system that the harness can start, fill and measure like the real one."""

from collections.abc import Iterable

import aio_pika
from aio_pika import ExchangeType

from bench.connecting import connected
from bench.daemons import Daemon
from bench.plain.steps import READY, shelf
from bench.stock import Supply
from bench.system import NotClean, System
from bench.workload import Workload, sku, store_id, zone
from messages.transport.addresses import OUTCOMES, REQUESTS

UNIT = """
    CREATE TABLE unit (id text PRIMARY KEY, place text, order_id uuid, assigned boolean NOT NULL DEFAULT false);
    CREATE INDEX ON unit (place) WHERE order_id IS NULL;
    CREATE UNIQUE INDEX ON unit (order_id) WHERE order_id IS NOT NULL;
"""
TABLES = {
    "order_saga": "CREATE TABLE saga (order_id uuid PRIMARY KEY, packet text, agent text, assigned integer DEFAULT 0)",
    "store_worker": UNIT,
    "delivery_worker": UNIT,
}
SPARE_AGENTS = 10
QUEUES = ("orders", "answers", "store", "delivery")


class PlainDaemon(Daemon):
    """Says in its log that it is ready, and otherwise nothing but what goes wrong."""

    @property
    def arguments(self) -> tuple[str, ...]:
        return "bench.plain", self.service

    def _is_ready(self) -> bool:
        return READY in self.log.read_text().splitlines()

    def complaints(self) -> list[str]:
        return [line for line in self.log.read_text().splitlines() if line != READY]


class PlainSystem(System):
    daemon_type = PlainDaemon

    async def make(self) -> None:
        await self.servers.management.create_vhost(self.name)
        for service, database in self.databases.items():
            await self.execute("postgres", f"CREATE DATABASE {database}")
            await self.execute(service, TABLES[service])
        async with await aio_pika.connect(self.broker_url) as broker:
            channel = await broker.channel()
            requests = await channel.declare_exchange(REQUESTS, ExchangeType.TOPIC, durable=True)
            await channel.declare_exchange(OUTCOMES, ExchangeType.TOPIC, durable=True)
            for name in QUEUES:
                queue = await channel.declare_queue(name, durable=True, arguments={"x-queue-type": "quorum"})
                if name == "orders":
                    await queue.bind(requests, "#")

    async def fill(self, workload: Workload, supply: Supply) -> None:
        wanted, agents = workload.demand()
        packets = {shelf(store_id(it[0]), sku(it[1])): supply(it, count) for it, count in wanted.items()}
        fleet = {zone(number): count + SPARE_AGENTS for number, count in agents.items()}
        await self._bring("store_worker", f"P{workload.seed}", packets.items())
        await self._bring("delivery_worker", f"A{workload.seed}", fleet.items())

    async def audit(self) -> None:
        """As many packets and as many agents are assigned as orders are placed. Raises NotClean."""
        if complaints := [line for daemon in self.daemons for line in daemon.complaints()]:
            raise NotClean(f"{len(complaints)} errors logged, the last: {complaints[-1][:1000]}")
        placed = await self.value("order_saga", "SELECT count(*) FROM saga WHERE assigned = 2")
        for worker in ("store_worker", "delivery_worker"):
            given = await self.value(worker, "SELECT count(*) FROM unit WHERE assigned")
            if given != placed:
                raise NotClean(f"{placed} orders are placed, but the {worker} assigned {given} units")

    async def _bring(self, service: str, prefix: str, wanted: Iterable[tuple[str, int]]) -> None:
        units = [(f"{prefix}-{place}-{number}", place) for place, count in wanted for number in range(count)]
        async with connected(self.urls[service]) as connection:
            await connection.copy_records_to_table("unit", records=units, columns=["id", "place"])
            await connection.execute("VACUUM ANALYZE unit")
