"""What the audit says of an order's units, `show` explains: where they are, and what has them."""

from uuid import UUID

import pytest

from order_saga.inspection.show import fields, lines, story_of
from tests.integration.audit.worlds import World, audit

NOBODYS = UUID(int=77)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE packet SET order_id = '{delivered}'", "order {delivered}"),
        ("UPDATE packet SET order_id = NULL", "no order"),
        ("DELETE FROM packet", "no order"),
    ],
)
async def test_who_has_a_packet_instead_of_its_order_is_told(world: World, change: str, named: str) -> None:
    first = "SELECT min(packet_id) FROM packet WHERE order_id = '{placed}'"
    await world.corrupt("store_worker", f"{change} WHERE packet_id = ({first})")
    (packet,) = [
        finding.sentence.removeprefix("store: ").split()[0]
        for finding in await audit(world.urls, at_rest=True)
        if (finding.invariant, finding.order_id) == ("I2", world.placed)
    ]

    story = await story_of(world.urls, world.placed)

    assert story is not None
    assert f"  store     {packet} is held by {named.format_map(vars(world))}" in lines(story)


async def test_an_order_known_by_nothing_but_a_unit_has_a_story(world: World) -> None:
    await world.corrupt("store_worker", f"UPDATE packet SET order_id = '{NOBODYS}' WHERE packet_id = 'P-9'")
    assert [finding.order_id for finding in await audit(world.urls, at_rest=True)] == [NOBODYS]

    story = await story_of(world.urls, NOBODYS)

    assert story is not None
    assert lines(story) == [
        f"order {NOBODYS}: the order saga does not know it",
        "  store     has P-9 without a reservation",
    ]
    assert fields(story)["units"] == {"store": ["P-9"]}


async def test_where_an_agent_went_after_a_delivery_is_no_part_of_its_story(world: World) -> None:
    story = await story_of(world.urls, world.delivered)

    assert story is not None
    assert not [line for line in lines(story) if "is held by" in line or "without a reservation" in line]


async def test_what_one_batch_has_noted_stays_in_its_order(world: World) -> None:
    events = "string_agg('Note ' || number, E'\\n' ORDER BY number)"
    batch = f"SELECT now(), array_agg('{{placed}}'::uuid), {events}, repeat(E'\\n', 39), repeat(E'\\n', 39)"
    later = "INSERT INTO timeline VALUES (now() + '1 s', ARRAY['{placed}'::uuid], 'Later', '', '')"
    await world.corrupt("order_saga", f"{later}; INSERT INTO timeline {batch} FROM generate_series(1, 40) AS number")

    story = await story_of(world.urls, world.placed)

    assert story is not None
    told = [line.split()[2:] for line in lines(story)]
    assert told[-41:] == [*(["Note", str(number)] for number in range(1, 41)), ["Later"]]


async def test_what_is_parked_about_an_order_is_in_its_story_the_oldest_first_and_of_no_other(world: World) -> None:
    documents = [
        ("placed", "second\nHINT:  look", "now()"),
        ("placed", "first", "now() - interval '1 h'"),
        ("refused", "x", "now()"),
    ]
    parked = ", ".join(
        f"(gen_random_uuid(), '{{{order}}}', 'a.queue', 'handler_failed', '{detail}', '', {at})"
        for order, detail, at in documents
    )
    columns = "message_id, order_id, queue, reason, detail, body, parked_at"
    await world.corrupt("store_worker", f"INSERT INTO parked ({columns}) VALUES {parked}")

    story = await story_of(world.urls, world.placed)

    assert story is not None
    assert [(service, document.detail) for service, document in story.parked] == [
        ("store_worker", "first"),
        ("store_worker", "second\nHINT:  look"),
    ]
    assert r"  parked    in store_worker: a document: handler_failed, second\nHINT:  look" in lines(story)
