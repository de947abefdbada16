"""The command lines of the services, and how a user types something into them."""

import io
from collections.abc import Mapping

from click.testing import CliRunner, Result

import delivery_worker.__main__
import order_saga.__main__
import store_worker.__main__

PROGRAMS = {
    "order-saga": order_saga.__main__.main,
    "store-worker": store_worker.__main__.main,
    "delivery-worker": delivery_worker.__main__.main,
}
NOWHERE = "postgresql://nobody:secret@127.0.0.1:1/nowhere"
SETTINGS = {
    f"{service}_{name}_URL": NOWHERE if name == "DATABASE" else None
    for service in ("ORDER_SAGA", "STORE_WORKER", "DELIVERY_WORKER")
    for name in ("DATABASE", "READER")
}


def typed(
    program: str, *arguments: str, settings: Mapping[str, str | None] | None = None, stdin: str | io.BytesIO = ""
) -> Result:
    return CliRunner().invoke(PROGRAMS[program], arguments, input=stdin, env={**SETTINGS, **(settings or {})})
