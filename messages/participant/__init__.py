"""The participant's half of the protocol, written once: reservations, and what becomes of them."""

from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"
