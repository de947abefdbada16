"""Input that is wrong, too much or unreadable is refused in one line before anything is said."""

import io
import json
import uuid

import pytest

from messages.transport.strict_json import DOCUMENT_BYTES
from tests.unit.command_line.programs import typed


@pytest.mark.parametrize(
    ("program", "arguments", "problem"),
    [
        ("order-saga", ("show", "42"), "'42' is not a valid UUID"),
        ("order-saga", ("place", "no/such/file"), "No such file or directory"),
        ("order-saga", ("place", "--window", "0", "-"), "0 is not in the range"),
        ("order-saga", ("place", "--timeout", "0", "-"), "0.0 is not in the range"),
        ("order-saga", ("place", "--timeout", "nan", "-"), "'nan' is not a number of seconds"),
        ("order-saga", ("place", "--timeout", "inf", "-"), "inf is not in the range"),
        ("order-saga", ("place", "-"), "<stdin>, line 1, is not a request: "),
        ("order-saga", ("audit", "--grace", "-1"), "-1.0 is not in the range"),
        ("order-saga", ("audit", "--grace", "nan"), "'nan' is not a number of seconds"),
        ("order-saga", ("audit", "--grace", "inf"), "inf is not in the range"),
        ("order-saga", ("audit", "--grace", "3e11"), "300000000000.0 is not in the range"),
        ("order-saga", ("audit", "--grace", "soon"), "'soon' is not a valid"),
        ("order-saga", ("parked", "show", "99999999999999999999"), "99999999999999999999 is not in the range"),
        ("order-saga", ("list", "--limit", "0"), "0 is not in the range"),
        ("order-saga", ("parked", "show", "0"), "0 is not in the range"),
        ("store-worker", ("parked", "replay", "1", "9223372036854775808"), "9223372036854775808 is not in the range"),
        ("delivery-worker", ("parked", "discard", "9223372036854775808"), "9223372036854775808 is not in the range"),
        ("store-worker", ("stock", "add", "north"), "give STORE, SKU and QUANTITY, or --file"),
        ("store-worker", ("stock", "add", "north", "milk", "0"), "0 is not in the range"),
        ("store-worker", ("stock", "add", "no rth", "milk", "1"), "store_id: String should match pattern"),
        ("store-worker", ("stock", "list", "--received-since", "soon"), "'soon' does not match the formats"),
        ("store-worker", ("stock", "list", "\udcff"), "'\\udcff' is not UTF-8"),
        ("store-worker", ("stock", "list", "--sku", "\udcff"), "'\\udcff' is not UTF-8"),
        ("store-worker", ("stock", "withdraw", "\udcff", "--all"), "'\\udcff' is not UTF-8"),
        ("store-worker", ("stock", "withdraw", "north", "\udcff"), "'\\udcff' is not UTF-8"),
        ("store-worker", ("parked", "discard", "--reason", "\udcff"), "'\\udcff' is not UTF-8"),
        ("store-worker", ("stock", "withdraw"), "Missing argument 'STORE'"),
        ("store-worker", ("stock", "withdraw", "north"), "give packets, or options that choose them, or --all"),
        ("store-worker", ("stock", "add", "--file", "-"), "<stdin>, line 1, is not a request: "),
        (
            "store-worker",
            ("stock", "add", "--file", "-", "--best-before", "2099-01-01"),
            "--best-before does not go with ",
        ),
        ("delivery-worker", ("agents", "add", "centre"), "give ZONE and AGENT, or --file"),
        ("delivery-worker", ("agents", "add", "centre", "A 1"), "agent_id: String should match pattern"),
        ("delivery-worker", ("agents", "offline"), "Missing argument 'AGENT...'"),
        ("delivery-worker", ("agents", "offline", "A 1"), "agent_id: String should match pattern"),
        ("delivery-worker", ("agents", "completed", "A-1", "42"), "'42' is not a valid UUID"),
        ("delivery-worker", ("agents", "completed", "\udcff", str(uuid.UUID(int=1))), "'\\udcff' is not UTF-8"),
        ("delivery-worker", ("agents", "add", "--file", "-"), "<stdin>, line 1, is not a request: "),
    ],
)
def test_input_that_is_wrong_is_refused_before_anything_is_said(
    program: str, arguments: tuple[str, ...], problem: str
) -> None:
    said = typed(program, *arguments, stdin="nonsense\n")

    assert (said.exit_code, said.stdout) == (2, "")
    assert problem in said.stderr


READERS = pytest.mark.parametrize(
    ("program", "arguments"),
    [
        ("order-saga", ("place", "-")),
        ("store-worker", ("stock", "add", "--file", "-")),
        ("delivery-worker", ("agents", "add", "--file", "-")),
    ],
)


@READERS
def test_a_line_that_is_too_deep_to_be_read_is_refused(program: str, arguments: tuple[str, ...]) -> None:
    said = typed(program, *arguments, stdin="[" * 20_000)

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr.startswith("Error: <stdin>, line 1, is not a request: ")
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("stock", "add", "--file", "-"), "StockReceived"),
        (("publish", "-"), "StockReceived"),
        (("publish", "-"), "PacketsWithdrawn"),
    ],
)
def test_what_is_larger_than_a_client_s_document_may_be_is_refused_before_anything_is_said(
    command: tuple[str, ...], kind: str
) -> None:
    """A thousand packets are not too many, and with the longest of ids they are too much."""
    stock = {"type": f"{kind}/1.0", "store_id": "north", "sku": "milk", "best_before": "2099-01-01T00:00:00Z"}
    lines = [
        json.dumps(stock | {"packet_ids": [f"{number:0{length}}" for number in range(1_000)]}) for length in (58, 64)
    ]

    assert len(lines[0]) <= DOCUMENT_BYTES < len(lines[1])
    said = typed("store-worker", *command, stdin="\n".join(lines), settings={"BROKER_URL": "amqp://127.0.0.1:1/"})

    assert (said.exit_code, said.stdout) == (2, "")
    told = "Error: <stdin>, line 2, is not a request: larger than the 65536 bytes allowed (too_large)\n"
    assert said.stderr == told


@READERS
def test_input_that_cannot_be_read_is_one_line(program: str, arguments: tuple[str, ...]) -> None:
    said = typed(program, *arguments, stdin=Unreadable())

    assert (said.exit_code, said.stdout) == (2, "")
    assert said.stderr == "Error: <stdin> cannot be read: [Errno 5] Input/output error\n"


class Unreadable(io.BytesIO):
    def readline(self, _: int | None = -1, /) -> bytes:
        raise OSError(5, "Input/output error")
