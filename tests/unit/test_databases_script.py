"""The script that creates the databases stops at the first thing that it cannot create, and says that it failed."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "deploy" / "postgres" / "databases.sh"
PASSWORDS = {f"PASSWORD_{name}": "x" for name in ("SAGA_READER", "ORDER_SAGA", "STORE_WORKER", "DELIVERY_WORKER")}
PSQL = """#!/bin/sh
cat >/dev/null
echo "$*" >>"$ASKED"
case "$*" in *"$REFUSED"*) exit 3 ;; esac
"""
SERVICES = ("order_saga", "store_worker", "delivery_worker")


def run(folder: Path, refused: str) -> tuple[int, list[str]]:
    """The exit code, and what PostgreSQL was asked for."""
    psql, asked = folder / "psql", folder / "asked"
    psql.write_text(PSQL)
    psql.chmod(0o755)
    environment = PASSWORDS | {"PATH": f"{folder}:{os.environ['PATH']}", "ASKED": str(asked), "REFUSED": refused}
    done = subprocess.run(["sh", SCRIPT], env=environment, check=False)
    return done.returncode, asked.read_text().splitlines()


def test_every_service_gets_a_role_and_a_database(tmp_path: Path) -> None:
    code, asked = run(tmp_path, refused="nothing at all")
    assert code == 0
    for service in SERVICES:
        (role,) = [number for number, line in enumerate(asked) if f"role={service}" in line]
        (database,) = [number for number, line in enumerate(asked) if f"service={service}" in line]
        assert role < database


@pytest.mark.parametrize(
    "refused", ["role=saga_reader", *(f"{what}={service}" for what in ("role", "service") for service in SERVICES)]
)
def test_it_fails_at_what_it_cannot_create(tmp_path: Path, refused: str) -> None:
    code, asked = run(tmp_path, refused)
    assert code != 0
    assert refused in asked[-1]
