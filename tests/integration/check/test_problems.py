"""Where all is well there is nothing to say, and where several things are wrong, all are told."""

from tests.integration.check.checked import Checked
from tests.servers.server import free_port


async def test_where_all_is_well_there_is_nothing_to_say(checked: Checked) -> None:
    assert await checked.problems() == []
    assert await checked.problems(topology="declare", management_url=None) == []


async def test_database_and_broker_are_both_told(checked: Checked) -> None:
    problems = await checked.problems(
        database_url=f"postgresql://127.0.0.1:{free_port()}/", broker_url=f"amqp://127.0.0.1:{free_port()}/"
    )
    assert [problem.partition(":")[0] for problem in problems] == ["TOY_DATABASE_URL", "TOY_BROKER_URL"]
