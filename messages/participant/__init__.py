"""The participant's half of the protocol, shared by the workers: reservations, and what becomes of them."""

from pathlib import Path

MIGRATIONS = Path(__file__).parent / "migrations"
