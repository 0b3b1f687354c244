"""Settings: one frozen object, read once from ``STIGMERGY_*`` and handed down; nothing below reads the environment.

No ``.env`` file is read: the platform works inside repositories it did not write, and such a file there could point it
to a stranger's servers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import time
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, Secret, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from schemas.errors import InvalidIdentifier, InvalidInput
from schemas.ids import token
from schemas.leaders import PARTITIONS
from schemas.shares import parse_bounds, parse_rates, parse_weights

PREFIX = "STIGMERGY_"


class SecretUrl(Secret[str]):
    """A URL that may carry a password: shown without its credentials, whole by :meth:`get_secret_value`."""

    def _display(self) -> str:
        return without_credentials(self.get_secret_value())


def without_credentials(url: str) -> str:
    """``url`` with user and password replaced by ``***``: fit for a screen or a log."""
    head, at, tail = url.rpartition("@")
    return f"{head.partition('://')[0]}://***@{tail}" if at else url


def _tenant(value: str) -> str:
    try:
        return token(value, "tenant")
    except InvalidIdentifier as error:
        raise ValueError(f"{error.message}; {error.hint}") from error


def _url_of(*schemes: str) -> AfterValidator:
    def check(url: SecretUrl) -> SecretUrl:
        for one in url.get_secret_value().split(","):
            _check_one(one.strip(), schemes)
        return url

    return AfterValidator(check)


def _check_one(url: str, schemes: tuple[str, ...]) -> None:
    wanted = " or ".join(f"{scheme}://host:port" for scheme in schemes)
    try:
        parts = urlsplit(url)
        complete = parts.scheme in schemes and bool(parts.hostname or parts.path) and (parts.port or 1) > 0
    except ValueError as error:
        # urllib repeats the piece it cannot read, which may be half a password: keep it out of our message.
        raise ValueError(f"is no URL: write {wanted}, special characters in a password as %XX") from error
    if not complete:
        raise ValueError(f"is not a URL of this server: write {wanted}")


def _readable(parse: Callable[[str], object]) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            parse(text)
        except InvalidInput as error:
            raise ValueError(f"{error.message}; {error.hint}") from error
        return text

    return check


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _absolute(value: Path) -> Path:
    return value.expanduser().absolute()


def _duration(value: object) -> object:
    """Seconds of ``30d``, ``12h``, ``90m``, ``45s`` or a number."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd]?)", value.strip())
    if found is None:
        raise ValueError("is no duration: write 30d, 12h, 90m, or seconds")
    return float(found[1]) * {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86_400}[found[2]]


def _bytes(value: object) -> object:
    """Bytes of ``50GiB``, ``500MB`` or a number."""
    if not isinstance(value, str):
        return value
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(i?)B?", value.strip())
    if found is None:
        raise ValueError("is no size: write 50GiB, 500MB, or bytes")
    return int(float(found[1]) * (1024 if found[3] else 1000) ** " KMGT".index(found[2] or " "))


LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]
Port = Annotated[int, Field(ge=1, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Duration = Annotated[float, BeforeValidator(_duration), Field(ge=3600)]
"""In seconds; an hour at least: the stream is what everybody works from."""
Bytes = Annotated[int, BeforeValidator(_bytes)]


class Settings(BaseSettings):
    """What differs between a laptop and a cluster. Explicit arguments win over the environment.

    A server whose URL is not set is the embedded one of :mod:`stigmergy.local`. Raises :class:`InvalidInput`, naming
    each variable at fault and what would mend it, never its value.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="forbid", validate_default=True, hide_input_in_errors=True
    )

    nats_url: Annotated[SecretUrl, _url_of("nats", "tls", "ws", "wss")] | None = None
    """One or several (comma-separated) NATS servers; the token may be in the URL or in ``nats_token``."""
    nats_token: SecretStr | None = None
    """For the servers of ``nats_url``; the embedded one makes its own."""
    nats_replicas: Annotated[int, Field(ge=1, le=5)] = 1
    """On how many servers of a cluster the streams are kept."""
    nats_port: Port | None = None
    """The port of the embedded NATS; a free one if unset, the same again at the next start."""
    redis_url: Annotated[SecretUrl, _url_of("redis", "rediss", "unix")] | None = None
    redis_port: Port | None = None
    """The port of the embedded Valkey; a free one if unset, the same again at the next start."""
    world_url: Annotated[SecretUrl, _url_of("redis", "rediss", "unix", "redis+cluster")] | None = None
    """The Redis of the world model, a cluster too (``redis+cluster://``, any of its nodes); that of ``redis_url`` if
    unset."""
    world_keep_s: Annotated[float, Field(gt=0)] = 7 * 86_400.0
    """Seconds for which the world model keeps a mission that has ended."""
    state_dir: Annotated[Path, AfterValidator(_absolute)] = Path(".stigmergy")
    """Where the embedded servers keep data, logs and secrets; relative to the working directory at construction."""
    archive_url: SecretUrl | None = None
    """Where `stig serve archive` keeps events for years: a folder, or a URI such as ``s3://bucket/folder``; the folder
    ``archive`` of the state directory if unset."""
    archive_every_s: Seconds = 60.0
    """Seconds after which what came is archived at the latest; sooner if it is much."""
    archive_compact_at: time | Literal["never"] = time(3, 15)
    """When `stig serve archive` merges small files, UTC, ``03:15``; ``never`` for never."""
    events_max_age: Duration | None = None
    """How long the stream keeps what is archived and not needed: ``30d``, ``12h``, seconds. Unset: for ever."""
    events_max_bytes: Annotated[Bytes, Field(ge=1024 * 1024)] | None = None
    """How large the stream may grow before what is archived and not needed goes: ``50GiB``, ``500MB``, bytes."""
    blobs_max_age: Annotated[Duration, Field(ge=86_400.0)] | None = None
    """How long the server keeps blobs that are archived and named by nothing on the stream, ``30d``; a day at least.
    Unset: for ever."""
    clickhouse_url: Annotated[SecretUrl, _url_of("clickhouse", "clickhouses", "http", "https")] | None = None
    """Where `stig serve analytics` writes: ``clickhouse://user:password@host:8123/database``; chDB in the folder
    ``analytics`` of the state directory if unset."""
    clickhouse_cluster: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,62}$")] | None = None
    """The cluster, as the server's configuration calls it, whose nodes hold replicated and sharded tables."""
    analytics_days: Annotated[int, Field(ge=1, le=1800)] = 400
    """After how many days events leave the analytics; what is kept by the minute stays five years."""
    tenant: Annotated[str, AfterValidator(_tenant)] = "default"
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = "INFO"
    worker_lease_s: Seconds = 2.5
    """Seconds without a heartbeat after which an attempt is given to another worker."""
    heartbeat_s: Seconds = 0.5
    """Seconds between two heartbeats of a worker."""
    skill_grace_s: Seconds = 20.0
    """Seconds that a task waits for a worker with its skill before it fails."""
    rates: Annotated[str, AfterValidator(_readable(parse_rates))] = ""
    """How many attempts of a skill may begin in a time, for instance ``code=2/s,test=30/m``."""
    tenant_weights: Annotated[str, AfterValidator(_readable(parse_weights))] = ""
    """Shares of the fleet where tenants compete, for instance ``acme=3,beta=1``; 1 for those not named."""
    partitions: Annotated[int, Field(ge=1, le=1024)] = PARTITIONS
    """How many partitions missions are shared out in among the replicas of a role: the same for all of them."""
    priority_step: Annotated[float, Field(ge=1, le=10)] = 2.0
    """How many times the turns of the priority below each priority (0 to 9) has; 1: priorities mean nothing."""
    planner: Annotated[str, Field(pattern=r"^(\w+(\.\w+)*:\w+|[\w.-]+)?$")] = ""
    """``module:name`` of a planner of your own, or the name under which a package offers one (entry point group
    ``stigmergy.planners``): an object, or what makes one when it is called with the planner that comes with us. That
    one if unset."""
    planner_timeout_s: Seconds = 120.0
    """How long it may think about a task that is stuck."""
    busy_above: Annotated[int, Field(ge=1)] = 50_000
    """With more open tasks of a tenant than this, whoever submits a mission is told that the system is busy."""
    refuse_above: Annotated[int, Field(ge=1)] | None = None
    """With more open tasks than this, submissions are refused; never if unset."""
    scale: Annotated[str, AfterValidator(_readable(parse_bounds))] = ""
    """What `stig serve scaler` scales: workers by skill, for instance ``test:0..4,code:1..2``."""
    scale_tasks: Annotated[float, Field(gt=0, le=1000)] = 4.0
    """How many waiting and running attempts the scaler wants for each worker."""
    scale_cool_s: Seconds = 30.0
    """Seconds for which less must have been enough before the scaler takes workers away."""
    backlog_listen: str = "127.0.0.1:8099"
    """Where `stig serve backlog` answers HTTP, for autoscalers."""
    stop_grace_s: Seconds = 10.0
    """Seconds that a process gets between SIGTERM and SIGKILL."""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise _explained(error) from None  # the original may quote a secret

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.heartbeat_s * 2 > self.worker_lease_s:
            raise ValueError(
                f"{PREFIX}HEARTBEAT_S must be at most half of {PREFIX}WORKER_LEASE_S: one late beat may not end it"
            )
        return self

    def revealed(self) -> dict[str, Any]:
        """The fields with their secrets in clear and plain JSON types, for a child process's standard input only."""
        shown = self.model_dump(mode="json", exclude_none=True)
        for name, value in self:
            if isinstance(value, Secret):
                shown[name] = value.get_secret_value()
        return shown

    def environment(self) -> dict[str, str]:
        """The variables that give another process the same settings, secrets in clear."""
        return {f"{PREFIX}{name.upper()}": str(value) for name, value in self.revealed().items()}


def _explained(error: ValidationError) -> InvalidInput:
    faults = [(".".join(str(part) for part in fault["loc"][:1]), fault["msg"]) for fault in error.errors()]
    named = [f"{PREFIX}{name.upper()}: {_plain(text)}" if name else _plain(text) for name, text in faults]
    variables = ", ".join(f"{PREFIX}{name.upper()}" for name, _ in faults if name)
    mend = f"correct or unset {variables}" if variables else "correct the variables named"
    return InvalidInput("the settings are not valid: " + "; ".join(named), hint=mend)


def _plain(text: str) -> str:
    return text.removeprefix("Value error, ")
