"""`delivery-worker agents`: who works for whom, who is offline, and what is said for whom."""

import asyncio
import uuid
from datetime import UTC, datetime
from pathlib import Path

import asyncpg

import delivery_worker.service
import delivery_worker.settings
from messages.contracts.delivery import AgentWentOffline
from messages.contracts.participation import OutcomeRequested
from messages.transport.edge.connection import publish_until_confirmed
from messages.transport.edge.requests import new_request
from tests.conftest import NewDatabase
from tests.integration.command_line.shell import Shell
from tests.integration.command_line.shops import a_shop, order, text
from tests.integration.delivery_worker.messages import assign, online, reserve
from tests.integration.participant.reservations import let_pass
from tests.integration.workers import Worker

DELIVERY = delivery_worker.service.service(delivery_worker.settings.Settings(database_url="postgresql://elsewhere/"))


async def test_agents_are_listed_with_whom_they_work_for(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=2)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    confirmed = f"SELECT bool_or(state = 'confirmed') FROM published.stock WHERE place = '{shop}'"
    await shell.until("delivery_worker", confirmed)

    people, machines = await asyncio.gather(
        shell.type("delivery_worker", "agents", "list"), shell.type("delivery_worker", "agents", "list", "--json")
    )

    mine = {each["agent_id"]: each for each in machines.objects if each["zone"] == shop}
    assert len(mine) == 2
    working = mine.pop(told["agent_id"])
    assert (working["state"], working["order_id"]) == ("confirmed", told["order_id"])
    assert [each["state"] for each in mine.values()] == ["free"]
    assert (working["online"], [each["online"] for each in mine.values()]) == (True, [True])
    since = datetime.fromisoformat(working["since"])
    assert since == await shell.sql(
        "delivery_worker", f"SELECT changed_at FROM reservation WHERE order_id = '{told['order_id']}'"
    )
    assert [each["since"] for each in mine.values()] == [None]
    assert f"{'confirmed':<18} {told['order_id']} {since.astimezone(UTC):%Y-%m-%d %H:%M:%S}\n" in people.out


async def test_an_inquiry_does_not_change_since_when_he_is_assigned(shell: Shell, new_database: NewDatabase) -> None:
    url = await new_database(*DELIVERY.migrations)
    delivery = await Worker.start(DELIVERY, url)
    working = uuid.uuid4()
    await delivery.hear(online("A-1"), reserve(working), assign(working))
    await let_pass(delivery, 3_600)
    assert [type(message) for message in await delivery.run("sweep")] == [OutcomeRequested]
    ((assigned_at,),) = [row.values() for row in await delivery.query("SELECT assigned_at FROM reservation")]
    await delivery.stop()

    told = await shell.type("delivery_worker", "agents", "list", "--json", DELIVERY_WORKER_DATABASE_URL=url)
    (listed,) = told.objects

    assert (listed["state"], datetime.fromisoformat(listed["since"])) == ("assigned", assigned_at)


async def test_who_goes_offline_while_he_has_an_order_is_listed_with_both(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    mine = f"FROM published.stock WHERE place = '{shop}'"
    await shell.until("delivery_worker", f"SELECT bool_or(state = 'confirmed') {mine}")
    await publish_until_confirmed(shell.broker, [new_request(AgentWentOffline, agent_id=told["agent_id"])])
    await shell.until("delivery_worker", f"SELECT NOT bool_or(online) {mine}")

    people, machines = await asyncio.gather(
        shell.type("delivery_worker", "agents", "list"), shell.type("delivery_worker", "agents", "list", "--json")
    )

    assert f"{told['agent_id']:<20} {shop:<16} confirmed, offline {told['order_id']} " in people.out
    (gone,) = [each for each in machines.objects if each["zone"] == shop]
    assert (gone["state"], gone["online"]) == ("confirmed", False)


async def test_who_has_lost_his_phone_is_taken_off_and_what_he_delivered_is_said_for_him(shell: Shell) -> None:
    shop = await a_shop(shell, packets=1, agents=1)
    (told,) = (await shell.type("order_saga", "place", "--json", "-", stdin=text([order(shop)]))).objects
    agent_id, order_id = told["agent_id"], told["order_id"]
    mine = f"FROM published.stock WHERE place = '{shop}'"
    for service in ("store_worker", "delivery_worker"):
        await shell.until(service, f"SELECT bool_or(state = 'confirmed') {mine}")

    gone = await shell.type("delivery_worker", "agents", "offline", agent_id)
    assert (gone.code, gone.out) == (0, "1 published\n"), gone
    await shell.until("delivery_worker", f"SELECT NOT bool_or(online) {mine}")
    for nobody, nothing in ((agent_id, str(uuid.uuid4())), ("somebody-else", order_id)):
        wrong = await shell.type("delivery_worker", "agents", "completed", nobody, nothing)
        assert (wrong.code, wrong.out) == (1, ""), wrong
        assert wrong.err == f"Error: order {nothing} is not confirmed for {nobody}: see `agents list`\n"
    done = await shell.type("delivery_worker", "agents", "completed", agent_id, order_id)
    assert (done.code, done.out) == (0, "1 published\n"), done

    await shell.until("delivery_worker", f"SELECT bool_or(state = 'offline') {mine}")
    await shell.until("store_worker", f"SELECT bool_or(state = 'fulfilled') {mine}")
    again = await shell.type("delivery_worker", "agents", "completed", agent_id, order_id)
    assert (again.code, again.out) == (1, ""), again


async def test_a_database_that_does_not_say_yet_who_is_online_is_one_line(
    shell: Shell, new_database: NewDatabase
) -> None:
    url = await new_database()
    old = await asyncpg.connect(url)
    await old.execute("CREATE VIEW published.stock AS SELECT ''::text AS unit_id, NULL::uuid AS order_id")
    await old.execute("CREATE VIEW published.holdings AS SELECT NULL::uuid AS order_id")
    await old.close()

    listed = await shell.type("delivery_worker", "agents", "list", DELIVERY_WORKER_DATABASE_URL=url)

    assert (listed.code, listed.out) == (3, "")
    assert listed.err.startswith("Error: DELIVERY_WORKER_DATABASE_URL: column ")
    assert listed.err.endswith("that database is not migrated\n")
    assert listed.err.count("\n") == 1


async def test_an_agent_of_whom_is_only_known_that_he_is_gone_is_listed_without_a_zone(
    shell: Shell, tmp_path: Path
) -> None:
    agent_id = f"agent-{uuid.uuid4().hex[:8]}"
    outgoing = tmp_path / "agents.jsonl"
    outgoing.write_text(text([{"type": "AgentWentOffline/1.1", "agent_id": agent_id, "at": "2026-05-01T17:00:00Z"}]))
    assert (await shell.type("delivery_worker", "agents", "add", "--file", str(outgoing))).code == 0
    await shell.until("delivery_worker", f"SELECT count(*) = 1 FROM published.stock WHERE unit_id = '{agent_id}'")

    people, machines = await asyncio.gather(
        shell.type("delivery_worker", "agents", "list"), shell.type("delivery_worker", "agents", "list", "--json")
    )

    assert f"{agent_id:<20} {'-':<16} offline\n" in people.out
    (gone,) = [each for each in machines.objects if each["agent_id"] == agent_id]
    assert gone == {
        "agent_id": agent_id, "zone": None, "state": "offline", "order_id": None, "online": False, "since": None,
    }  # fmt: skip
