"""Why a broker cannot be had, for errors that RabbitMQ raises only where it is set up for them."""

import ssl
from asyncio import IncompleteReadError

import pytest
from aiormq.exceptions import AMQPConnectionError, AuthenticationError, ProbableAuthenticationError

from messages.transport.rabbitmq.diagnosis import why_not_connected

URL = "amqps://toy:secret@mq/"


@pytest.mark.parametrize("wrapped", [True, False])
def test_what_tls_refuses_is_told_as_such_whenever_it_does(wrapped: bool) -> None:
    """While it connects aiormq wraps it; a certificate that is demanded of the client is missed only afterwards."""
    error: Exception = ssl.SSLError("certificate required")
    if wrapped:
        cause, error = error, AMQPConnectionError(*error.args)
        error.__cause__ = cause
    assert why_not_connected(error, URL).startswith("TLS: ")


@pytest.mark.parametrize("error", [AuthenticationError(["EXTERNAL"], ["PLAIN"]), ProbableAuthenticationError("no")])
def test_a_user_who_is_refused_is_told_so(error: Exception) -> None:
    assert why_not_connected(error, URL) == "the broker refuses this user or password"


def test_who_hangs_up_at_once_is_told_apart_from_who_cannot_be_reached() -> None:
    """As a balancer does while no node is up, and a port for TLS."""
    error = AMQPConnectionError("Server connection unexpectedly closed. Read 0 bytes but 1 bytes expected")
    assert why_not_connected(error, URL) == "the broker cannot be reached at mq:5671: AMQPConnectionError"
    error.__cause__ = IncompleteReadError(b"", 1)
    assert why_not_connected(error, URL).startswith("what answers at mq:5671 hangs up: ")
