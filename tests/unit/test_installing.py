"""`make` installs from locks that name no host, once, and says in one line what is missing."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
LOCKS = sorted(PROJECT.glob("requirements*.lock"))
TOOLS = ("sh", "cat", "cksum", "dirname", "rm")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_a_lock_has_a_hash_for_everything_and_names_no_host(lock):
    text = lock.read_text()
    assert "://" not in text
    for requirement in re.split(r"\n(?=\S)", text.strip()):
        assert re.match(r"[\w.-]+==\S+", requirement), requirement
        assert "--hash=sha256:" in requirement, requirement


def test_everything_the_project_asks_for_is_locked():
    asked = tomllib.loads((PROJECT / "pyproject.toml").read_text())
    groups = asked["dependency-groups"]
    assert {*names(asked["project"]["dependencies"])} <= locked("requirements.lock")
    assert locked("requirements.lock") | {*names(groups["demo"])} <= locked("requirements-demo.lock")
    assert locked("requirements-demo.lock") | {*names(groups["dev"])} <= locked("requirements-dev.lock")


def test_without_python_it_says_so(machine):
    assert machine.install() == (
        1,
        "Python 3.11 or later was not found (tried the PATH); set PYTHON=/path/to/python3\n",
    )


def test_a_python_that_cannot_make_environments_is_told_what_to_install(machine):
    machine.has("python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    status, said = machine.install()
    assert status == 1
    assert said == "python3 cannot make virtual environments: install python3-venv (Debian, Ubuntu) or uv.\n"


def test_it_installs_once(machine):
    machine.has("python3", "exit 0")
    machine.has("uv", 'case $1 in venv) mkdir -p .venv/bin; cp "$PYTHON3" .venv/bin/python;; esac; echo "uv $1 $2"')
    status, said = machine.install()
    assert status == 0, said
    assert said.splitlines()[1:] == ["uv venv --quiet", "uv pip install", "uv pip install"]
    assert machine.install() == (0, "")
    (machine.folder / "requirements-demo.lock").write_text("another==2")
    assert "uv pip install" in machine.install()[1]


def test_what_a_developer_has_is_enough_for_the_demo(machine):
    machine.has("python3", "exit 0")
    machine.has("uv", 'case $1 in venv) mkdir -p .venv/bin; cp "$PYTHON3" .venv/bin/python;; esac')
    machine.install("dev")
    assert machine.install("demo") == (0, "")


def test_another_python_is_taken_when_it_is_asked_for_and_otherwise_the_one_that_is_there_stays(machine):
    machine.has("python3", "case $1 in --version) echo Python 3.11;; esac")
    machine.has("newer", "case $1 in --version) echo Python 3.13;; esac")
    machine.has("uv", 'case $1 in venv) mkdir -p .venv/bin; cp "$(command -v "$4")" .venv/bin/python;; esac')
    assert "with Python 3.11, only once" in machine.install()[1]
    assert "with Python 3.13, only once" in machine.install(PYTHON="newer")[1]
    assert "with Python 3.13, only once" in machine.install("dev")[1]
    status, said = machine.install(PYTHON="missing")
    assert (status, said) == (
        1,
        "Python 3.11 or later was not found (tried missing); set PYTHON=/path/to/python3\n",
    )


def test_make_takes_the_python_that_is_named(tmp_path):
    shutil.copy(PROJECT / "Makefile", tmp_path)
    installer = tmp_path / "deploy" / "virtualenv"
    installer.parent.mkdir()
    installer.write_text('#!/bin/sh\necho "$PYTHON"\n')
    installer.chmod(0o755)
    environment = {"PATH": os.environ["PATH"], "PYTHON": "/path/to/python3"}
    done = subprocess.run(
        ["make", "venv-demo"], check=True, cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "/path/to/python3\n"


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


class Machine:
    """A checkout, and a PATH on which there is hardly anything."""

    def __init__(self, tmp_path):
        self.folder = tmp_path / "checkout"
        self.path = tmp_path / "path"
        self.path.mkdir()
        (self.folder / "deploy").mkdir(parents=True)
        shutil.copy(PROJECT / "deploy" / "virtualenv", self.folder / "deploy")
        for lock in ("requirements-demo.lock", "requirements-dev.lock"):
            (self.folder / lock).write_text("something==1")
        for tool in (*TOOLS, "mkdir", "cp"):
            (self.path / tool).symlink_to(shutil.which(tool))

    def has(self, program, script):
        (self.path / program).write_text(f"#!/bin/sh\n{script}\n")
        (self.path / program).chmod(0o755)

    def install(self, what="demo", **environment):
        environment = {"PATH": str(self.path), "PYTHON3": str(self.path / "python3"), **environment}
        ran = subprocess.run(
            [self.folder / "deploy" / "virtualenv", what],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        return ran.returncode, ran.stdout


def names(requirements):
    return {re.split(r"[^\w.-]", each, maxsplit=1)[0].lower() for each in requirements if isinstance(each, str)}


def locked(lock):
    return {match.lower() for match in re.findall(r"^([\w.-]+)==", (PROJECT / lock).read_text(), re.MULTILINE)}
