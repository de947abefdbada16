"""All services of the system: what each reads from the environment, and how it is built from that."""

from collections.abc import Callable, Mapping
from typing import Any

import delivery_worker.service
import delivery_worker.settings
import order_saga.service
import order_saga.settings
import store_worker.service
import store_worker.settings
from messages.transport.service import Service

SERVICES: Mapping[str, tuple[type[Any], Callable[[Any], Service]]] = {
    "order_saga": (order_saga.settings.Settings, order_saga.service.service),
    "store_worker": (store_worker.settings.Settings, store_worker.service.service),
    "delivery_worker": (delivery_worker.settings.Settings, delivery_worker.service.service),
}
