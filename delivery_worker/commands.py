"""`delivery-worker agents`: who is at work, who begins and who leaves, and who has delivered."""

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import partial
from typing import BinaryIO
from uuid import UUID

import click

from delivery_worker.published import Agent, agent_named, agents
from delivery_worker.service import NAME
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline
from messages.contracts.order import DeliveryCompleted
from messages.contracts.views import CONFIRMED
from messages.transport.command_line.arguments import ReadSettings, Text
from messages.transport.command_line.printing import utc
from messages.transport.command_line.reading import ask
from messages.transport.edge.publishing import publish
from messages.transport.edge.requests import Request, RequestReader, new_request, read_lines

OFFLINE = "offline"
NOWHERE = "-"
"""In place of a zone: all that is known of the agent is that they are offline."""


@click.group("agents")
def agents_group() -> None:
    """List agents, put them online or offline, report deliveries."""


@agents_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def list_agents(read_settings: ReadSettings, as_json: bool) -> None:
    """List the agents.

    Each with zone and state, the order they work for, and since when that is so, in UTC. An agent who goes offline with
    an order is listed as `confirmed, offline`, for example, until it is delivered or given up.
    """
    found = ask(read_settings(), agents)
    if not as_json:
        click.echo(f"{'agent':<20} {'zone':<16} {'state':<18} {'order':<36} since")
    for agent in found:
        click.echo(json.dumps(_fields(agent)) if as_json else _line(agent))


@agents_group.command("add")
@click.argument("zone", required=False)
@click.argument("agent_ids", metavar="AGENT...", nargs=-1)
@click.option(
    "--file", type=click.File("rb"), help="AgentCameOnline and AgentWentOffline, one JSON object a line; - for stdin."
)
def add_agents(zone: str | None, agent_ids: tuple[str, ...], file: BinaryIO | None) -> None:
    """Put agents online in ZONE, or those that a file names.

    Publishes AgentCameOnline, dated now by this machine's clock, or as in the file; the running delivery worker
    does the rest. Exits with 2 if the input is wrong, 3 if the broker cannot be reached. Settings: BROKER_URL, or
    CLIENT_BROKER_URL for a user of one's own.
    """
    if file is not None and zone is None:
        reader = RequestReader(AgentCameOnline, AgentWentOffline)
        requests = [request for _, request in read_lines(reader, file)]
    elif file is None and zone and agent_ids:
        requests = list(_came_online(zone, agent_ids))
    else:
        raise click.UsageError("give ZONE and AGENT, or --file")
    publish(NAME, "agents add", requests)
    click.echo(f"{len(requests)} published")


@agents_group.command("offline")
@click.argument("agent_ids", metavar="AGENT...", nargs=-1, required=True)
def put_offline(agent_ids: tuple[str, ...]) -> None:
    """Put agents offline, as of when the message is handled.

    It overrides all earlier ones. An order that has such an agent is refused, unless it is placed already: then they
    keep it, and an alarm `offline_while_confirmed` says so. A later AgentCameOnline brings them back. Publishes
    AgentWentOffline; exit codes and settings are those of `add`.
    """
    requests = [new_request(AgentWentOffline, agent_id=agent_id) for agent_id in agent_ids]
    publish(NAME, "agents offline", requests)
    click.echo(f"{len(requests)} published")


@agents_group.command("completed")
@click.argument("agent_id", metavar="AGENT", type=Text())
@click.argument("order_id", metavar="ORDER", type=click.UUID)
@click.pass_obj
def complete_delivery(read_settings: ReadSettings, agent_id: str, order_id: UUID) -> None:
    """Report that AGENT has delivered ORDER, or never will.

    The agent becomes free, the packets are used up. Publishes DeliveryCompleted; the running workers do the rest. Exits
    with 1, publishing nothing, if the order is not `confirmed` for the agent, 2 if the input is wrong, 3 if a server
    cannot be reached. Settings: those of the delivery worker's database, and BROKER_URL, or CLIENT_BROKER_URL for a
    user of one's own.
    """
    agent = ask(read_settings(), partial(agent_named, agent_id=agent_id))
    if agent is None or (agent.order_id, agent.state) != (order_id, CONFIRMED):
        raise click.ClickException(f"order {order_id} is not {CONFIRMED} for {agent_id}: see `agents list`")
    publish(NAME, "agents completed", [new_request(DeliveryCompleted, order_id=order_id)])
    click.echo("1 published")


def _came_online(zone: str, agent_ids: Iterable[str]) -> Iterator[Request]:
    now = datetime.now(UTC)
    for agent_id in agent_ids:
        yield new_request(AgentCameOnline, agent_id=agent_id, zone=zone, at=now)


def _line(agent: Agent) -> str:
    state = agent.state if agent.online or agent.state == OFFLINE else f"{agent.state}, {OFFLINE}"
    since = utc(agent.since) if agent.since else ""
    return f"{agent.agent_id:<20} {agent.zone or NOWHERE:<16} {state:<18} {agent.order_id or ''!s:<36} {since}".rstrip()


def _fields(agent: Agent) -> dict[str, str | bool | None]:
    return agent._asdict() | {
        "zone": agent.zone or None,
        "order_id": str(agent.order_id) if agent.order_id else None,
        "since": agent.since.isoformat() if agent.since else None,
    }
