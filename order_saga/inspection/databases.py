"""The databases that are inspected, read-only: the orchestrator's own and each participant's."""

import contextlib
import os
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

from messages.transport.command_line.failures import WrongUsage
from messages.transport.command_line.reading import PublishedViews, reading
from order_saga.participants import PARTICIPANTS
from order_saga.service import NAME

ORCHESTRATOR = NAME


@dataclass(frozen=True, slots=True)
class Snapshots:
    """All the databases, as they were at nearly the same time."""

    orchestrator: PublishedViews
    participants: Mapping[str, PublishedViews]
    """By participant."""

    @property
    def by_service(self) -> dict[str, PublishedViews]:
        workers = _workers()
        return {
            ORCHESTRATOR: self.orchestrator,
            **{workers[name]: reader for name, reader in self.participants.items()},
        }


def urls() -> dict[str, str]:
    """Read the environment: the URL of each service. Raises WrongUsage, naming the variable that is missing."""
    return {service: _url(service) for service in _services()}


def known_urls() -> dict[str, str]:
    """The URLs that the environment names, by service."""
    return {service: url for service in _services() if (url := os.environ.get(setting_of(service)))}


def setting_of(service: str) -> str:
    """The environment variable that says where a service's views are read: the one for readers, if it is set."""
    reader_url = f"{service.upper()}_READER_URL"
    return reader_url if os.environ.get(reader_url) else f"{service.upper()}_DATABASE_URL"


@contextlib.asynccontextmanager
async def snapshots(url_of: Mapping[str, str]) -> AsyncIterator[Snapshots]:
    """Open a snapshot of each service's database, by service name. Raises WrongUsage if one is another service's.

    The orchestrator's is opened first, so what it says a participant has done is already in that participant's.
    """
    async with contextlib.AsyncExitStack() as stack:

        async def look(service: str) -> PublishedViews:
            reader = await stack.enter_async_context(reading(url_of[service], setting_of(service)))
            await reader.refuse_a_foreign_one()
            return reader

        own = await look(ORCHESTRATOR)
        yield Snapshots(own, {name: await look(worker) for name, worker in _workers().items()})


@contextlib.asynccontextmanager
async def orchestrator() -> AsyncIterator[PublishedViews]:
    """Open a snapshot of the orchestrator's database alone, also while nobody can read the participants'."""
    async with reading(_url(ORCHESTRATOR), setting_of(ORCHESTRATOR)) as reader:
        await reader.refuse_a_foreign_one()
        yield reader


def _url(service: str) -> str:
    setting = setting_of(service)
    if not (url := os.environ.get(setting)):
        raise WrongUsage(f"{setting}: not set; {service}'s published views are read there")
    return url


def _services() -> tuple[str, ...]:
    return (ORCHESTRATOR, *_workers().values())


def _workers() -> dict[str, str]:
    return {name: participant.worker for name, participant in PARTICIPANTS.items()}
