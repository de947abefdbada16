"""The topology that follows from what the services handle, and the definitions file that is made from it."""

import base64
import hashlib
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from deploy.definitions import (
    DEVELOPMENT_PASSWORD,
    all_services,
    development_salt,
    main,
    password_hash,
    users,
    written,
)
from messages.transport.topology import Binding, topology_of

FILE = Path(__file__).parents[2] / "deploy" / "definitions.json"


def test_every_queue_hears_exactly_what_its_service_handles() -> None:
    assert set(topology_of(all_services()).bindings) == {
        Binding("requests", "order_requested", "order_saga.orders"),
        Binding("requests", "cancel_order", "order_saga.answers"),
        Binding("answers", "order_saga.answers", "order_saga.answers"),
        Binding("commands", "store_worker.reserve", "store_worker.reserve"),
        Binding("commands", "store_worker.settle", "store_worker.settle"),
        Binding("requests", "stock_received", "store_worker.settle"),
        Binding("requests", "packets_withdrawn", "store_worker.settle"),
        Binding("requests", "delivery_completed", "store_worker.settle"),
        Binding("commands", "delivery_worker.reserve", "delivery_worker.reserve"),
        Binding("commands", "delivery_worker.settle", "delivery_worker.settle"),
        Binding("requests", "agent_came_online", "delivery_worker.settle"),
        Binding("requests", "agent_went_offline", "delivery_worker.settle"),
        Binding("requests", "delivery_completed", "delivery_worker.settle"),
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
    services = all_services()
    passwords = {user.name: DEVELOPMENT_PASSWORD for user in users(services)}
    told = "run: python -m deploy.definitions > deploy/definitions.json"
    assert FILE.read_text() == written(services, passwords, development_salt) + "\n", told


def test_who_orders_cannot_supply_and_who_supplies_cannot_order() -> None:
    by_name = {user.name: user for user in users(all_services())}
    for key, speaker in {
        "order_requested": "customer",
        "cancel_order": "customer",
        "stock_received": "supplier",
        "delivery_completed": "supplier",
    }.items():
        may = {name for name, user in by_name.items() if user.requests and re.search(user.requests, key)}
        assert may == {speaker}


def test_a_hash_is_rabbitmqs_own() -> None:
    salt = b"\x01\x02\x03\x04"
    decoded = base64.b64decode(password_hash("secret", salt))
    assert decoded == salt + hashlib.sha256(salt + b"secret").digest()


def test_for_production_every_user_has_a_password_of_its_own(tmp_path: Path) -> None:
    passwords = {user.name: f"secret of {user.name}" for user in users(all_services())}
    file = tmp_path / "passwords.json"
    file.write_text(json.dumps(passwords))
    result = CliRunner().invoke(main, ["--passwords", str(file)])
    assert result.exit_code == 0, result.output
    for user in json.loads(result.output)["users"]:
        salt = base64.b64decode(user["password_hash"])[:4]
        assert user["password_hash"] == password_hash(passwords[user["name"]], salt)
    assert "secret" not in result.output


@pytest.mark.parametrize("wrong", [{"order_saga": "only one"}, {"nobody": "one too many"}])
def test_a_missing_or_unknown_user_is_named(tmp_path: Path, wrong: dict[str, str]) -> None:
    file = tmp_path / "passwords.json"
    file.write_text(json.dumps(wrong))
    result = CliRunner().invoke(main, ["--passwords", str(file)])
    assert result.exit_code == 2
    assert "monitoring" in result.output
