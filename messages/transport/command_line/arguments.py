"""Arguments that are refused before anything is asked of a server."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, TypeAlias

import click

from messages.transport.settings import DAY_SECONDS, Settings

ReadSettings: TypeAlias = Callable[[], Settings]
"""What a command gets instead of arguments: its service's settings, once they are needed."""

PARKED_ID = click.IntRange(1, 2**63 - 1)
"""The range of the ids in the database."""


class Span(click.FloatRange):
    """Seconds, up to a day. Refuses NaN, which every click range accepts, being neither too small nor too large."""

    name = "seconds"

    def __init__(self, at_least: float = 0.0) -> None:
        super().__init__(at_least, DAY_SECONDS)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        seconds: float = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a number of seconds.", param, ctx)
        return seconds


class Text(click.types.StringParamType):
    """Text that a database can be asked for. Refuses bytes that are no UTF-8, for which Python has surrogates."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text: str = super().convert(value, param, ctx)
        try:
            text.encode()
        except UnicodeEncodeError:
            self.fail(f"{text!r} is not UTF-8.", param, ctx)
        return text


class Time(click.DateTime):
    """A time in UTC."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        time: datetime = super().convert(value, param, ctx)
        return time.replace(tzinfo=UTC)
