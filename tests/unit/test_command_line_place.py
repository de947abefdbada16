"""What `place` says and when, what counts as an answer, and how its input and its answers read."""

import asyncio
import codecs
import io
import json
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import pytest

from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, OrderNotPlaced, OrderPlaced, OrderRequested, RequestRejected
from messages.transport.command_line.failures import WrongUsage
from messages.transport.edge.requests import Outcome
from order_saga.client.awaiting import Answer, Asked, Awaiting
from order_saga.client.commands import Telling, fields, line
from order_saga.client.progress import Progress, bar
from order_saga.client.request_lines import Lines, read

ORDER = UUID("0197c1f0-7d3a-7b52-9c3e-1f2a3b4c5d6e")
CONTENT: dict[str, Any] = {
    "customer_id": "C-1",
    "store_id": "north",
    "zone": "centre",
    "lines": [{"sku": "milk", "quantity": 2, "price_cents": 129}],
}


def text(*documents: dict[str, Any] | str) -> io.BytesIO:
    lines = (document if isinstance(document, str) else json.dumps(document) for document in documents)
    return io.BytesIO("\n".join(lines).encode())


def asked(*documents: dict[str, Any] | str) -> list[Asked]:
    return list(read(text(*documents)))


def an_order(**given: Any) -> Asked:
    (only,) = asked(CONTENT | {"order_id": str(ORDER)} | given)
    return only


def a_cancel() -> Asked:
    (only,) = asked({"type": "CancelOrder/1.0", "order_id": str(ORDER)})
    return only


def told(message: Message, causation_id: UUID | None = None) -> Outcome:
    return Outcome(message, causation_id)


PLACED = OrderPlaced(order_id=ORDER, packet_ids=("P-1", "P-2"), agent_id="A-1")
NOT_PLACED = OrderNotPlaced(order_id=ORDER, participant="store", reason="out_of_stock")


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


async def read_ahead(pipe: io.BytesIO) -> tuple[list[Asked], WrongUsage | None]:
    """What a thread makes of a pipe: its requests, and why there are no more of them."""
    lines, something, taken = Lines(pipe), asyncio.Event(), list[Asked]()
    lines.start(something)
    while not lines.exhausted:
        await asyncio.wait_for(something.wait(), 5)
        something.clear()
        taken += lines.take(10)
    return taken, lines.mistake


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


class Breaking(io.BytesIO):
    """A pipe that breaks after its first line."""

    def __init__(self, error: Exception) -> None:
        super().__init__(text(CONTENT, CONTENT).getvalue())
        self._error = error

    def readline(self, size: int | None = -1, /) -> bytes:
        if self.tell():
            raise self._error
        return super().readline(size)


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


def test_a_request_is_said_at_once_and_again_until_it_is_answered() -> None:
    awaiting = Awaiting(timeout_seconds=60, repeat_seconds=2)
    request = an_order()
    awaiting.add(request, now=0)

    assert awaiting.due_requests(0) == [request.request]
    assert awaiting.due_requests(0.1) == []
    again_at = awaiting.next_at()
    assert again_at is not None
    assert 0.2 <= again_at <= 2
    assert awaiting.due_requests(again_at) == [request.request]

    (answer,) = awaiting.receive(told(PLACED), 3)
    assert answer == Answer(request, PLACED, 3)
    assert awaiting.due_requests(100) == []
    assert not awaiting


def test_waits_grow() -> None:
    awaiting = Awaiting(timeout_seconds=1_000, repeat_seconds=1)
    awaiting.add(an_order(), now=0)
    said_at: list[float] = []
    now = 0.0
    while len(said_at) < 8:
        awaiting.due_requests(now)
        said_at.append(now)
        following = awaiting.next_at()
        assert following is not None
        now = following

    assert all(later - earlier <= min(30, 2**number) for number, (earlier, later) in enumerate(pairwise(said_at)))
    assert now > 5


def test_what_is_never_answered_is_given_up() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    request = an_order()
    awaiting.add(request, now=5)

    assert awaiting.give_up(14.9) == []
    assert awaiting.give_up(15) == [Answer(request, None, 10)]
    assert not awaiting


def test_what_is_under_way_can_be_told_at_any_time() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    first, second, other = an_order(), a_cancel(), an_order(order_id=str(uuid4()))
    for number, request in enumerate([first, first, second, other]):
        awaiting.add(request, now=number)
    awaiting.receive(told(PLACED.model_copy(update={"order_id": other.order_id})), now=4)

    assert awaiting.unanswered(5) == [Answer(first, None, 5), Answer(second, None, 3)]


def test_outcomes_of_others_answer_nothing() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    awaiting.add(an_order(order_id=str(uuid4())), now=0)

    assert awaiting.receive(told(PLACED), 1) == []
    rejected = RequestRejected(order_id=ORDER, request_message_id=uuid4(), reason="conflict")
    assert awaiting.receive(told(rejected), 1) == []
    assert len(awaiting) == 1


def test_a_rejection_answers_the_request_it_names() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    request = an_order()
    awaiting.add(request, now=0)
    rejected = RequestRejected(request_message_id=request.request.message_id, reason="malformed")

    assert awaiting.receive(told(rejected), 1) == [Answer(request, rejected, 1)]


