"""The hosts of a database's URL: one that is silent must not hide those behind it."""

from typing import Any
from urllib.parse import urlsplit

import asyncpg


class Hosts:
    """Connects to the first host that answers. asyncpg tries them in turn, but within one time limit for all."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def connect(self, **arguments: Any) -> Any:
        """Connect. After a failure, the next attempt begins with the next host."""
        url = self._url
        try:
            return await asyncpg.connect(url, **arguments)
        except BaseException as error:  # also when cancelled: the caller's time limit may be over first
            self._url = next_host_first(url)
            if isinstance(error, OSError) and (where := place(url)) is not None:
                error.add_note(where)
            raise


def place(url: str) -> str | None:
    """Hosts, ports and database; None if an @ leaves open which part of it is the password."""
    parts = urlsplit(url)
    place = f"{parts.netloc.rpartition('@')[2]}{parts.path}"
    return place if parts.netloc and "@" not in f"{place}{parts.query}{parts.fragment}" else None


def next_host_first(url: str) -> str:
    """The same URL, with the first of its hosts as the last."""
    parts = urlsplit(url)
    user, at, hosts = parts.netloc.rpartition("@")
    first, comma, others = hosts.partition(",")
    return parts._replace(netloc=f"{user}{at}{others}{comma}{first}").geturl()
