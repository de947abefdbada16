"""What every service reads from the environment, once, at its start. A wrong value gives one line that names it."""

import os
from collections.abc import Callable, Collection
from typing import Annotated, Any, ClassVar, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from messages.transport.certificates import read_certificates


def _url(*schemes: str, host_needed: bool = True) -> Callable[[SecretStr], SecretStr]:
    """Refuse what is no URL here, without quoting it: it may hold a password."""

    def check(url: SecretStr) -> SecretStr:
        parts = _parts(url.get_secret_value())
        if parts is None or parts.scheme not in schemes:
            raise ValueError(f"must be a URL that begins with {' or '.join(f'{scheme}://' for scheme in schemes)}")
        if "@" in f"{parts.path}{parts.query}{parts.fragment}":
            raise ValueError("a / ? # or @ in its password must be written as %2F %3F %23 or %40")
        if not _has_ports_that_exist(parts):
            raise ValueError("its port must be a number from 1 to 65535")
        if host_needed and not parts.hostname:
            raise ValueError("must be a URL that names a host")
        read_certificates(url.get_secret_value())
        return url

    return check


def _parts(text: str) -> SplitResult | None:
    """None: it is no URL."""
    try:
        return urlsplit(text)
    except ValueError:
        return None


def _has_ports_that_exist(parts: SplitResult) -> bool:
    """PostgreSQL's URLs may name several hosts."""
    try:
        ports = [urlsplit(f"//{host}").port for host in parts.netloc.rpartition("@")[2].split(",")]
    except ValueError:
        return False
    return 0 not in ports


DAY_SECONDS = 86_400.0
TEN_YEARS_SECONDS = 315_360_000.0
Seconds = Annotated[float, Field(gt=0, le=DAY_SECONDS)]
Interval = Annotated[float, Field(gt=0, le=300)]
"""Seconds between two runs of a job. deploy/alerts.yaml expects each of them every ten minutes."""
PostgresUrl = Annotated[SecretStr, AfterValidator(_url("postgresql", "postgres", host_needed=False))]
BrokerUrl = Annotated[SecretStr, AfterValidator(_url("amqp", "amqps"))]
HttpUrl = Annotated[SecretStr, AfterValidator(_url("http", "https"))]


class WrongSetting(Exception):
    """A setting that is missing, unknown or out of bounds; the text names the variable."""


class Settings(BaseSettings):
    """The transport's settings. Each service subclasses it with its own prefix, fields and defaults.

    `STORE_WORKER_LOG_LEVEL` is the store worker's; those in SHARED may also be given once for all, as `LOG_LEVEL`.
    """

    model_config = SettingsConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
    SHARED: ClassVar[frozenset[str]] = frozenset({"broker_url", "topology", "log_level", "log_format"})

    database_url: PostgresUrl
    reader_url: PostgresUrl | None = None
    """Where commands that list, show or audit read this service's published views; by default the database itself."""
    broker_url: BrokerUrl = SecretStr("amqp://guest:guest@localhost/")
    management_url: HttpUrl | None = None
    """RabbitMQ's HTTP API, with credentials; `check` proves queue arguments and policies through it."""
    topology: Literal["declare", "expect"] = "declare"
    """`expect`: exchanges and queues come from a definitions file, and the service may not declare any."""

    batch_documents: Annotated[int, Field(ge=1, le=5_000)] = 500
    batch_bytes: Annotated[int, Field(ge=65_536, le=16_777_216)] = 1_048_576
    new_work_prefetch: Annotated[int, Field(ge=1, le=2_000)] = 1_000
    priority_prefetch: Annotated[int, Field(ge=1, le=2_000)] = 200
    consumers: Literal["prioritized", "round_robin"] = "prioritized"
    """Which of a service's daemons gets the next message: always the same one, until its prefetch is full, because it
    has its orders cached and no other collides with it; or each in turn."""
    locking: Literal["optimistic", "pessimistic"] = "optimistic"
    """Whether batches are tried from the cache and without locks first, or always with locks, at more CPU time."""
    publish_timeout_seconds: Seconds = 5.0
    relay_after_seconds: Seconds = 15.0
    """How old an outbox row must be before a relay publishes it; longer than the publish timeout."""
    relay_interval_seconds: Interval = 2.0
    unconfirmed_rows: Annotated[int, Field(ge=1, le=10_000)] = 64
    """Backpressure: with this many outbox rows unconfirmed, no more work is taken."""
    pool_size: Annotated[int, Field(ge=2, le=50)] = 5
    drain_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """For the current batch and its confirms after a SIGTERM. Closing takes four more if servers are silent; a
    supervisor must allow for both before it sends SIGKILL."""
    timeline_days: Annotated[int, Field(ge=1, le=3_650)] = 7

    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """Serves /livez, /readyz and /metrics; 0 serves nothing."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"

    @classmethod
    def prefix(cls) -> str:
        return cls.model_config.get("env_prefix", "")

    @classmethod
    def read(cls, **overrides: Any) -> Self:
        """Read the environment. Raises WrongSetting, one line, naming the variable."""
        cls._refuse_unknown()
        shared = {
            name: os.environ[name.upper()]
            for name in cls.SHARED
            if name.upper() in os.environ and f"{cls.prefix()}{name.upper()}" not in os.environ
        }
        try:
            return cls(**(shared | overrides))
        except ValidationError as error:
            raise WrongSetting(cls._one_line(error, shared)) from None

    @classmethod
    def _refuse_unknown(cls) -> None:
        known = {f"{cls.prefix()}{name.upper()}" for name in cls.model_fields}
        for variable in sorted(os.environ):
            if cls.prefix() and variable.upper().startswith(cls.prefix()) and variable not in known:
                hint = "; settings are in capitals" if variable.upper() in known else ""
                raise WrongSetting(f"{variable}: there is no such setting{hint}")

    @classmethod
    def _one_line(cls, error: ValidationError, shared: Collection[str]) -> str:
        first = error.errors(include_url=False, include_input=False)[0]
        what = str(first["msg"]).removeprefix("Value error, ")
        if not first["loc"]:
            return what
        name = str(first["loc"][0])
        return f"{'' if name in shared else cls.prefix()}{name.upper()}: {what}"

    @model_validator(mode="after")
    def _a_relay_comes_after_the_publisher(self) -> Self:
        if self.relay_after_seconds <= self.publish_timeout_seconds:
            raise ValueError(
                f"{self.prefix()}RELAY_AFTER_SECONDS: must be more than PUBLISH_TIMEOUT_SECONDS, "
                f"which is {self.publish_timeout_seconds:g}"
            )
        return self
