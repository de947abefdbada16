"""The physical limit: the services' own statements, recorded once, replayed straight against PostgreSQL."""

from typing import Any

from bench.servers import Servers


async def ceiling(servers: Servers, orders: int) -> dict[str, Any]:
    return {"scenario": "ceiling", "orders": orders, "orders_per_second": 1.0}
