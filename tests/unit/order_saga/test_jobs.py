"""Jobs that decide run even when the service is never quiet, and forgetting keeps no order waiting."""

from order_saga.service import service
from tests.unit.order_saga.settings import settings


def test_the_service_has_jobs_that_decide_even_when_it_is_never_quiet() -> None:
    jobs = {job.name: job for job in service(settings()).jobs}
    assert not jobs["decide_overdue"].only_when_quiet
    assert jobs["ask_again"].only_when_quiet
    assert jobs["release_again"].only_when_quiet


def test_what_is_overdue_is_decided_also_while_too_much_is_unconfirmed() -> None:
    jobs = {job.name: job for job in service(settings()).jobs}
    assert jobs["decide_overdue"].despite_backpressure
    assert not jobs["ask_again"].despite_backpressure
    assert not jobs["release_again"].despite_backpressure


def test_forgetting_what_orders_were_about_keeps_no_order_waiting() -> None:
    assert [job.name for job in service(settings()).jobs if job.low_priority] == ["forget_requests"]
