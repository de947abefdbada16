"""How PostgreSQL will execute the statements that a worker has prepared."""

from tests.integration.workers import Worker


async def kept_plans(worker: Worker, *tables: str) -> list[str]:
    """The plans that are kept for its statements about these tables, each as EXPLAIN prints it."""
    async with worker.database.transaction() as tx:
        statements = await tx.fetch(
            "SELECT name, cardinality(parameter_types) AS parameters FROM pg_prepared_statements"
            " WHERE statement ~ $1 AND cardinality(parameter_types) > 0",
            "|".join(tables),
        )
        await tx.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        explained = [
            f'EXPLAIN EXECUTE "{each["name"]}" ({", ".join(["NULL"] * each["parameters"])})' for each in statements
        ]
        return ["\n".join(line[0] for line in await tx.fetch(explain)) for explain in explained]
