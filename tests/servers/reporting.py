"""Marks whoever needs a server, looks for the servers before the first test, and tells what was used and skipped."""

from collections import Counter
from collections.abc import Callable, Generator
from functools import partial
from typing import Any, cast

import pytest

from tests.servers import choice
from tests.servers.remains import remains

LOOK: dict[str, Callable[[], choice.Choice[Any]]] = {
    "postgres": choice.choose_postgres,
    "rabbitmq": choice.choose_rabbitmq,
    "own_postgres": partial(choice.choose_postgres, own=True),
    "own_rabbitmq": partial(choice.choose_rabbitmq, own=True),
}
"""Fixture -> where its server comes from."""
MARKERS = {**{fixture: fixture.removeprefix("own_") for fixture in LOOK}, "docker": "docker"}
"""Fixture -> what its users are marked with, so that `-m "not rabbitmq"` needs no care from whoever writes a test."""


def pytest_configure(config: pytest.Config) -> None:
    for marker in sorted({*MARKERS.values()}):
        config.addinivalue_line("markers", f"{marker}: needs a real one; whoever uses its fixture is marked")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        for name in MARKERS.keys() & _fixtures(item):
            item.add_marker(MARKERS[name])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Look for the servers now: what may have to be fetched first is not to be held against a test's time limit."""
    needed = set().union(*map(_fixtures, session.items))
    for fixture, look in LOOK.items():
        if fixture in needed and not session.config.option.collectonly:
            look()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if choice.REQUIRE_DOCKER and report.skipped and any(map(item.get_closest_marker, MARKERS.values())):
        report.outcome = "failed"
        report.longrepr = f"REQUIRE_DOCKER is set: {_reason(report)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which servers were used, and what was skipped for which reason."""
    terminalreporter.section("servers, and what was skipped")
    for line in choice.told:
        terminalreporter.line(line)
    reasons = Counter(map(_reason, terminalreporter.stats.get("skipped", [])))
    for reason, count in reasons.most_common():
        terminalreporter.line(f"{count} skipped: {reason}")
    if not reasons:
        terminalreporter.line("nothing was skipped")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Where several processes share the tests, they choose the servers, and the one that tells hears from them."""
    choice.told.update(dict.fromkeys(getattr(node, "workeroutput", {}).get("servers", ())))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["servers"] = [*choice.told]
    if remains.cache_info().currsize:
        remains().remove()


def _fixtures(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))


def _reason(skipped: pytest.TestReport) -> str:
    _, _, reason = cast("tuple[str, int, str]", skipped.longrepr)
    return reason.removeprefix("Skipped: ")
