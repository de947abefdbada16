"""Reads the databases of all services, checks each order against the rules, and reports what is wrong."""

from asyncio import sleep
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from uuid import UUID

from messages.transport.command_line.reading import PublishedViews
from order_saga.inspection import queries
from order_saga.inspection.databases import Snapshots, snapshots
from order_saga.inspection.evidence import Census, Finding, Moment
from order_saga.inspection.merge import accounts
from order_saga.inspection.rules import check_order, check_service
from order_saga.participants import PARTICIPANTS

MOST_FINDINGS = 10_000
"""About so many are kept: one is enough to know, and a wrong database would fill the memory."""
MOST_PARKED = 10_000
"""At most so many documents parked through our own fault are reported per service, the oldest first."""
PUBLISHED_WITHIN_SECONDS = 60.0
"""An envelope that waits longer is stuck: within half a minute it is confirmed, or published again by a relay."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an audit has found."""

    findings: Sequence[Finding]
    orders: int
    """How many orders were looked at."""
    parked_by_others: int = 0
    """Documents that are parked through the fault of a client."""


async def examine(urls: Mapping[str, str], grace_seconds: float, *, at_rest: bool = False) -> Report:
    """Look, and look again after the grace period at what seems wrong: a message may have been under way.

    `urls`: of the databases, by service name. Raises WrongUsage or Unreachable.
    """
    first = await _look(urls, Patience(grace_seconds, at_rest))
    if at_rest or not first.findings:
        return first
    await sleep(grace_seconds)
    suspects = {finding.order_id for finding in first.findings if finding.order_id is not None}
    second = await _look(urls, Patience(grace_seconds), only=sorted(suspects))
    suspected = {_about(finding) for finding in first.findings}
    confirmed = [finding for finding in second.findings if _about(finding) in suspected]
    return replace(first, findings=confirmed)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long things may take; `at_rest`: nothing is under way any more."""

    grace_seconds: float
    at_rest: bool = False

    def as_of(self, now: datetime) -> Moment:
        return Moment(now, timedelta(seconds=self.grace_seconds), self.at_rest)


async def _look(urls: Mapping[str, str], patience: Patience, only: Sequence[UUID] | None = None) -> Report:
    async with snapshots(urls) as looked:
        await _expect_recent(looked, patience)
        orders, findings = await _look_at_orders(looked, patience, only)
        parked_by_others = 0
        for service, reader in looked.by_service.items():
            findings += check_service(await _census(service, reader, patience))
            parked_by_others += await queries.parked_by_others(reader)
        return Report(findings, orders, parked_by_others)


async def _expect_recent(looked: Snapshots, patience: Patience) -> None:
    """What one standby has not applied yet would seem to be lost: until the second look, unless it is older."""
    for reader in looked.by_service.values():
        await reader.expect_not_older_than(0.0 if patience.at_rest else patience.grace_seconds)


async def _look_at_orders(
    looked: Snapshots, patience: Patience, only: Sequence[UUID] | None
) -> tuple[int, list[Finding]]:
    moment = patience.as_of(await queries.clock(looked.orchestrator))
    shares = {each: queries.shares(looked.participants[name], each, only) for name, each in PARTICIPANTS.items()}
    orders, findings = 0, list[Finding]()
    async for account in accounts(queries.orders(looked.orchestrator, only), shares):
        orders += 1
        if len(findings) < MOST_FINDINGS:
            findings += check_order(account, moment)
    return orders, findings


async def _census(service: str, reader: PublishedViews, patience: Patience) -> Census:
    overdue_seconds = None if patience.at_rest else max(patience.grace_seconds, PUBLISHED_WITHIN_SECONDS)
    return Census(
        service,
        stock=await queries.stock(reader),
        parked=await queries.parked_by_us(reader, MOST_PARKED),
        unpublished=await queries.unpublished(reader, overdue_seconds),
    )


def _about(finding: Finding) -> tuple[object, ...]:
    return finding.invariant, finding.order_id, finding.service
