"""The walls of pyproject.toml: every service stands inside them, and each of them stops what it is meant to stop."""

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from deploy import services
from deploy.definitions import all_services
from tests.unit.folders import ROOT, SERVICES

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _walls() -> dict[str, Any]:
    walls: dict[str, Any] = PROJECT["tool"]["importlinter"]
    return walls


def test_every_service_folder_is_listed_checked_installed_and_in_the_image() -> None:
    assert {service.name for service in all_services()} == services.SERVICES.keys() == SERVICES
    assert set(PROJECT["tool"]["mypy"]["packages"]) >= SERVICES
    assert set(PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]) >= {f"{name}*" for name in SERVICES}
    assert PROJECT["project"]["scripts"] == {name.replace("_", "-"): f"{name}.__main__:main" for name in SERVICES}
    assert set((ROOT / "deploy/Dockerfile.dockerignore").read_text().split()) >= {f"!{name}" for name in SERVICES}


def test_every_service_folder_stands_inside_the_walls() -> None:
    walls = _walls()
    assert set(walls["root_packages"]) >= SERVICES
    independent = next(wall for wall in walls["contracts"] if wall["type"] == "independence")
    assert set(independent["modules"]) == SERVICES
    layers = next(wall for wall in walls["contracts"] if wall["type"] == "layers")
    assert {name.strip() for name in layers["layers"][0].split("|")} == SERVICES
    amqp = next(wall for wall in walls["contracts"] if wall["name"] == "only the transport speaks AMQP")
    assert set(amqp["source_modules"]) >= SERVICES


VIOLATIONS = [
    ("messages/transport/backoff.py", "import order_saga.saga", "services over participant"),
    ("messages/contracts/order.py", "import messages.transport.outbox", "services over participant"),
    ("messages/transport/backoff.py", "import messages.participant.queries", "services over participant"),
    ("messages/transport/rabbitmq/broker.py", "import messages.transport.daemon.jobs", "over its carriers"),
    ("messages/transport/in_process/queues.py", "import messages.transport.rabbitmq.broker", "over its carriers"),
    ("messages/transport/metrics.py", "import messages.transport.daemon.jobs", "neither the tools nor the daemon"),
    ("store_worker/handlers.py", "import order_saga.saga", "services do not import each other"),
    ("order_saga/outgoing.py", "import order_saga.inspection", "neither its client nor its inspection"),
    ("order_saga/saga.py", "import asyncio", "import no I/O"),
    ("order_saga/saga.py", "import random", "import no I/O"),
    ("messages/participant/reservation.py", "import asyncpg", "import no I/O"),
    ("messages/contracts/store.py", "import structlog", "import no I/O"),
    ("delivery_worker/handlers.py", "import aio_pika", "only the transport speaks AMQP"),
]
"""A module, what it must not import, and the wall that stops it."""


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What is said of a house in which all of these are done at once."""
    house = tmp_path_factory.mktemp("house")
    for package in _walls()["root_packages"]:
        shutil.copytree(ROOT / package, house / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", house)
    for module, line, _ in VIOLATIONS:
        with (house / module).open("a") as source:
            source.write(f"\n{line}\n")
    verdict = _lint(house)
    assert "Broken contracts" in verdict.stdout, verdict.stdout + verdict.stderr
    return verdict.stdout


@pytest.mark.parametrize(("module", "line", "wall"), VIOLATIONS)
def test_a_wall_stops_a_violation(verdict: str, module: str, line: str, wall: str) -> None:
    _, *titled = re.split(r"^(\S.*)\n-+$", verdict.partition("Broken contracts")[2], flags=re.MULTILINE)
    complaint = next(told for title, told in zip(titled[::2], titled[1::2], strict=True) if wall in title)
    importer, imported = module.removesuffix(".py").replace("/", "."), line.removeprefix("import ")
    assert f"{importer} -> {imported} (l." in " ".join(complaint.split()), verdict


def test_the_house_as_it_stands_keeps_every_wall() -> None:
    verdict = _lint(ROOT)
    assert verdict.returncode == 0, verdict.stdout


def _lint(folder: Path) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as c; c()", "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
