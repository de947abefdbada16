"""Log lines are JSON for machines and readable for people; each names its service, and none tells a secret."""

import json
import subprocess
import sys
from typing import Any

import pytest

SECRET = "hunter2"
SCRIPT = """
import logging, sys, threading, uuid
import messages.transport.rabbitmq.broker  # whose client libraries log users' names
from messages.transport.daemon.logs import configure_logs
import structlog

configure_logs("toy", *sys.argv[1:])
log = structlog.get_logger("toy.loop")
log.debug("too little to say")
log.info("started", order_id=uuid.UUID(int=7), text="caf\\u00e9\\n\\x1b[31m")
logging.getLogger("asyncio").warning("slow %s", "callback", extra={"seconds": 3})
logging.getLogger("aiormq.connection").error("cannot connect as %s", "toy")
logging.getLogger("aio_pika.robust").warning("cannot connect as %s", "toy")

def fail(password):
    raise ValueError("no luck")

try:
    fail(sys.stdin.read())
except ValueError as error:
    log.exception("handler failed", order_id=uuid.UUID(int=7))
    log.error("handler failed", exc_info=error)

threading.Thread(target=log.warning, args=("said in a thread",)).start()
"""


def lines(*arguments: str) -> list[str]:
    """Of a script that is told the secret: what stands in the script itself, a trace may show."""
    command = [sys.executable, "-c", SCRIPT, *arguments]
    ran = subprocess.run(command, input=SECRET, capture_output=True, text=True, check=True)
    assert ran.stdout == ""
    return ran.stderr.splitlines()


@pytest.fixture(scope="module")
def records() -> list[dict[str, Any]]:
    """`auto`, and stderr is no terminal here."""
    return [json.loads(line) for line in lines("info", "auto")]


def test_a_line_is_one_json_object_with_what_happened_when_and_where(records: list[dict[str, Any]]) -> None:
    started = records[0]
    assert started["timestamp"].endswith("Z")
    del started["timestamp"]
    assert started == {
        "event": "started",
        "level": "info",
        "service": "toy",
        "order_id": "00000000-0000-0000-0000-000000000007",
        "text": "café\n\x1b[31m",
    }


def test_the_lines_of_other_libraries_have_the_same_form(records: list[dict[str, Any]]) -> None:
    foreign = records[1]
    assert (foreign["event"], foreign["level"], foreign["service"]) == ("slow callback", "warning", "toy")
    assert foreign["seconds"] == 3


def test_the_amqp_libraries_are_not_heard(records: list[dict[str, Any]]) -> None:
    assert not any("cannot connect" in record["event"] for record in records)


def test_an_exception_is_told_with_its_trace_and_without_the_values_that_were_at_hand(
    records: list[dict[str, Any]],
) -> None:
    by_exception, by_error = records[2:4]
    for record in (by_exception, by_error):
        (told,) = record["exception"]
        assert (told["exc_type"], told["exc_value"]) == ("ValueError", "no luck")
        assert [frame["name"] for frame in told["frames"]] == ["<module>", "fail"]
    assert SECRET not in json.dumps(records)


def test_a_thread_names_the_service_too(records: list[dict[str, Any]]) -> None:
    assert (records[4]["event"], records[4]["service"]) == ("said in a thread", "toy")


def test_a_level_silences_what_is_below_it() -> None:
    assert [json.loads(line)["level"] for line in lines("error", "json")] == ["error", "error"]


def test_lines_for_people_are_readable_and_keep_secrets_too() -> None:
    told = "\n".join(lines("info", "console"))
    assert "started" in told
    assert "no luck" in told
    assert SECRET not in told
