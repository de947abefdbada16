"""`python -m deploy.demo`: the whole system in one process, a file of orders, their outcomes, and the audit."""

import asyncio
import os
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import asyncpg
import click

from deploy.demo import queries, telling
from deploy.demo.catalogue import Catalogue
from deploy.demo.conversation import Answer, Conversation
from deploy.demo.customer import Customer
from deploy.demo.embedded_postgres import EmbeddedPostgres, NoPostgresError
from deploy.demo.looking import TooSlowError, audited, look_until
from deploy.demo.script import SAMPLE, Step, read
from deploy.demo.system import System, running
from messages.contracts.message import Message
from messages.contracts.order import DeliveryCompleted, OrderPlaced
from messages.transport.command_line.failures import Unreachable
from messages.transport.command_line.printing import counted
from messages.transport.daemon.logs import configure_logs
from messages.transport.edge.requests import Request, new_request
from order_saga.inspection.audit import Report
from order_saga.inspection.commands import finding_line, verdict
from order_saga.participants import PARTICIPANTS

NOT_HERE = ("unknown_sku", "no_agent")
"""Reasons that are also given if there is no such store or zone."""


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--orders", type=click.Path(path_type=Path), default=SAMPLE, help="JSON lines; default: a sample of 216.")
def main(orders: Path) -> None:
    """Place orders with all services in this process, on a throw-away PostgreSQL, and audit the result.

    Exits with 0 if every order has exactly one outcome, the one that the sample expects, if of those that compete
    exactly as many are placed as there are packets or agents for, and if the audit is clean.
    """
    steps = read(orders)
    configure_logs("demo", "error")
    _forget_other_servers()
    try:
        sys.exit(0 if asyncio.run(_demonstrate(steps)) else 1)
    except (NoPostgresError, TooSlowError) as error:
        raise Unreachable(str(error)) from None


def _forget_other_servers() -> None:
    """PGPORT and its like are about another PostgreSQL, and asyncpg would go by them here too."""
    for name in [name for name in os.environ if name.startswith("PG")]:
        del os.environ[name]


async def _demonstrate(steps: Sequence[Step]) -> bool:
    began = time.monotonic()
    catalogue = Catalogue.read()
    async with EmbeddedPostgres() as postgres:
        await _introduce(postgres, time.monotonic() - began)
        async with running(postgres.url) as system:
            await _open_shop(system, catalogue)
            customer = Customer(system, telling.tell, telling.remark)
            await customer.play(steps)
            telling.sum_up(customer.conversation.answers)
            _help(customer.conversation.answers, catalogue)
            await _deliver(system, customer.conversation)
            report = await audited(system.urls)
    is_good = _judge(customer.conversation, report)
    click.echo(f"{time.monotonic() - began:.0f} s in all.")
    return is_good


async def _introduce(postgres: EmbeddedPostgres, seconds: float) -> None:
    connection = await asyncpg.connect(postgres.url)
    version = await queries.version(connection)
    await connection.close()
    click.echo(f"PostgreSQL {version} created and started in {seconds:.1f} s.")


async def _open_shop(system: System, catalogue: Catalogue) -> None:
    """Fill stores and fleet as any client would: with messages."""
    await _publish(system, catalogue.requests())
    await look_until(system.urls["store_worker"], queries.units, lambda units: units >= catalogue.packets)
    await look_until(system.urls["delivery_worker"], queries.units, lambda units: units >= catalogue.agents_online)
    click.echo("All services in this process, with a database each.")
    click.echo(
        f"{catalogue.packets} packets in {len(catalogue.stores)} stores, {catalogue.agents_online} agents online.\n"
    )


def _help(answers: Sequence[Answer], catalogue: Catalogue) -> None:
    """If orders ask for what does not exist, and no refusal is expected, tell what exists."""
    if any(answer.word in NOT_HERE and not answer.line.expected for answer in answers):
        click.echo(f"Known stores: {', '.join(catalogue.stores)}; zones: {', '.join(catalogue.agents)}.")
        click.echo("Their stock: deploy/demo/catalogue.json.\n")


async def _deliver(system: System, conversation: Conversation) -> None:
    """Bring every placed order to its customer: the packets are used up, the agents are idle again."""
    placed = [order_id for order_id, outcomes in conversation.outcomes.items() if _is_placed(outcomes)]
    await _publish(system, (new_request(DeliveryCompleted, order_id=order_id) for order_id in placed))
    for participant in PARTICIPANTS.values():
        url = system.urls[participant.worker]
        await look_until(url, queries.holdings, lambda held: held.get("fulfilled", 0) >= len(placed))
    click.echo(f"Orders delivered: {len(placed)}.")


def _is_placed(outcomes: set[Message]) -> bool:
    return any(isinstance(outcome, OrderPlaced) for outcome in outcomes)


async def _publish(system: System, requests: Iterable[Request]) -> None:
    await system.broker.publish([request.envelope for request in requests])


def _judge(conversation: Conversation, report: Report) -> bool:
    """Say whether all is well, and if not, what is not."""
    answers = conversation.answers
    surprises = [answer for answer in answers if not answer.is_expected]
    missed = list(conversation.missed_groups())
    for group, placed in missed:
        telling.verdict(f"{group.name}: {placed} orders placed, expected: {group.placed}", is_good=False)
    for order_id in conversation.contradictions:
        telling.verdict(f"order {order_id} got different outcomes", is_good=False)
    for finding in report.findings:
        telling.verdict(finding_line(finding), is_good=False)
    telling.verdict(_answered(answers, len(answers) - len(surprises)), is_good=not surprises)
    telling.verdict(f"Audit: {verdict(report)}.", is_good=not report.findings)
    return not (surprises or missed or conversation.contradictions or report.findings)


def _answered(answers: Sequence[Answer], good: int) -> str:
    """A user's own orders have no expected outcome, only that there is one."""
    if any(answer.line.expected for answer in answers):
        return f"{good} of {len(answers)} answers as expected."
    if good < len(answers):
        return f"{good} of {len(answers)} lines answered."
    return f"{counted(good, 'answer')}."


if __name__ == "__main__":
    main()