def test_a_cancel_is_answered_by_not_placed_only() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    awaiting.add(an_order(), now=0)
    awaiting.add(a_cancel(), now=0)

    assert [type(answer.asked.request.message) for answer in awaiting.receive(told(PLACED), 1)] == [OrderRequested]
    assert [type(answer.asked.request.message) for answer in awaiting.receive(told(NOT_PLACED), 1)] == [CancelOrder]


def test_not_placed_answers_the_order_and_its_cancel() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    awaiting.add(an_order(), now=0)
    awaiting.add(a_cancel(), now=0)

    assert len(awaiting.receive(told(NOT_PLACED), 1)) == 2


def test_a_second_request_about_an_order_waits_for_the_first() -> None:
    awaiting = Awaiting(timeout_seconds=10)
    first, second = an_order(), an_order(zone="south")
    awaiting.add(first, now=0)
    awaiting.add(second, now=0)
    assert len(awaiting) == 2
    assert awaiting.due_requests(0) == [first.request]

    awaiting.receive(told(PLACED), 1)

    assert awaiting.due_requests(1) == [second.request]


@pytest.fixture
def awaiting_second() -> tuple[Awaiting, Asked]:
    """The first of two requests about an order was answered after a second."""
    awaiting, second = Awaiting(timeout_seconds=10), an_order(zone="south")
    awaiting.add(an_order(), now=0)
    awaiting.add(second, now=0)
    awaiting.receive(told(PLACED), 1)
    return awaiting, second


def test_a_late_word_about_the_first_request_does_not_answer_the_second(
    awaiting_second: tuple[Awaiting, Asked],
) -> None:
    awaiting, second = awaiting_second

    assert awaiting.receive(told(PLACED, causation_id=uuid4()), 2) == []
    assert awaiting.receive(told(PLACED, causation_id=second.request.message_id), 3) == [Answer(second, PLACED, 2)]


def test_a_second_request_is_answered_by_its_own_rejection(awaiting_second: tuple[Awaiting, Asked]) -> None:
    awaiting, second = awaiting_second
    conflict = RequestRejected(order_id=ORDER, request_message_id=second.request.message_id, reason="conflict")

    assert awaiting.receive(told(conflict), 3) == [Answer(second, conflict, 2)]


@pytest.mark.parametrize(
    ("answer", "is_success"),
    [
        (Answer(an_order(), PLACED, 1), True),
        (Answer(an_order(), NOT_PLACED, 1), False),
        (Answer(an_order(), None, 1), False),
        (Answer(a_cancel(), NOT_PLACED, 1), True),
        (Answer(a_cancel(), RequestRejected(reason="too_late"), 1), False),
    ],
    ids=["placed", "not placed", "unanswered", "cancelled", "cancelled too late"],
)
def test_who_got_what_was_asked_for_is_pleased(answer: Answer, is_success: bool) -> None:
    assert answer.is_success is is_success


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (PLACED, f"placed      {ORDER}  2 packets P-1 P-2, agent A-1"),
        (NOT_PLACED, f"not placed  {ORDER}  out_of_stock (store)"),
        (OrderNotPlaced(order_id=ORDER, reason="cancelled"), f"not placed  {ORDER}  cancelled"),
        (
            RequestRejected(reason="conflict", detail="other content"),
            f"rejected    {ORDER}  conflict: other content (line 1)",
        ),
        (None, f"unanswered  {ORDER}  no outcome within 7 s (line 1)"),
    ],
    ids=["placed", "not placed", "cancelled", "rejected", "unanswered"],
)
def test_an_answer_is_a_line_for_people(message: Message | None, expected: str) -> None:
    assert line(Answer(an_order(), message, 7)) == expected


def test_an_answer_is_an_object_for_machines() -> None:
    request = an_order()

    assert fields(Answer(request, NOT_PLACED, 0.25)) == {
        "line": 1,
        "request": "OrderRequested",
        "message_id": str(request.request.message_id),
        "order_id": str(ORDER),
        "outcome": "not_placed",
        "seconds": 0.25,
        "participant": "store",
        "reason": "out_of_stock",
    }
    assert json.dumps(fields(Answer(request, PLACED, 0.25)))


@pytest.mark.parametrize(
    ("messages", "exit_code"),
    [([], 0), ([PLACED, PLACED], 0), ([NOT_PLACED, PLACED], 1), ([None, NOT_PLACED], 3)],
    ids=["nothing", "all placed", "one not placed", "one unanswered"],
)
def test_the_exit_code_tells_the_worst(messages: list[Message | None], exit_code: int) -> None:
    telling = Telling(Progress(None, io.StringIO()), as_json=True)
    for message in messages:
        telling.tell(Answer(an_order(), message, 1))

    assert telling.exit_code == exit_code


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_sees_a_bar_that_makes_way() -> None:
    terminal = Terminal()
    progress = Progress(4, terminal)
    progress.show({"placed": 1, "not_placed": 1})
    progress.clear()

    assert terminal.getvalue() == "\r\x1b[K[###############---------------] 2/4  1 not placed, 1 placed\r\x1b[K"
    assert bar(7, None) == "7 done"


def test_nobody_else_sees_a_bar() -> None:
    file = io.StringIO()
    progress = Progress(4, file)
    progress.show({"placed": 1})
    progress.clear()

    assert file.getvalue() == ""
