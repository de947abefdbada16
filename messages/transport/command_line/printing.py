"""How times, numbers and what comes from documents are printed."""

from datetime import UTC, datetime


def utc(at: datetime) -> str:
    """`2026-03-01 08:15:00`, for people."""
    return aware(at).astimezone(UTC).replace(tzinfo=None).isoformat(" ", "seconds")


def aware(at: datetime) -> datetime:
    """With its zone: asyncpg keeps the first and the last of all times as infinity, which it reads without one."""
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def counted(number: int, thing: str) -> str:
    """`1 packet`, `2 packets`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def visible(text: str) -> str:
    """In one line, with what is not printable escaped: no document sends control sequences to somebody's terminal."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)
