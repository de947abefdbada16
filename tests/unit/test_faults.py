"""Which errors a retry can heal, and which of them say that the database cannot be used at all."""

import asyncpg
import pytest
from asyncpg.exceptions import TargetServerAttributeNotMatched

from messages.transport.faults import Collision, is_infrastructure, is_unreachable


def of_postgres(sqlstate: str) -> asyncpg.PostgresError:
    error = asyncpg.PostgresError.new({"C": sqlstate, "M": "as arranged"})
    assert isinstance(error, asyncpg.PostgresError)
    return error


@pytest.mark.parametrize("sqlstate", ["08006", "53300", "57P01", "28P01", "3D000"])
def test_a_database_that_lets_nobody_in_is_unreachable(sqlstate: str) -> None:
    assert is_unreachable(of_postgres(sqlstate))


@pytest.mark.parametrize("sqlstate", ["40P01", "40001", "55P03", "42P01", "25006", "23505", "53100", "57014"])
def test_a_database_that_refused_a_statement_is_not_unreachable(sqlstate: str) -> None:
    assert not is_unreachable(of_postgres(sqlstate))


@pytest.mark.parametrize(
    "error",
    [
        ConnectionResetError(),
        TimeoutError(),
        asyncpg.InterfaceError("connection is closed"),
        TargetServerAttributeNotMatched("no host is the primary"),
    ],
    ids=repr,
)
def test_a_connection_that_cannot_be_had_can_be_had_later(error: Exception) -> None:
    assert is_infrastructure(error)
    assert is_unreachable(error)


def test_a_collision_can_be_healed_and_says_nothing_against_the_database() -> None:
    assert is_infrastructure(Collision())
    assert not is_unreachable(Collision())


def test_an_error_of_the_database_without_a_code_is_no_documents_fault() -> None:
    assert is_infrastructure(asyncpg.PostgresError("as arranged"))


@pytest.mark.parametrize(
    "error",
    [ValueError(), asyncpg.DataError(), asyncpg.UniqueViolationError(), asyncpg.ProgramLimitExceededError()],
    ids=repr,
)
def test_what_a_retry_cannot_heal_is_neither(error: Exception) -> None:
    assert not is_infrastructure(error)
    assert not is_unreachable(error)
