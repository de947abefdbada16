"""The commands of every service: run, migrate, check, and look after parked documents."""

import asyncio
import gc
import random
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

import click

from messages.transport.broker import Broker
from messages.transport.command_line.broker_check import broker_problems
from messages.transport.command_line.database_check import check_database
from messages.transport.command_line.failures import CommandLine, Unreachable, WrongUsage
from messages.transport.command_line.own_database import own_database
from messages.transport.command_line.parked import parked_group
from messages.transport.command_line.remarks import remark
from messages.transport.daemon.logs import configure_logs
from messages.transport.daemon.process import Process
from messages.transport.database.migrating import FailedMigration, migrate
from messages.transport.faults import UnfitDatabase, one_line
from messages.transport.rabbitmq.broker import RabbitBroker
from messages.transport.service import Service
from messages.transport.settings import Settings, WrongSetting
from messages.transport.topology import topology_of

HIGHEST_CONSUMER_PRIORITY = 1_000_000
"""So large that two daemons hardly ever draw the same; if they do, they take turns."""
HELP = {"help_option_names": ["-h", "--help"]}
GROUP_HELP = """The daemon and the commands of one service.

Commands exit with 1 if something is wrong or was not done, 2 for a wrong setting or argument, 3 if a server cannot be
reached.
"""
GARBAGE_THRESHOLD = 50_000
"""Objects allocated and not yet freed: several times what a batch holds."""

T = TypeVar("T")


async def _nothing() -> list[str]:
    return []


@dataclass(frozen=True, slots=True)
class Program:
    """A service as the command line knows it: its name, its settings, and how it is made of them."""

    name: str
    settings: type[Settings]
    service: Callable[[Any], Service]
    problems: Callable[[], Awaitable[list[str]]] = _nothing
    """What `check` finds wrong beyond the service itself, in sentences."""

    def read_settings(self) -> Settings:
        try:
            return self.settings.read()
        except WrongSetting as error:
            raise WrongUsage(str(error)) from None


def command_line(program: Program) -> click.Group:
    """The commands that all services have; a service adds its own to the group."""

    @click.group(program.name.replace("_", "-"), cls=CommandLine, context_settings=HELP, help=GROUP_HELP)
    @click.version_option(package_name="order-saga")
    @click.pass_context
    def group(context: click.Context) -> None:
        context.obj = program.read_settings

    @group.command()
    def run() -> None:
        """Run the daemon until SIGTERM or SIGINT.

        Then it drains, for DRAIN_SECONDS at most, and exits with 0.
        """
        settings = program.read_settings()
        configure_logs(program.name, settings.log_level, settings.log_format)
        _complete(_run(program.service(settings), settings))

    @group.command("migrate")
    def migrate_command() -> None:
        """Bring the database to the current schema. Safe at any time, from any number of processes.

        Waits some minutes for tables that others have locked, or for another `migrate`, and reports them. Exits with 3
        if a migration could not be applied, and names it.
        """
        settings = program.read_settings()
        _complete(_migrate(program.service(settings), settings))

    @group.command("check")
    def check_command() -> None:
        """Prove that settings, database and broker fit together.

        With TOPOLOGY=declare it creates those exchanges, queues and bindings that are missing; otherwise it changes
        nothing. Prints a line for each thing that does not fit, and a `warning` where a crash may cost the database or
        commits wait for a standby that is not there.

        Exits with 1 if something does not fit or a server cannot be reached, 2 if a setting is wrong.
        """
        settings = program.read_settings()
        configure_logs(program.name, "error")
        problems, warnings = _complete(_check(program, settings))
        for warning in warnings:
            remark(f"warning: {warning}")
        for problem in problems:
            click.echo(problem, err=True)
        sys.exit(1 if problems else 0)

    group.add_command(parked_group)
    return group


async def _run(service: Service, settings: Settings) -> None:
    _spare_the_collector()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        await Process(service, settings, _broker(service, settings)).run(stop)
    except WrongSetting as error:
        raise WrongUsage(str(error)) from None
    except UnfitDatabase as error:
        raise click.ClickException(f"{settings.prefix()}DATABASE_URL: {error}") from None


def _spare_the_collector() -> None:
    """Freeze start-up objects and raise the GC threshold: a batch allocates many objects that die with it."""
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD, 20, 50)


def _broker(service: Service, settings: Settings) -> Broker:
    return RabbitBroker(
        settings.broker_url.get_secret_value(),
        topology=topology_of([service]) if settings.topology == "declare" else None,
        publish_timeout_seconds=settings.publish_timeout_seconds,
        connection_name=service.name,
        consumer_priority=random.randrange(HIGHEST_CONSUMER_PRIORITY) if settings.consumers == "prioritized" else 0,  # noqa: S311
    )


async def _migrate(service: Service, settings: Settings) -> None:
    """An output that fails is no fault of the database, and keeps no migration from being applied."""
    output_errors: list[OSError] = []

    def tell_applied(name: str) -> None:
        try:
            click.echo(f"applied {name}")
        except OSError as error:
            output_errors.append(error)

    try:
        async with own_database(settings) as connection:
            await migrate(connection, service.migrations, partial(click.echo, err=True), tell_applied)
    except UnfitDatabase as error:
        raise click.ClickException(f"{settings.prefix()}DATABASE_URL: {error}") from None
    except FailedMigration as error:
        raise Unreachable(f"{settings.prefix()}DATABASE_URL: {one_line(error)}") from None
    if output_errors:
        raise output_errors[0]


async def _check(program: Program, settings: Settings) -> tuple[list[str], list[str]]:
    """What does not fit, and what is only warned of."""
    service = program.service(settings)
    problems, warnings = await check_database(service, settings)
    return [*problems, *await broker_problems(service, settings), *await program.problems()], warnings


def _complete(work: Coroutine[Any, Any, T]) -> T:
    """Run it to its end, on uvloop where there is one."""
    try:
        import uvloop  # noqa: PLC0415  not there on Windows
    except ImportError:
        return asyncio.run(work)
    return uvloop.run(work)
