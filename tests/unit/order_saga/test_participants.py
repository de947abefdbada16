"""Who takes part is known to the registration only, and both sides listen to what is registered there."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import order_saga.participants
from deploy.definitions import all_services
from messages.contracts.message import Message
from messages.contracts.order import CancelOrder, DeliveryCompleted, OrderPlaced, OrderRequested
from messages.contracts.participation import Assigned, OutcomeRequested, Refused, Released, Reserved
from order_saga.handlers import HANDLERS
from order_saga.participants import PARTICIPANTS, Participant
from tests.unit.order_saga.orders import DEADLINE, requested

REGISTRATION = Path(order_saga.participants.__file__)
ORCHESTRATOR = REGISTRATION.parent


def test_every_answer_of_every_participant_is_listened_to_and_not_behind_new_orders() -> None:
    answers = {answer for participant in PARTICIPANTS.values() for answer in participant.answers}
    others: set[type[Message]] = {CancelOrder, OutcomeRequested}
    assert all(HANDLERS[answer] == "answers" for answer in answers | others)
    assert HANDLERS[OrderRequested] == "orders"
    assert len(HANDLERS) == len(answers) + 3


@pytest.mark.parametrize("participant", list(PARTICIPANTS.values()), ids=list(PARTICIPANTS))
def test_what_is_registered_of_a_participant_is_its_own(participant: Participant) -> None:
    assert {answer.PARTICIPANT for answer in participant.answers} == {participant.name}
    commands = {type(participant.reserve(requested(), 30, DEADLINE)), participant.assign, participant.release}
    assert {command.__module__ for command in commands} == {answer.__module__ for answer in participant.answers}
    bases = (Reserved, Refused, Assigned, Released)
    assert [issubclass(answer, base) for answer, base in zip(participant.answers, bases, strict=True)] == [True] * 4


@pytest.mark.parametrize("participant", list(PARTICIPANTS.values()), ids=list(PARTICIPANTS))
def test_its_worker_listens_to_all_that_it_is_told_and_to_what_settles_an_order_not_behind_new_ones(
    participant: Participant,
) -> None:
    (handlers,) = [service.handlers for service in all_services() if service.name == participant.worker]
    assert handlers[type(participant.reserve(requested(), 30, DEADLINE))] == "reserve"
    assert {handlers[kind] for kind in (participant.assign, participant.release, OrderPlaced)} == {"settle"}
    assert handlers[DeliveryCompleted] == "reports"


@pytest.mark.parametrize("module", sorted({*ORCHESTRATOR.rglob("*.py")} - {REGISTRATION}), ids=str)
def test_who_takes_part_is_known_to_the_registration_only(module: Path) -> None:
    nodes = list(ast.walk(ast.parse(module.read_text())))
    outgoing = {node.value for node in nodes if isinstance(node, ast.Constant)}
    imported = {name for node in nodes for name in imported_by(node)}
    assert not outgoing & {word for each in PARTICIPANTS.values() for word in (each.name, each.worker)}
    assert not imported & {each.assign.__module__ for each in PARTICIPANTS.values()}


def imported_by(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (each.name for each in node.names)
    elif isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}", *(f"{node.module}.{each.name}" for each in node.names))
