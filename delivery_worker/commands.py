"""`delivery-worker agents`: who is at work, and who begins."""

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import BinaryIO

import click

from delivery_worker.published import Agent, agents
from messages.contracts.delivery import AgentCameOnline, AgentWentOffline
from messages.transport.command_line.reading import ask
from messages.transport.edge.requests import Request, RequestReader, read_lines, write
from messages.transport.edge.say import publish
from messages.transport.settings import Settings

OFFLINE = "offline"
NOWHERE = "-"
"""In place of a zone: all that is known of the agent is that he is offline."""


@click.group("agents")
def agents_group() -> None:
    """Agents: who is at work, and who begins."""


@agents_group.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
@click.pass_obj
def list_agents(read_settings: Callable[[], Settings], as_json: bool) -> None:
    """List every agent, with zone and state, and the order he works for.

    Who goes offline while he has an order is `confirmed, offline`, say, until he has delivered it.
    """
    found = ask(read_settings(), agents)
    if not as_json:
        click.echo(f"{'agent':<20} {'zone':<16} {'state':<18} order")
    for agent in found:
        click.echo(json.dumps(_fields(agent)) if as_json else _line(agent))


@agents_group.command("add")
@click.argument("zone", required=False)
@click.argument("agent_ids", metavar="AGENT...", nargs=-1)
@click.option(
    "--file", type=click.File("rb"), help="AgentCameOnline and AgentWentOffline, one JSON object a line; - for stdin."
)
def add_agents(zone: str | None, agent_ids: tuple[str, ...], file: BinaryIO | None) -> None:
    """Have agents begin to work in ZONE, or those that a file names.

    Publishes AgentCameOnline, said now by this machine's clock, or when the file says; the running delivery worker
    does the rest. Exits with 2 if the input is wrong, 3 if the broker cannot be reached. Settings: BROKER_URL, or
    CLIENT_BROKER_URL for a user of one's own.
    """
    if file is not None and zone is None:
        reader = RequestReader(AgentCameOnline, AgentWentOffline)
        requests = [request for _, request in read_lines(reader, file)]
    elif file is None and zone and agent_ids:
        requests = list(_came_online(zone, agent_ids))
    else:
        raise click.UsageError("say ZONE and AGENT, or --file")
    publish("delivery_worker", "agents add", requests)
    click.echo(f"{len(requests)} published")


def _came_online(zone: str, agent_ids: Iterable[str]) -> Iterator[Request]:
    now = datetime.now(UTC)
    for agent_id in agent_ids:
        yield write(AgentCameOnline, agent_id=agent_id, zone=zone, at=now)


def _line(agent: Agent) -> str:
    state = agent.state if agent.online or agent.state == OFFLINE else f"{agent.state}, {OFFLINE}"
    return f"{agent.agent_id:<20} {agent.zone or NOWHERE:<16} {state:<18} {agent.order_id or ''}".rstrip()


def _fields(agent: Agent) -> dict[str, str | bool | None]:
    order_id = str(agent.order_id) if agent.order_id else None
    return agent._asdict() | {"zone": agent.zone or None, "order_id": order_id}
