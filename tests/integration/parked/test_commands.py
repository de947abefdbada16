"""`parked`: what is parked is listed, shown, replayed and discarded."""

import asyncio
import json

import pytest

from messages.transport import parked
from messages.transport.command_line import parked as parked_commands
from tests.integration.parked.documents import malformed
from tests.integration.toy.commands import tell
from tests.integration.toy.station import Station

NONE_TO_BE_REPLAYED = "0 to be replayed by the running service"


async def test_the_list_has_a_line_for_each_in_the_order_of_parking(station: Station) -> None:
    first, second = await park(station, "one"), await park(station, "two")
    await parked.request_replay(station.connection, second)
    lines = await ask(station, "list")
    assert [line.split()[0] for line in lines] == [str(first[0]), str(second[0])]
    assert "Bought/1.0" in lines[0]
    assert lines[0].endswith("invalid: one")
    assert lines[1].endswith("invalid: two (to be replayed)")


async def test_the_list_for_machines_has_an_object_a_line(station: Station) -> None:
    await parked.park(station.connection, [malformed(body=b"\xff{")])
    (line,) = await ask(station, "list", "--json")
    told = json.loads(line)
    assert (told["reason"], told["body"], told["times"]) == ("invalid", "\\xff{", 1)


async def test_nothing_parked_is_nothing_listed(station: Station) -> None:
    assert await ask(station, "list") == []


async def test_one_is_shown_whole(station: Station) -> None:
    (number,) = await park(station, "one")
    told = {line[:20].strip(): line[21:] for line in await ask(station, "show", str(number))}
    assert (told["id"], told["reason"], told["detail"], told["body"]) == (str(number), "invalid", "one", "{}")


async def test_what_is_shown_cannot_take_over_the_terminal(station: Station) -> None:
    body = b"\x1b[2J\x07 \xc2\x9b31m caf\xc3\xa9"
    await parked.park(station.connection, [malformed(body=body, detail="\x1b]0;title\x07")])
    (row,) = await parked.parked(station.connection)
    for lines in (await ask(station, "show", str(row.id)), await ask(station, "list")):
        assert all(line.isprintable() for line in lines)
    assert any("café" in line for line in await ask(station, "show", str(row.id)))


async def test_replays_are_requested_by_id(station: Station) -> None:
    ids = await park(station, "one", "two", "three")
    assert await ask(station, "replay", str(ids[0]), str(ids[2])) == ["2 to be replayed by the running service"]
    assert await requested(station) == {ids[0], ids[2]}


async def test_many_are_replayed_by_their_reason_and_perhaps_their_age(station: Station) -> None:
    ids = await park(station, "one", "two")
    await parked.park(station.connection, [malformed(reason="handler_failed")])
    assert await ask(station, "replay", "--reason", "invalid", "--before", "2020-01-01") == [NONE_TO_BE_REPLAYED]
    assert await requested(station) == set()
    assert await ask(station, "replay", "--reason", "invalid") == ["2 to be replayed by the running service"]
    assert await requested(station) == set(ids)


@pytest.mark.parametrize(
    ("command", "done"), [("replay", "to be replayed by the running service"), ("discard", "discarded")]
)
async def test_an_id_under_which_nothing_is_parked_is_no_success_beside_others(
    station: Station, command: str, done: str
) -> None:
    (known,) = await park(station, "one")
    result = await asyncio.to_thread(tell, station, command, str(known), "99999999")
    assert (result.exit_code, result.output.splitlines()) == (
        1,
        [f"1 {done}", "Error: 1 of these ids are not parked"],
    )


async def test_discarded_is_gone(station: Station) -> None:
    ids = await park(station, "one", "two")
    assert await ask(station, "discard", str(ids[0])) == ["1 discarded"]
    assert [row.id for row in await parked.parked(station.connection)] == [ids[1]]


async def test_many_are_discarded_by_their_reason_and_perhaps_their_age(station: Station) -> None:
    reasons = ("invalid", "invalid", "not_json")
    await parked.park(station.connection, [malformed(reason=reason, from_outside=True) for reason in reasons])
    past = ("--before", "2020-01-01")
    future = ("--before", "2100-01-01")
    assert await ask(station, "discard", "--reason", "invalid", *past) == ["0 discarded"]
    assert await ask(station, "discard", "--reason", "invalid", *future) == ["2 discarded"]
    assert [row.reason for row in await parked.parked(station.connection)] == ["not_json"]
    assert await ask(station, "discard", "--reason", "not_json") == ["1 discarded"]


@pytest.mark.parametrize(
    ("own", "told"),
    [(1, "1 of our own kept: discard it by its id"), (2, "2 of our own kept: discard them by their ids")],
)
async def test_our_own_are_discarded_by_their_ids_alone(station: Station, own: int, told: str) -> None:
    ours = [malformed() for _ in range(own)]
    await parked.park(station.connection, [malformed(from_outside=True), *ours, malformed(from_outside=True)])
    assert await ask(station, "discard", "--reason", "invalid", "--before", "2020-01-01") == ["0 discarded"]
    assert await ask(station, "discard", "--reason", "invalid") == [f"2 discarded; {told}"]
    rows = await parked.parked(station.connection)
    assert {row.message_id for row in rows} == {document.message_id for document in ours}
    assert await ask(station, "discard", *(str(row.id) for row in rows)) == [f"{own} discarded"]


async def test_of_too_many_to_be_listed_it_is_said_how_many_there_are(
    station: Station, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parked_commands, "MOST_LISTED", 2)
    await park(station, "one", "two")
    assert len(await ask(station, "list")) == 2
    await park(station, "three")
    *listed, last = await ask(station, "list")
    assert len(listed) == 2
    assert last == "the 2 oldest of 3"


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (("show", "99999999"), 1, "Error: no parked document has the id 99999999"),
        (("discard", "99999999"), 1, "Error: no parked document has the id 99999999"),
        (("replay", "99999999"), 1, "Error: no parked document has the id 99999999"),
        (("show", str(2**63 - 1)), 1, f"Error: no parked document has the id {2**63 - 1}"),
        (("show", str(2**63)), 2, "is not in the range"),
        (("replay",), 2, "Error: give ids, or --reason and optionally --before"),
        (("replay", "1", "--reason", "invalid"), 2, "Error: give ids, or --reason and optionally --before"),
        (("replay", "--all"), 2, "Error: No such option"),
        (("show", "x"), 2, "is not a valid integer"),
        (("discard",), 2, "Error: give ids, or --reason and optionally --before"),
        (("discard", "1", "--reason", "invalid"), 2, "Error: give ids, or --reason and optionally --before"),
        (("discard", "1", "--before", "2026-01-01"), 2, "Error: give ids, or --reason and optionally --before"),
        (("discard", "--reason", "invalid", "--before", "soon"), 2, "does not match the formats"),
    ],
)
async def test_a_wrong_command_is_told_in_one_line(
    station: Station, arguments: tuple[str, ...], code: int, told: str
) -> None:
    result = await asyncio.to_thread(tell, station, *arguments)
    assert result.exit_code == code
    assert told in result.output.splitlines()[-1]


async def ask(station: Station, *arguments: str) -> list[str]:
    result = await asyncio.to_thread(tell, station, *arguments)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


async def park(station: Station, *details: str) -> list[int]:
    await parked.park(station.connection, [malformed(detail=detail, wire_type="Bought/1.0") for detail in details])
    ids = {row.detail: row.id for row in await parked.parked(station.connection)}
    return [ids[detail] for detail in details]


async def requested(station: Station) -> set[int]:
    return {row.id for row in await parked.parked(station.connection) if row.replay_requested_at}
