"""Settings of an order saga whose database is nowhere."""

from typing import Any

from order_saga.settings import Settings


def settings(**changes: Any) -> Settings:
    return Settings.read(database_url="postgresql://nowhere/", **changes)
