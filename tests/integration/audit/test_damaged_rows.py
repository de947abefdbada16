"""A row that contains what no service writes is a finding; it hides neither itself nor anything else."""

import json

import pytest

from messages.transport.command_line.failures import Unreachable
from order_saga.inspection.show import fields, lines, story_of
from tests.integration.audit.worlds import World, audit

GRANTED = [
    '{{"store": 5}}',
    '{{"store": [1, "P-1"]}}',
    '{{"store": null}}',
    '{{"store": "P-1"}}',
    '["P-1"]',
    "5",
    "null",
]


@pytest.mark.parametrize("granted", GRANTED)
async def test_what_was_granted_and_cannot_be_read_is_told(world: World, granted: str) -> None:
    await world.corrupt("order_saga", f"UPDATE saga SET granted = '{granted}' WHERE order_id = '{{placed}}'")
    await _expect_damage(world, "granted")


@pytest.mark.parametrize("line", ['{{"sku": "milk"}}', '{{"quantity": 2}}', "5"])
async def test_what_was_ordered_and_cannot_be_read_is_told(world: World, line: str) -> None:
    change = f"UPDATE saga SET request = jsonb_set(request::jsonb, '{{{{lines,0}}}}', '{line}')"
    await world.corrupt("order_saga", f"{change} WHERE order_id = '{{placed}}'")
    await _expect_damage(world, "lines")


async def test_a_unit_without_a_name_is_told(world: World) -> None:
    await world.corrupt("store_worker", "UPDATE reservation SET unit_ids[2] = NULL WHERE order_id = '{placed}'")

    sentences = [finding.sentence for finding in await audit(world.urls, at_rest=True)]

    assert "store: None confirmed, but held by another order or by none" in sentences
    assert await story_of(world.urls, world.placed) is not None


@pytest.mark.parametrize("time", ["infinity", "-infinity"])
@pytest.mark.parametrize(
    ("service", "change"),
    [
        ("order_saga", "UPDATE saga SET accepted_at = '{}' WHERE order_id = '{{placed}}'"),
        ("order_saga", "UPDATE saga SET decided_at = '{}' WHERE order_id = '{{placed}}'"),
        ("order_saga", "UPDATE saga SET cleaned_at = '{}' WHERE order_id = '{{placed}}'"),
        ("store_worker", "UPDATE reservation SET changed_at = '{}' WHERE order_id = '{{placed}}'"),
        ("store_worker", "UPDATE reservation SET expires_at = '{}' WHERE order_id = '{{placed}}'"),
    ],
)
async def test_what_is_said_to_have_happened_never_has_a_story(
    world: World, service: str, change: str, time: str
) -> None:
    await world.corrupt(service, change.format(time))

    await audit(world.urls)
    story = await story_of(world.urls, world.placed)

    assert story is not None
    assert lines(story)
    assert json.dumps(fields(story))


async def test_a_note_without_an_event_is_told(world: World) -> None:
    twice = "ARRAY['{placed}'::uuid, '{placed}'::uuid]"
    await world.corrupt("order_saga", f"INSERT INTO timeline VALUES (now(), {twice}, 'Due', '', '')")

    story = await story_of(world.urls, world.placed)

    assert story is not None
    assert [line.split()[2:] for line in lines(story)[-2:]] == [["Due"], ["?"]]


@pytest.mark.parametrize(
    "change",
    [
        "request = jsonb_set(request::jsonb, '{{lines}}', '5')",
        "request = jsonb_set(request::jsonb, '{{lines,0,quantity}}', '\"two\"')",
        "accepted_at = '20000-01-01'",
    ],
)
async def test_what_cannot_even_be_asked_for_is_told_in_one_line(world: World, change: str) -> None:
    await world.corrupt("order_saga", f"UPDATE saga SET {change} WHERE order_id = '{{placed}}'")

    for asked in (audit(world.urls), story_of(world.urls, world.placed)):
        with pytest.raises(Unreachable, match=r"_DATABASE_URL: .*: a row was changed by hand, or a bug of ours"):
            await asked


async def _expect_damage(world: World, column: str) -> None:
    """It is found, and so is what is wrong with another order; its story is told all the same."""
    await world.corrupt("store_worker", "UPDATE packet SET order_id = '{refused}' WHERE packet_id = 'P-9'")

    findings = {(finding.invariant, finding.order_id, finding.sentence) for finding in await audit(world.urls)}

    assert ("I5", world.placed, f"{column} cannot be read") in findings
    assert ("I3", world.refused, "store: P-9 held, but the reservation is refused without them") in findings
    story = await story_of(world.urls, world.placed)
    assert story is not None
    assert f"  damaged   {column} cannot be read" in lines(story)
    assert fields(story)["order"]["damaged"] == [column]
