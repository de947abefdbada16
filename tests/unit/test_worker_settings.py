"""No setting makes a worker so slow, or prune so early, that an audit would report it."""

from datetime import timedelta

import pytest
from annotated_types import Ge, Le

import delivery_worker.settings
import order_saga.settings
import store_worker.settings
from deploy.services import SERVICES
from messages.participant.settings import ParticipantSettings
from messages.transport.daemon.jobs import TOLERANCE
from messages.transport.settings import Settings, WrongSetting
from order_saga.inspection.commands import GRACE_SECONDS
from order_saga.inspection.rules import CONFIRMED_WITHIN, PRUNED_AFTER

ANSWERED_WITHIN = timedelta(seconds=15)
"""How long an inquiry and its answer may take, even under load."""
ALERTED_AFTER = timedelta(minutes=10)
"""As JobNotDone in deploy/alerts.yaml says."""
WORKERS = pytest.mark.parametrize(
    "worker",
    [settings for settings, _ in SERVICES.values() if issubclass(settings, ParticipantSettings)],
    ids=lambda worker: worker.prefix(),
)


def least(worker: type[ParticipantSettings], name: str) -> timedelta:
    (bound,) = [bound.ge for bound in worker.model_fields[name].metadata if isinstance(bound, Ge)]
    return timedelta(seconds=float(str(bound)))


def most(worker: type[Settings], name: str) -> timedelta:
    (bound,) = [bound.le for bound in worker.model_fields[name].metadata if isinstance(bound, Le)]
    return timedelta(seconds=float(str(bound)))


@WORKERS
def test_what_an_audit_looks_for_is_not_forgotten(worker: type[ParticipantSettings]) -> None:
    assert least(worker, "prune_after_seconds") >= PRUNED_AFTER


@WORKERS
def test_what_became_of_an_order_is_asked_before_an_audit_misses_it(worker: type[ParticipantSettings]) -> None:
    swept_after = most(worker, "sweep_interval_seconds") * (1 + TOLERANCE)

    assert most(worker, "inquiry_after_seconds") + swept_after + ANSWERED_WITHIN < CONFIRMED_WITHIN


@WORKERS
def test_a_lease_that_is_over_is_swept_before_an_audit_finds_it(worker: type[ParticipantSettings]) -> None:
    assert most(worker, "sweep_interval_seconds") * (1 + TOLERANCE) < timedelta(seconds=GRACE_SECONDS)


@pytest.mark.parametrize(
    "service", [settings for settings, _ in SERVICES.values()], ids=lambda service: service.prefix()
)
def test_no_job_is_so_rare_that_somebody_would_be_alerted(service: type[Settings]) -> None:
    intervals = [name for name in service.model_fields if name.endswith("_interval_seconds")]

    assert len(intervals) >= 3
    assert all(most(service, name) * (1 + TOLERANCE) < ALERTED_AFTER for name in intervals)


@pytest.mark.parametrize(
    ("settings", "name", "value"),
    [
        (store_worker.settings.Settings, "PRUNE_AFTER_SECONDS", "3600"),
        (delivery_worker.settings.Settings, "PRUNE_AFTER_SECONDS", "86399"),
        (store_worker.settings.Settings, "PRUNE_AFTER_SECONDS", "inf"),
        (store_worker.settings.Settings, "INQUIRY_AFTER_SECONDS", "91"),
        (delivery_worker.settings.Settings, "INQUIRY_AFTER_SECONDS", "0"),
        (store_worker.settings.Settings, "SWEEP_INTERVAL_SECONDS", "11"),
        (order_saga.settings.Settings, "REMEMBER_SECONDS", "inf"),
        (order_saga.settings.Settings, "REMEMBER_SECONDS", "0"),
    ],
)
def test_what_is_out_of_bounds_is_named(
    monkeypatch: pytest.MonkeyPatch, settings: type[Settings], name: str, value: str
) -> None:
    monkeypatch.setenv(f"{settings.prefix()}{name}", value)

    with pytest.raises(WrongSetting, match=f"^{settings.prefix()}{name}: "):
        settings.read(database_url="postgresql://elsewhere/")


def test_finished_reservations_may_be_kept_for_years(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_WORKER_PRUNE_AFTER_SECONDS", "315360000")

    settings = store_worker.settings.Settings.read(database_url="postgresql://elsewhere/")

    assert settings.timing.prune_after == timedelta(days=3_650)
