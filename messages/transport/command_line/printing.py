"""How times and numbers are printed for people."""

from datetime import UTC, datetime


def utc(at: datetime) -> str:
    """`2026-03-01 08:15:00`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def counted(number: int, thing: str) -> str:
    """`1 packet`, `2 packets`."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
