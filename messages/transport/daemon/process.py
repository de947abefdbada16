"""One service from start to drain: waits for its servers, handles batches, runs jobs, leaves nothing half done."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import structlog

from messages.transport.addresses import dead_queue, queue_name
from messages.transport.batches.consumer import Consumer
from messages.transport.batches.intake import Intake
from messages.transport.batches.pacing import Pace
from messages.transport.batches.transactor import Transactor
from messages.transport.broker import Broker
from messages.transport.cancelling import cancel
from messages.transport.daemon.health import Health, wrong_setting
from messages.transport.daemon.housekeeping import delete_the_last, housekeeping
from messages.transport.daemon.jobs import Jobs
from messages.transport.daemon.logs import take_dropped_lines
from messages.transport.daemon.measuring import measures_of
from messages.transport.database.migrating import pending
from messages.transport.database.postgres import Database
from messages.transport.database.session import refuse_dropped_settings
from messages.transport.dead_letters import DeadLetters
from messages.transport.document import Reader
from messages.transport.faults import is_infrastructure, one_line, why_refused
from messages.transport.metrics import Metrics
from messages.transport.publisher import OutboxPublisher
from messages.transport.replay import Replay
from messages.transport.service import Service
from messages.transport.settings import Settings, WrongSetting
from messages.transport.version import version

log = structlog.get_logger(__name__)

MIGRATIONS_SECONDS = 1.0
BEAT_SECONDS = 1.0


class Process:
    """A running service. Several can live in one event loop, each with its own database, metrics and jobs."""

    def __init__(self, service: Service, settings: Settings, broker: Broker) -> None:
        if settings.locking == "pessimistic":
            service = replace(service, row_cache=None)
        self._service = service
        self._settings = settings
        self._broker = broker
        self.metrics = Metrics(measures_of(service))
        self.metrics.unconfirmed_rows_limit.set(settings.unconfirmed_rows)
        self._database = Database(
            settings.database_url.get_secret_value(), size=settings.pool_size, application_name=service.name
        )
        self._reader = Reader(service.handlers)
        self._publisher = OutboxPublisher(broker, settings.unconfirmed_rows)
        self._transactor = Transactor(
            service, self._database, self._publisher, self.metrics, settings.relay_after_seconds
        )
        self._intake = Intake(
            batch_documents=settings.batch_documents,
            batch_bytes=settings.batch_bytes,
            capacity=self._capacity if service.capacity else None,
            # Only the service that begins orders is paced: what begins together reaches all others together.
            pace=Pace() if service.capacity else None,
            begins=service.takes_new_work,
        )
        self._consumer = Consumer(self._reader, self._intake, self._transactor, service.gathering)
        self._dead_letters = DeadLetters(dead_queue(service.name), self._reader, self._transactor)
        own_jobs = housekeeping(settings, self._publisher, Replay(service, self._reader), self.metrics)
        self._jobs = Jobs((*service.jobs, *own_jobs), self._transactor, lambda: self._intake.quiet)
        self._health = Health(self.metrics.registry, self._checks)
        self._migrated = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until `stop` is set; then drain. Raises only what no retry can heal."""
        self._start_health()
        beat = asyncio.create_task(self._beat())
        try:
            if await self._opened(stop):
                await self._work(stop)
        finally:
            beat.cancel()
            await asyncio.gather(self._broker.close(), self._database.close())
            self._health.stop()
        log.info("stopped")

    def _start_health(self) -> None:
        settings = self._settings
        if not settings.http_port:
            return
        try:
            self._health.start(settings.http_host, settings.http_port)
        except (OSError, UnicodeError) as error:  # the latter if it is no valid host name
            raise WrongSetting(f"{settings.prefix()}{wrong_setting(error)}: {error}") from None

    async def _opened(self, stop: asyncio.Event) -> bool:
        """Wait for database and migrations, then start the broker and subscribe; False if stopped meanwhile."""
        opening = asyncio.create_task(self._open())
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({opening, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if not opening.done():
            await cancel(opening)
            return False
        opening.result()
        return True

    async def _open(self) -> None:
        try:
            await self._database.open()
        except ValueError as error:  # refused before any server is asked: an unknown sslmode, say
            raise WrongSetting(f"{self._settings.prefix()}DATABASE_URL: {why_refused(error)}") from None
        while not await self._database_is_ready():  # noqa: ASYNC110  another process applies them
            await asyncio.sleep(MIGRATIONS_SECONDS)
        self._migrated = True
        self.metrics.migrated.set(1)
        await self._broker.start()
        settings = self._settings
        priority, new_work, *reports = (queue_name(self._service.name, queue) for queue in self._service.queues)
        await self._intake.subscribe(
            self._broker, (priority, settings.priority_prefetch), (new_work, settings.new_work_prefetch), *reports
        )
        log.info("started", version=version())

    async def _database_is_ready(self) -> bool:
        try:
            async with self._database.session() as session:
                await refuse_dropped_settings(session)
                missing = await pending(session, self._service.migrations)
        except Exception as error:
            if not is_infrastructure(error):
                raise
            log.warning("waiting for PostgreSQL", error=one_line(error))
            return False
        if missing:
            log.warning("waiting for migrations", missing=[migration.name for migration in missing])
        return not missing

    async def _work(self, stop: asyncio.Event) -> None:
        consuming = asyncio.create_task(self._consumer.run(), name="consumer")
        working = {
            consuming,
            asyncio.create_task(self._jobs.run(), name="jobs"),
            asyncio.create_task(self._dead_letters.run(self._broker), name="dead letters"),
        }
        stopping = asyncio.create_task(stop.wait())
        try:
            finished, _ = await asyncio.wait({stopping, *working}, return_when=asyncio.FIRST_COMPLETED)
            for task in finished - {stopping}:
                task.result()
                raise RuntimeError(f"{task.get_name()} ended unexpectedly")
        finally:
            stopping.cancel()
            await self._drain(consuming, working)

    async def _drain(self, consuming: "asyncio.Task[None]", working: "set[asyncio.Task[None]]") -> None:
        """Finish the current batch, acknowledge it, and wait for the confirms, all within `drain_seconds`."""
        log.info("draining")
        self._consumer.stop()
        self._jobs.stop()
        try:
            async with asyncio.timeout(self._settings.drain_seconds):
                await self._intake.stop()
                await asyncio.wait({consuming})
                await self._publisher.drain()
        except TimeoutError:
            log.warning("drain timed out; unfinished work will be repeated")
        await cancel(*working)
        await self._publisher.abandon()
        await delete_the_last(self._publisher, self._database)

    async def _capacity(self) -> int:
        assert self._service.capacity is not None
        async with self._database.session() as session:
            return await self._service.capacity(session)

    async def _beat(self) -> None:
        while True:
            self._health.beat()
            self.metrics.unconfirmed_rows.set(self._publisher.unconfirmed)
            self.metrics.given_up.inc(self._publisher.take_given_up())
            self.metrics.log_lines_dropped.inc(take_dropped_lines())
            self.metrics.connected.labels("postgresql").set(self._database.reachable)
            if self._migrated:  # before, the broker is not tried
                self.metrics.connected.labels("broker").set(self._broker.connected)
            self.metrics.paused.set(self._intake.paused)
            for queue, waiting in self._intake.waiting():
                self.metrics.waiting.labels(queue).set(waiting)
            await asyncio.sleep(BEAT_SECONDS)

    def _checks(self) -> Mapping[str, bool]:
        return {
            "migrations": self._migrated,
            "postgresql": self._database.reachable,
            **({"broker": self._broker.connected} if self._migrated else {}),
            "batch": not self._intake.paused,
            **{f"job {name}": False for name in self._jobs.stale},
        }
