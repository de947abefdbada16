"""The topology that follows from what the services handle, and the definitions file that is made from it."""

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from deploy.definitions import REQUESTS_OF, all_services, main, users
from deploy.passwords import password_hash
from messages.transport.topology import Binding, topology_of

FILE = Path(__file__).parents[2] / "deploy" / "definitions.json"


def test_every_queue_hears_exactly_what_its_service_handles() -> None:
    assert set(topology_of(all_services()).bindings) == {
        Binding("requests", "order_requested", "order_saga.orders"),
        Binding("requests", "cancel_order", "order_saga.answers"),
        Binding("answers", "order_saga.answers", "order_saga.answers"),
        Binding("commands", "store_worker.reserve", "store_worker.reserve"),
        Binding("commands", "store_worker.settle", "store_worker.settle"),
        Binding("requests", "stock_received", "store_worker.reports"),
        Binding("requests", "packets_withdrawn", "store_worker.reports"),
        Binding("requests", "delivery_completed", "store_worker.reports"),
        Binding("commands", "delivery_worker.reserve", "delivery_worker.reserve"),
        Binding("commands", "delivery_worker.settle", "delivery_worker.settle"),
        Binding("requests", "agent_came_online", "delivery_worker.reports"),
        Binding("requests", "agent_went_offline", "delivery_worker.reports"),
        Binding("requests", "delivery_completed", "delivery_worker.reports"),
        *(Binding("dead_letters", f"{name}.dead", f"{name}.dead") for name in NAMES),
    }


NAMES = ("order_saga", "store_worker", "delivery_worker")


def test_no_queue_loses_anything_silently() -> None:
    for queue in topology_of(all_services()).queues:
        assert queue.arguments["x-queue-type"] == "quorum"
        assert queue.arguments["x-overflow"] == "reject-publish"
        assert queue.arguments["x-max-length"] == 1_000_000
        if not queue.name.endswith(".dead"):
            assert queue.arguments["x-delivery-limit"] == 100
            assert queue.arguments["x-dead-letter-strategy"] == "at-least-once"


def test_every_dead_letter_has_a_queue_to_go_to() -> None:
    topology = topology_of(all_services())
    for queue in topology.queues:
        if exchange := queue.arguments.get("x-dead-letter-exchange"):
            key = str(queue.arguments["x-dead-letter-routing-key"])
            assert Binding(str(exchange), key, key) in topology.bindings


def test_the_definitions_file_is_what_the_services_ask_for() -> None:
    told = "run: python -m deploy.definitions > deploy/definitions.json"
    assert FILE.read_text() == run().output, told


def test_every_request_that_a_service_handles_has_one_client_who_may_say_it() -> None:
    handled = {message for service in all_services() for message in service.handlers if message.FROM_OUTSIDE}
    assert sorted(message.__name__ for kinds in REQUESTS_OF.values() for message in kinds) == sorted(
        message.__name__ for message in handled
    )


def test_each_client_may_say_what_is_its_own_and_nothing_else() -> None:
    by_name = {user.name: user for user in users(all_services())}
    for key, speaker in {
        "order_requested": "customer",
        "cancel_order": "customer",
        "stock_received": "supplier",
        "packets_withdrawn": "supplier",
        "agent_came_online": "fleet",
        "agent_went_offline": "fleet",
        "delivery_completed": "fleet",
    }.items():
        may = {name for name, user in by_name.items() if user.requests and re.search(user.requests, key)}
        assert may == {speaker}


def test_a_hash_is_rabbitmqs_own() -> None:
    salt = b"\x01\x02\x03\x04"
    decoded = base64.b64decode(password_hash("secret", salt))
    assert decoded == salt + hashlib.sha256(salt + b"secret").digest()


def test_for_production_every_user_has_a_password_of_its_own(tmp_path: Path) -> None:
    passwords = secrets()
    result = run("--passwords", str(kept(tmp_path, json.dumps(passwords))))
    assert result.exit_code == 0, result.output
    for user in json.loads(result.output)["users"]:
        salt = base64.b64decode(user["password_hash"])[:4]
        assert user["password_hash"] == password_hash(passwords[user["name"]], salt)
    assert "secret" not in result.output


def test_for_production_each_password_is_salted_anew(tmp_path: Path) -> None:
    file = kept(tmp_path, json.dumps(dict.fromkeys(secrets(), "the-same")))
    written = [json.loads(run("--passwords", str(file)).output)["users"] for _ in range(2)]
    assert len({user["password_hash"] for users in written for user in users}) == 2 * len(secrets())


@pytest.mark.parametrize("wrong", [{"order_saga": "only-one"}, {"nobody": "one-too-many"}, ["a-list"], "text", None])
def test_who_needs_a_password_is_told_where_somebody_is_missing_or_unknown(tmp_path: Path, wrong: Any) -> None:
    file = kept(tmp_path, json.dumps(wrong))
    assert refusal_of(file) == (
        f"Error: {file}: must be a JSON object with a password for each of "
        "customer, delivery_worker, fleet, monitoring, order_saga, store_worker, supplier, and no other user"
    )


@pytest.mark.parametrize("wrong", ["", "with space", "p@ss", "a/b", "100%", "caf\u00e9", "line\n", None, 7, ["secret"]])
def test_a_password_that_no_url_takes_as_it_stands_is_refused(tmp_path: Path, wrong: Any) -> None:
    file = kept(tmp_path, json.dumps(secrets() | {"supplier": wrong}))
    told = f"Error: {file}: the password of supplier must be text, not empty, of ASCII letters, digits, and -._~ only"
    assert refusal_of(file) == told


@pytest.mark.parametrize("text", ["", '{"customer": "secret"', "{'customer': 'secret'}", "[" * 100_000, "\x00"])
def test_a_file_of_passwords_that_is_not_json_is_named_in_one_line(tmp_path: Path, text: str) -> None:
    file = kept(tmp_path, text)
    said = refusal_of(file)
    assert said.startswith(f"Error: {file} is not JSON: ")
    assert "secret" not in said


def test_what_is_for_a_running_broker_has_everything_but_the_users() -> None:
    whole, kept = json.loads(FILE.read_text()), json.loads(run("--keep-passwords").output)
    del whole["users"], whole["explanation"], kept["explanation"]
    assert kept == whole
    assert "password_hash" not in json.dumps(kept)


def test_passwords_cannot_be_given_and_kept(tmp_path: Path) -> None:
    file = kept(tmp_path, json.dumps(secrets()))
    assert run("--keep-passwords", "--passwords", str(file)).exit_code == 2


def test_each_file_says_truly_what_its_passwords_are(tmp_path: Path) -> None:
    file = kept(tmp_path, json.dumps(secrets()))
    told = [
        json.loads(run(*arguments).output)["explanation"]
        for arguments in ([], ["--passwords", str(file)], ["--keep-passwords"])
    ]
    assert ["development" in each for each in told] == [True, False, False]


def secrets() -> dict[str, str]:
    return {user.name: f"secret-of.{user.name}~1" for user in users(all_services())}


def kept(folder: Path, text: str) -> Path:
    file = folder / "passwords.json"
    file.write_text(text)
    return file


def refusal_of(file: Path) -> str:
    result = run("--passwords", str(file))
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    return line


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)
