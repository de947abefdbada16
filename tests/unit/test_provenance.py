"""Where a message comes from is judged by the way it came; every unknown way counts as a detour."""

import re

import pytest

from deploy.definitions import all_services, users
from messages.transport.addresses import ANSWERS, COMMANDS, DEAD_LETTERS, OUTCOMES, REQUESTS
from messages.transport.provenance import FAILED_TOO_OFTEN, Death, Provenance, provenance_of
from messages.transport.topology import topology_of

OURS, CLIENTS, UNTRUSTED = Provenance
CLIENT_USERS = ("customer", "supplier", "fleet")


@pytest.mark.parametrize(
    ("exchange", "told"),
    [
        *((COMMANDS, OURS), (ANSWERS, OURS), (OUTCOMES, OURS), (REQUESTS, CLIENTS)),
        *((exchange, UNTRUSTED) for exchange in ("outcomes.evil", DEAD_LETTERS, "", "amq.topic", "Requests")),
    ],
)
def test_only_through_an_exchange_that_clients_may_not_write_our_own_word_comes(
    exchange: str, told: Provenance
) -> None:
    assert provenance_of(exchange) is told


@pytest.mark.parametrize(
    ("reason", "exchange", "told"),
    [
        *((FAILED_TOO_OFTEN, COMMANDS, OURS), (FAILED_TOO_OFTEN, ANSWERS, OURS)),
        *((FAILED_TOO_OFTEN, REQUESTS, CLIENTS), (FAILED_TOO_OFTEN, "outcomes.evil", UNTRUSTED)),
        *(("expired", COMMANDS, CLIENTS), ("expired", REQUESTS, CLIENTS), ("expired", "outcomes.evil", UNTRUSTED)),
        *(("maxlen", ANSWERS, CLIENTS), ("", "", UNTRUSTED), (FAILED_TOO_OFTEN, DEAD_LETTERS, UNTRUSTED)),
    ],
)
def test_a_dead_letter_is_ours_only_if_we_said_it_and_failed_at_it(
    reason: str, exchange: str, told: Provenance
) -> None:
    assert provenance_of(DEAD_LETTERS, Death(reason, exchange)) is told
    assert provenance_of(DEAD_LETTERS, Death(reason, exchange, first=False)) is UNTRUSTED


@pytest.mark.parametrize("exchange", [REQUESTS, COMMANDS, ANSWERS, "outcomes.evil", ""])
def test_what_some_queue_gave_up_is_heard_among_the_dead_letters_only(exchange: str) -> None:
    assert provenance_of(exchange, Death(FAILED_TOO_OFTEN, COMMANDS)) is UNTRUSTED


def test_every_exchange_that_a_service_hears_is_known() -> None:
    for binding in topology_of(all_services()).bindings:
        death = Death(FAILED_TOO_OFTEN, COMMANDS) if binding.exchange == DEAD_LETTERS else None
        assert provenance_of(binding.exchange, death) is not UNTRUSTED, binding


def test_no_client_may_write_or_make_what_counts_as_ours() -> None:
    known = {user.name: user for user in users(all_services())}
    for client in (known[name] for name in CLIENT_USERS):
        for exchange in (COMMANDS, ANSWERS, OUTCOMES, DEAD_LETTERS):
            assert not re.search(client.write, exchange)
            assert not re.search(client.configure, exchange)
