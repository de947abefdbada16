"""All about one order: what the orchestrator knows, what each participant holds, what happened when and where."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic_core import to_jsonable_python

from messages.contracts.views import HELD, PLACED, Holding, Order, Parked, TimelineRow
from messages.transport.command_line.printing import aware, utc, visible
from order_saga.inspection import queries
from order_saga.inspection.databases import Snapshots, snapshots
from order_saga.inspection.evidence import Share
from order_saga.participants import PARTICIPANTS

BEFORE = timedelta(seconds=10)
"""A participant's clock may be behind, and it may have noted something before the orchestrator knew of the order."""
AFTER = timedelta(minutes=1)
"""Repeats and duplicates still arrive when an order is long done."""
WHILE_HELD = timedelta(hours=3)
"""How long held units may still be withdrawn or go offline; longer is not searched, even if they are still held."""
FIRST, LAST = datetime(2, 1, 1, tzinfo=UTC), datetime(9998, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that the services have recorded about an order."""

    order_id: UUID
    order: Order | None
    shares: Mapping[str, Share]
    """By participant; every participant is there, also if it has no reservation of the order, or has pruned it."""
    holders: Mapping[str, UUID | None]
    """Of units that are not the order's although its reservation says so: the order that has them."""
    entries: Sequence[tuple[str, TimelineRow]]
    """With the service that noted it, in order of time."""
    parked: Sequence[tuple[str, Parked]]

    @property
    def holdings(self) -> dict[str, Holding]:
        return {name: share.holding for name, share in self.shares.items() if share.holding is not None}


async def story_of(urls: Mapping[str, str], order_id: UUID) -> Story | None:
    """None, if no service knows the order. Raises WrongUsage or Unreachable."""
    async with snapshots(urls) as looked:
        order = await queries.order(looked.orchestrator, order_id)
        shares = {
            name: await queries.share(reader, PARTICIPANTS[name], order_id)
            for name, reader in looked.participants.items()
        }
        parked = [
            (service, document)
            for service, reader in looked.by_service.items()
            for document in await queries.parked_about(reader, order_id)
        ]
        if order is None and not parked and not any(share.holding or share.units for share in shares.values()):
            return None
        story = Story(order_id, order, shares, await _holders(looked, shares), [], parked)
        times = _times(story, await queries.clock(looked.orchestrator))
        return replace(story, entries=await _entries(looked, order_id, min(times) - BEFORE, max(times) + AFTER))


async def _holders(looked: Snapshots, shares: Mapping[str, Share]) -> dict[str, UUID | None]:
    found: dict[str, UUID | None] = {}
    for name, share in shares.items():
        if lost := share.listed - share.carried:
            found |= await queries.holders(looked.participants[name], lost)
    return found


def _times(story: Story, now: datetime) -> list[datetime]:
    """When anything is known to have happened. What is not over goes on until now."""
    order, holdings = story.order, story.holdings.values()
    times = [_finite(holding.changed_at) for holding in holdings]
    times += [_finite(document.parked_at) for _, document in story.parked]
    times += [min(now, _finite(each.changed_at) + WHILE_HELD) for each in holdings if each.state in HELD]
    if order is not None:
        over = order.decided_at if order.outcome == PLACED else order.cleaned_at
        times += [_finite(order.accepted_at), _finite(over or now)]
    return times or [now - WHILE_HELD, now]


def _finite(at: datetime) -> datetime:
    """With room to count on from it in both directions: PostgreSQL's times may be infinite, changed by hand."""
    return min(max(aware(at), FIRST), LAST)


async def _entries(
    looked: Snapshots, order_id: UUID, since: datetime, until: datetime
) -> list[tuple[str, TimelineRow]]:
    entries = [
        (service, entry)
        for service, reader in looked.by_service.items()
        for entry in await queries.timeline(reader, order_id, since, until)
    ]
    return sorted(entries, key=lambda each: each[1].at)


def lines(story: Story) -> list[str]:
    """As lines for people: what became of the order, what is held for it, what happened when."""
    return [visible(line) for part in (_heading, _held, _timeline) for line in part(story)]


def fields(story: Story) -> dict[str, Any]:
    """As JSON for machines."""
    as_json: dict[str, Any] = to_jsonable_python(
        {
            "order_id": story.order_id,
            "order": story.order._asdict() if story.order else None,
            "holdings": {name: holding._asdict() for name, holding in story.holdings.items()},
            "units": {name: sorted(share.carried) for name, share in story.shares.items() if share.carried},
            "timeline": [{"service": service} | entry._asdict() for service, entry in story.entries],
            "parked": [{"service": service} | document._asdict() for service, document in story.parked],
        }
    )
    return as_json


def _heading(story: Story) -> Iterator[str]:
    order = story.order
    if order is None:
        yield f"order {story.order_id}: the order saga does not know it"
        return
    yield f"order {story.order_id}: {_outcome(order)}"
    if order.quantities:
        wanted = ", ".join(f"{quantity} x {sku}" for sku, quantity in order.quantities.items())
        yield f"  wanted    {wanted} from {order.store_id} to {order.zone}"
    if order.damaged:
        yield f"  damaged   {' and '.join(order.damaged)} cannot be read"


def _outcome(order: Order) -> str:
    if order.decided_at is None:
        return f"undecided ({order.phase}), to be decided by {_time(order.deadline)}"
    seconds = (aware(order.decided_at) - aware(order.accepted_at)).total_seconds()
    reason = f": {order.reason}" if order.reason else ""
    who = f" ({order.participant})" if order.participant else ""
    clean = "" if order.outcome == PLACED or order.cleaned_at else ", not clean yet"
    return f"{str(order.outcome).replace('_', ' ')}{reason}{who} after {seconds:.3f} s{clean}"


def _held(story: Story) -> Iterator[str]:
    for name, share in story.shares.items():
        if (holding := share.holding) is not None:
            why = holding.reason if holding.reason != holding.state else None
            yield f"  {name:<9} {holding.state} {' '.join(holding.unit_ids) or why or ''}".rstrip()
        if strays := sorted(share.carried - share.listed):
            yield f"  {name:<9} has {' '.join(strays)} without a reservation"
        for unit_id in sorted(share.listed - share.carried):
            holder = story.holders[unit_id]
            yield f"  {name:<9} {unit_id} is held by {f'order {holder}' if holder else 'no order'}"
    for service, document in story.parked:
        yield f"  parked    in {service}: {document.type or 'a document'}: {document.reason}, {document.detail}"


def _timeline(story: Story) -> Iterator[str]:
    if story.entries:
        beginning = story.entries[0][1].at
        yield f"  {_time(beginning)}"
    for service, entry in story.entries:
        seconds = (entry.at - beginning).total_seconds()
        yield f"  {seconds:>+9.3f}  {service:<16} {entry.event or '?':<18} {entry.detail}"


def _time(at: datetime | None) -> str:
    return f"{utc(at)} UTC" if at else "an unknown time"
