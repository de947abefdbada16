"""Which errors a retry can heal, and which are the fault of a document or its handler."""

import asyncpg

# Lost connections, resources, shutdown, I/O, deadlock, lock timeout, a standby instead of a primary. Class 28 and 3D
# are wrong credentials and a missing database; 3F and 42 a missing schema, table or column: none of them depends on the
# document that was being handled, so parking it would be wrong and waiting for the operator is right.
INFRASTRUCTURE_CLASSES = frozenset({"08", "53", "57", "58", "28", "3D", "3F", "42", "40", "55", "25", "XX"})
UNREACHABLE_CLASSES = frozenset({"08", "53", "57", "28", "3D"})
# A handler went on after its own statement had failed, and would do so on every retry.
ABORTED = "25P02"
# Class 54 is a document's fault, as a row that is too large, unless these functions of PostgreSQL raise it: no ids are
# left until somebody vacuums. Their text may be in any language.
GIVERS_OF_IDS = frozenset({"GetNewTransactionId", "GetNewMultiXactId"})


DATABASE_FAILURES = (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""What connecting to a database, or asking it, can raise; the last one if no host is the primary that the URL wants."""

NOT_MIGRATED = (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError, asyncpg.InvalidSchemaNameError)
"""What asking a database raises that lacks migrations."""


class UnfitDatabase(Exception):
    """A database that must not be migrated, or not be used by a daemon, until somebody has changed it or its URL."""


class Aborted(Exception):
    """COMMIT rolled back, because an earlier statement's error had been swallowed."""


class Collision(Exception):
    """A conflict: a row of this batch was created, changed or locked by another transaction, or its lease has run out.

    Nothing was written. Handle the batch again.
    """


class TooMuchAtOnce(Exception):
    """A batch that would take too much memory, or more than one statement can write; a single document never does.

    Nothing was written. Halve it.
    """


def is_infrastructure(error: BaseException) -> bool:
    """Whether a retry can heal this error; otherwise the document or the handler is at fault."""
    if isinstance(error, asyncpg.InvalidCachedStatementError):
        return True  # a migration changed a table under a prepared statement; the next try prepares it anew
    if isinstance(error, asyncpg.PostgresError):
        of_infrastructure = str(error.sqlstate or "XX")[:2] in INFRASTRUCTURE_CLASSES and error.sqlstate != ABORTED
        return of_infrastructure or error.server_source_function in GIVERS_OF_IDS
    if isinstance(error, asyncpg.InterfaceError):
        # A backend that dies in mid-transaction surfaces as InterfaceError; a bad argument as its ValueError child.
        return not isinstance(error, ValueError)
    return isinstance(error, (Collision, OSError, TimeoutError, asyncpg.InternalClientError))


def is_too_slow(error: BaseException) -> bool:
    """Whether a statement took longer than statement_timeout allows: less to do at once may help."""
    return isinstance(error, asyncpg.QueryCanceledError)


def is_unreachable(error: BaseException) -> bool:
    """Whether the database cannot be used at all, as opposed to one that refused a statement."""
    if isinstance(error, asyncpg.PostgresError):
        if isinstance(error, asyncpg.DiskFullError) or is_too_slow(error):
            return False  # it can be read, and the next statement may be accepted
        return str(error.sqlstate)[:2] in UNREACHABLE_CLASSES
    return is_infrastructure(error) and not isinstance(error, Collision)


def why_refused(error: ValueError) -> str:
    """What is wrong with a database's URL of which asyncpg makes nothing; other words than its own may quote it."""
    return one_line(error) if isinstance(error, asyncpg.ClientConfigurationError) else "not a PostgreSQL URL"


def one_line(error: BaseException) -> str:
    """The error's text and hint in one line, or its class if it has no text, as a timeout has none; and its notes."""
    text = " ".join(str(error).split()) or type(error).__name__
    notes = ", ".join(getattr(error, "__notes__", ()))
    return f"{text} ({notes})" if notes else text
