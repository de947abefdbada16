"""A participant's worker as the transport runs it: what is the same in all workers."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from messages.contracts.message import Message
from messages.contracts.participation import REPORTS, RESERVE, SETTLE
from messages.participant import sweeper
from messages.participant.handling import HandleUnits, handle_for
from messages.participant.participant import Participant
from messages.participant.reservation import Reservation
from messages.participant.rows import TABLE
from messages.participant.settings import ParticipantSettings
from messages.transport.database.row_cache import RowCache
from messages.transport.service import Job, Measure, Service

MIGRATIONS = Path(__file__).parent / "migrations"


def participant_service(
    name: str,
    participant: Participant,
    settings: ParticipantSettings,
    *,
    handlers: Mapping[type[Message], str],
    handle_units: HandleUnits,
    migrations: Path,
    jobs: Sequence[Job] = (),
    measures: Sequence[Measure] = (),
) -> Service:
    """The worker's definition for the transport: commands about orders, the sweeper's jobs, and what is its own.

    `handlers`: all message types that it consumes, each with RESERVE, SETTLE or REPORTS. `migrations`: the worker's own
    folder.
    """
    row_cache = RowCache[Reservation](TABLE)
    return Service(
        name=name,
        handlers=handlers,
        handle=handle_for(participant, row_cache, handle_units),
        new_work_queue=RESERVE,
        priority_queue=SETTLE,
        reports_queue=REPORTS,
        locks=TABLE.name,
        row_cache=row_cache,
        migrations=(MIGRATIONS, migrations),
        jobs=(*sweeper.jobs(participant, settings), *jobs),
        measures=measures,
    )
