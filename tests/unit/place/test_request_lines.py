"""Every line of the input is a request, and the first that is none is named with its mistake."""

import asyncio
import codecs
import io
import json
from uuid import UUID, uuid4

import pytest

from messages.contracts.order import OrderRequested
from messages.transport.command_line.failures import WrongUsage
from order_saga.client.awaiting import Asked
from order_saga.client.request_lines import Lines, read
from tests.unit.place.requests import CONTENT, ORDER, asked, text


def test_bare_content_is_made_a_document() -> None:
    (only,) = asked(CONTENT)

    document = json.loads(only.request.body)
    assert document["type"] == OrderRequested.wire_type()
    assert UUID(document["message_id"]) == only.request.message_id
    assert UUID(document["order_id"]) == only.order_id
    assert {name: document[name] for name in CONTENT} == CONTENT


def test_a_whole_document_is_left_as_it_is() -> None:
    document = CONTENT | {
        "type": "OrderRequested/1.3", "message_id": str(uuid4()), "order_id": str(ORDER), "later": True
    }  # fmt: skip
    (only,) = asked(document)

    assert json.loads(only.request.body) == document
    assert only.request.envelope.message_id == document["message_id"]
    assert (only.request.envelope.to.exchange, only.request.envelope.to.key) == ("requests", "order_requested")


def test_an_order_id_is_never_invented_for_a_cancel() -> None:
    with pytest.raises(WrongUsage, match="order_id"):
        asked({"type": "CancelOrder/1.0"})


def test_a_file_may_begin_with_a_byte_order_mark() -> None:
    mark = codecs.BOM_UTF8
    (only,) = list(read(io.BytesIO(mark + json.dumps(CONTENT).encode())))

    assert json.loads(only.request.body)["customer_id"] == "C-1"
    assert list(read(io.BytesIO(mark + b"\n"))) == []
    for twice in (mark + mark, mark + b"\n" + mark):
        with pytest.raises(WrongUsage, match="not_json"):
            list(read(io.BytesIO(twice + json.dumps(CONTENT).encode())))


def test_empty_lines_count_but_say_nothing() -> None:
    assert [each.line for each in asked("", CONTENT, "  ", CONTENT)] == [2, 4]


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ("{", "not_json"),
        ("{}", "customer_id"),
        ("[]", "not_an_object"),
        ("[" * 20_000, "not_json"),
        ('{"a":' * 20_000, "not_json"),
        ('{"a": 1, "a": 2}', "not_json"),
        (json.dumps(CONTENT | {"lines": []}), "lines"),
        (json.dumps(CONTENT | {"type": "StockReceived/1.0"}), "unknown_type"),
        (json.dumps(CONTENT | {"type": "OrderRequested/2.0"}), "unknown_version"),
        (json.dumps(CONTENT | {"customer_id": "x" * 70_000}), "too_large"),
        (json.dumps(CONTENT | {"order_id": "42"}), "order_id"),
    ],
)
def test_a_bad_line_is_named_with_its_mistake(bad: str, problem: str) -> None:
    with pytest.raises(WrongUsage, match=f"^<stdin>, line 2, is not a request: .*{problem}") as error:
        asked(CONTENT, bad)

    assert error.value.exit_code == 2


async def test_a_pipe_that_ends_has_no_mistake() -> None:
    taken, mistake = await read_ahead(text(CONTENT, CONTENT))

    assert [each.line for each in taken] == [1, 2]
    assert mistake is None


@pytest.mark.parametrize("bad", ["nonsense", "[" * 20_000], ids=["nonsense", "too deep"])
async def test_a_pipe_is_read_up_to_its_first_bad_line(bad: str) -> None:
    taken, mistake = await read_ahead(text(CONTENT, bad, CONTENT))

    assert [each.line for each in taken] == [1]
    assert mistake is not None
    assert mistake.message.startswith("<stdin>, line 2, is not a request: ")


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (OSError(5, "Input/output error"), "<stdin> cannot be read: [Errno 5] Input/output error"),
        (KeyError("lost"), "reading the input failed: KeyError: 'lost'"),
    ],
    ids=["of the system", "of our own"],
)
async def test_a_pipe_that_breaks_does_not_pass_for_one_that_ends(error: Exception, sentence: str) -> None:
    taken, mistake = await read_ahead(Breaking(error))

    assert [each.line for each in taken] == [1]
    assert mistake is not None
    assert (mistake.message, mistake.exit_code) == (sentence, 2)


async def read_ahead(pipe: io.BytesIO) -> tuple[list[Asked], WrongUsage | None]:
    """What a thread makes of a pipe: its requests, and why there are no more of them."""
    lines, news, taken = Lines(pipe), asyncio.Event(), list[Asked]()
    lines.start(news)
    while not lines.exhausted:
        await asyncio.wait_for(news.wait(), 60)
        news.clear()
        taken += lines.take(10)
    return taken, lines.mistake


class Breaking(io.BytesIO):
    """A pipe that breaks after its first line."""

    def __init__(self, error: Exception) -> None:
        super().__init__(text(CONTENT, CONTENT).getvalue())
        self._error = error

    def readline(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise self._error
        return super().readline(size)
