"""Settings: read once from the environment, passed down, never changed."""

import re
from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator
from pydantic_core import PydanticCustomError
from pydantic_settings import BaseSettings, SettingsConfigDict

from app.encryption import Cipher, split_keys

LogFormat = Literal["text", "json"]
ForwardedHeader = Literal["x-forwarded-for", "forwarded"]
LoggedRequests = Literal["none", "writes", "all"]

PROJECT = Path(__file__).resolve().parents[1]
"""The repository, unless the package is installed elsewhere."""


def data_folder(name: str) -> Path:
    """Return where ``migrations`` or ``seeds`` are: in an installed package within it."""
    packed = Path(__file__).resolve().parent / "_data" / name
    return packed if packed.exists() else PROJECT / name


HOST = re.compile(rb"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?")
"""A name, an IPv4 address or an IPv6 literal, perhaps with a port."""


MAIL_ADDRESS = re.compile(
    r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.)+"
    r"[A-Za-z](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
)
"""An address that mail servers take without extensions, much as `<input type="email">` has it."""


def _listed(names: str | None) -> tuple[str, ...]:
    """Return what a setting lists, separated by commas."""
    return tuple(name.strip() for name in (names or "").split(",") if name.strip())


class Settings(BaseSettings):
    """Everything an operator may set. Nothing else in the service reads the environment."""

    model_config = SettingsConfigDict(
        frozen=True,
        env_prefix="CROSSINGS_",
        populate_by_name=True,
        extra="ignore",
        # Passwords and keys are among the settings.
        hide_input_in_errors=True,
    )

    database_url: str | None = Field(
        None,
        validation_alias="DATABASE_URL",
        description="URL of a PostgreSQL 18 for the service's own role. Unset: the embedded"
        " server.",
    )
    database_owner_url: str | None = Field(
        None,
        validation_alias="DATABASE_OWNER_URL",
        description="URL of the same database for the role that migrates. Unset: `DATABASE_URL`.",
    )
    database_read_url: str | None = Field(
        None,
        validation_alias="DATABASE_READ_URL",
        description="URL of a standby for questions about history. Unset: `DATABASE_URL`.",
    )
    data_dir: Path = Field(
        Path("data"), description="Where the embedded server keeps its data and `admin.key`."
    )
    wal_archive: Path | None = Field(
        None,
        description="Directory to which the embedded server copies its write-ahead log, for"
        " recovery up to an instant. Set it for every command that uses the data directory.",
    )
    checkpoint_key: Path | None = Field(
        None,
        description="PEM file of the Ed25519 key that signs `/v1/changes/checkpoint`. Unset:"
        " `checkpoint.key` in the embedded server's data directory, made at the first start.",
    )
    secret_key: SecretStr | None = Field(
        None,
        description="Fernet keys, separated by commas, under which secrets are stored: the first"
        " encrypts, all decrypt. `crossings secrets new-key` prints one. Unset: `secret.key` in the"
        " embedded server's data directory, made at the first start.",
    )
    vapid_key: Path | None = Field(
        None,
        description="PEM file of the P-256 key by which push services know this service. Browsers"
        " subscribe for it: with another one they have to do so again. Unset: `vapid.key` in the"
        " embedded server's data directory, made at the first start.",
    )
    smtp_url: SecretStr | None = Field(
        None,
        description="Mail server for alerts by e-mail: `smtp://user:password@host:port`, or"
        " `smtps://`. Unset, or without `CROSSINGS_MAIL_FROM` and `CROSSINGS_PUBLIC_URL`: there are"
        " none.",
    )
    mail_from: str | None = Field(
        None,
        description="Address that alerts by e-mail come from.",
        examples=["alerts@example.com"],
    )
    alerts_limit: int = Field(
        20_000, ge=0, description="Alerts that the service keeps, of all recipients. 0: no limit."
    )
    rate_limit_alerts: int = Field(
        20,
        ge=0,
        description="Alerts an hour that one client may ask for; others are answered 429. 0: no"
        " limit.",
    )
    seeds: str | None = Field(
        None,
        description="Names of the sets of seeds to load, separated by commas: the folders of"
        " `seeds/`. Unset: all of them.",
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on.")
    trusted_proxies: str = Field(
        "127.0.0.1",
        description="Addresses or networks of proxies that are trusted to say which client sent a"
        " request, and by which scheme. `*` believes everybody, also what clients forge.",
    )
    forwarded_header: ForwardedHeader = Field(
        "x-forwarded-for",
        description="How those proxies say it: `x-forwarded-for` (with `X-Forwarded-Proto`), or"
        " `forwarded` (RFC 7239). Only what is named is read, since clients can send the other.",
    )
    public_url: str | None = Field(
        None,
        pattern=r"^(https?://[^/?#@\s]+(/[!-~]*)?)?$",
        description="URL under which clients reach the service, with the path that a proxy adds if"
        " it adds one. Every link begins with it. Unset: links begin with the request's `Host`.",
    )
    allowed_hosts: str | None = Field(
        None,
        description="Values of `Host` that are served, separated by commas, each with its port"
        " where clients send one. Others are refused with 400. Unset: any.",
    )
    max_connections: int = Field(
        10_000,
        ge=1,
        description="Connections that each process serves at once; fewer where the limit of open"
        " files is lower. Beyond, idle connections are closed, or new ones answered 503.",
    )
    max_connections_per_client: int = Field(
        500,
        ge=1,
        description="Connections that each process serves for one client: an IPv4 address, or an"
        " IPv6 network of 64 bits. Others are answered 429. Proxies that are trusted may have any"
        " number.",
    )
    header_seconds: float = Field(
        10.0,
        gt=0,
        description="Seconds that the headers of a request may take to arrive, and a new"
        " connection may send nothing.",
    )
    body_seconds: float = Field(
        30.0, gt=0, description="Seconds that the body of a request may take to arrive."
    )
    idle_seconds: int = Field(
        5, ge=1, description="Seconds that a connection stays open for the next request."
    )
    hsts_seconds: int = Field(
        0,
        ge=0,
        description="`max-age` of `Strict-Transport-Security` in answers over https, in seconds."
        " 0: the header is not sent.",
    )
    security_contact: str | None = Field(
        None,
        pattern=r"^((https|mailto|tel):[!-~]+)?$",
        description="URL, `https:`, `mailto:` or `tel:`, at which to report a vulnerability. It is"
        " in `/.well-known/security.txt`, which does not exist without it.",
    )
    rate_limit_board: int = Field(
        1_000,
        ge=0,
        description="Requests a second that each process answers one client from memory: an IPv4"
        " address, or an IPv6 network of 64 bits. Others are answered 429. 0: no limit.",
    )
    rate_limit_database: int = Field(
        20,
        ge=0,
        description="Requests a second with which one client, or one API key, may ask the database."
        " 0: no limit.",
    )
    rate_limit_burst: int = Field(
        200, ge=1, description="How many of these it may send at once, after a rest."
    )
    rate_limit_wrong_keys: int = Field(
        30,
        ge=0,
        description="Wrong API keys a minute that one client may send before its requests with keys"
        " are answered 429. 0: no limit.",
    )
    rate_limit_store: str | None = Field(
        None,
        pattern=r"^(memory|postgresql|rediss?://\S+|redis\+(sentinel|cluster)://\S+)?$",
        description="Where requests that ask the database, and wrong keys, are counted: `memory` of"
        " each process, `postgresql`, or a URL of Redis. Unset: `memory` with one worker,"
        " `postgresql` with several.",
    )
    workers: int = Field(1, ge=1, description="Number of worker processes.")
    pool_size: int = Field(
        20,
        ge=3,
        description="Database connections for each process, besides those of its board. A fifth is"
        " for history, and three tenths, up to six, are for writers.",
    )
    write_queue: int = Field(
        500, ge=1, description="Number of writes that may wait in each process."
    )
    write_deadline: float = Field(
        10.0,
        gt=0,
        description="Seconds that a write may wait. A write that would wait longer is"
        " refused with 503.",
    )
    request_deadline: float = Field(
        6.0,
        gt=0,
        description="Seconds that a request waits for the database before it is answered 503.",
    )
    max_body_bytes: int = Field(
        1_000_000,
        ge=1_000,
        description="Maximum size of a request body, in bytes, for batches; other operations take"
        " 65,536 or 262,144 at most. A larger one is refused with 413.",
    )
    board_max_age: int = Field(
        900,
        ge=1,
        description="Seconds without database contact after which open and restricted crossings"
        " are reported as unknown.",
    )
    wait_max_age: int = Field(
        10_800,
        ge=60,
        le=86_400,
        description="Seconds for which an observation is told as a present wait. It holds for what"
        " is recorded from then on.",
    )
    observations_keep_days: int = Field(
        400,
        ge=7,
        le=3_660,
        description="Days for which observations are kept. Older ones are refused, and those that"
        " have grown older are deleted by the delivery worker, a week at a time.",
    )
    tile_url: str | None = Field(
        None,
        pattern=r"^https?://[^/?#;,\s{}]+/[^;,\s]*$",
        description="URL of map tiles, with `{z}`, `{x}` and `{y}`. Unset: roads and towns.",
    )
    tile_attribution: str | None = Field(
        None, description="Attribution that the map shows for these tiles."
    )
    drain_seconds: int = Field(
        5, ge=1, description="Seconds that a stopping server waits for requests in flight."
    )
    otlp_endpoint: str | None = Field(
        None,
        validation_alias="OTEL_EXPORTER_OTLP_ENDPOINT",
        description="Where traces are sent by OTLP over HTTP, if `crossing-status[otel]` is"
        " installed. This and the other variables of OpenTelemetry are its own. Unset: nowhere.",
    )
    traces_exporter: str | None = Field(
        None,
        validation_alias="OTEL_TRACES_EXPORTER",
        description="`otlp` sends traces also without an endpoint here, to the one that"
        " OpenTelemetry takes by itself; anything else sends none.",
    )
    log_format: LogFormat = Field(
        "text", description="Format of log lines: `text`, or `json`, one object a line."
    )
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        "INFO", description="Least level of what is logged."
    )
    log_requests: LoggedRequests = Field(
        "writes",
        description="Requests that are logged: `writes` are those that may write, and any that"
        " failed with a 5xx.",
    )
    figures_dir: Path | None = Field(
        None,
        validation_alias="PROMETHEUS_MULTIPROC_DIR",
        description="Directory where processes share their figures for `/metrics`. `crossings"
        " serve` makes one.",
    )
    audit_keep_days: int = Field(
        365,
        ge=30,
        description="Days after which a write attempt is deleted from the audit trail.",
    )
    metrics_allow: str | None = Field(
        "127.0.0.0/8,::1/128,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,fc00::/7",
        description="Networks, separated by commas, of clients that may read `/metrics`.",
    )
    delivery_worker: bool = Field(
        True,
        description="Whether `serve` runs a delivery worker. One has to run somewhere: without it"
        " no webhook is sent, and what comes due is recorded only with the next write.",
    )
    importers: str | None = Field(
        None,
        description="Feeds of waits that the delivery worker imports, separated by commas:"
        " `us-cbp`, or `us-cbp=URL` to fetch it elsewhere. Unset: none.",
    )
    subscriptions_per_key: int = Field(
        100, ge=0, description="Webhook subscriptions that one API key may have. 0: no limit."
    )
    pings_per_minute: int = Field(
        10,
        ge=0,
        description="Test messages a minute that one subscription may be sent. 0: no limit.",
    )
    deliveries_per_second: int = Field(
        20,
        ge=0,
        description="Messages a second that all delivery workers together send to one host; others"
        " wait. 0: no limit.",
    )
    webhook_allow: str | None = Field(
        None,
        description="Networks, separated by commas, to which webhooks may be sent although they"
        " are private, also by `http`, without the handshake and at any pace. For tests and"
        " development.",
    )

    @field_validator("database_url", "database_owner_url", "database_read_url")
    @classmethod
    def _name_the_driver(cls, url: str | None) -> str | None:
        if not url:
            return None
        scheme, _, rest = url.partition("://")
        if scheme in {"postgres", "postgresql"}:
            return f"postgresql+psycopg://{rest}"
        return url

    @field_validator("wal_archive", "checkpoint_key", "vapid_key", mode="before")
    @classmethod
    def _be_unset_if_empty(cls, path: object) -> object:
        return path or None

    @field_validator("secret_key")
    @classmethod
    def _be_fernet_keys(cls, keys: SecretStr | None) -> SecretStr | None:
        if keys is None or not split_keys(keys.get_secret_value()):
            return None
        try:
            Cipher(split_keys(keys.get_secret_value()))
        except ValueError as error:
            raise PydanticCustomError(
                "secret_key",
                "must be Fernet keys, separated by commas; `crossings secrets new-key` prints one",
            ) from error
        return keys

    @field_validator("smtp_url")
    @classmethod
    def _be_mail_server(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None or not url.get_secret_value():
            return None
        parts = urlsplit(url.get_secret_value())
        if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or parts.path.strip("/"):
            raise PydanticCustomError(
                "smtp_url", "must be smtp://user:password@host:port, or smtps://"
            )
        return url

    @field_validator("mail_from")
    @classmethod
    def _be_mail_address(cls, address: str | None) -> str | None:
        if not address:
            return None
        if not MAIL_ADDRESS.fullmatch(address):
            raise ValueError("must be an e-mail address like alerts@example.com")
        return address

    @field_validator("webhook_allow", "metrics_allow")
    @classmethod
    def _be_networks(cls, networks: str | None) -> str | None:
        _networks(networks)
        return networks or None

    @field_validator("public_url")
    @classmethod
    def _end_without_slash(cls, url: str | None) -> str | None:
        if not url:
            return None
        parts = urlsplit(url)
        if not HOST.fullmatch(parts.netloc.encode()) or parts.query or parts.fragment:
            raise ValueError("must be a URL with a host, and optionally a port and a path")
        return url.rstrip("/")

    @field_validator("security_contact")
    @classmethod
    def _be_something(cls, contact: str | None) -> str | None:
        return contact or None

    @field_validator("allowed_hosts")
    @classmethod
    def _be_hosts(cls, hosts: str | None) -> str | None:
        for host in _listed(hosts):
            if not HOST.fullmatch(host.encode()):
                raise ValueError(f"{host!r} is not a host name or an address")
        return hosts or None

    @property
    def hosts(self) -> Sequence[str]:
        """The values of ``Host`` that are served; none are all."""
        return _listed(self.allowed_hosts)

    @property
    def cipher(self) -> Cipher | None:
        """What encrypts secrets, if keys are set."""
        return Cipher(split_keys(self.secret_key.get_secret_value())) if self.secret_key else None

    @property
    def sends_mail(self) -> bool:
        """Whether alerts are sent by e-mail: all that takes is set."""
        return None not in (self.smtp_url, self.mail_from, self.public_url, self.secret_key)

    @property
    def seed_sets(self) -> tuple[str, ...] | None:
        """The sets of seeds to load; None for all."""
        return _listed(self.seeds) or None

    @property
    def enabled_importers(self) -> tuple[str, ...]:
        """The feeds to import, as they are set."""
        return _listed(self.importers)

    @property
    def webhook_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Where webhooks may go although it is no public network."""
        return _networks(self.webhook_allow)

    @property
    def metrics_networks(self) -> tuple[IPv4Network | IPv6Network, ...]:
        """Where clients that may read the metrics are."""
        return _networks(self.metrics_allow)

    @property
    def rate_limits_in(self) -> str:
        """Where rate limits are counted: `memory`, `postgresql`, or a URL of Redis."""
        return self.rate_limit_store or ("memory" if self.workers == 1 else "postgresql")

    @property
    def sends_traces(self) -> bool:
        """Whether traces are wanted."""
        if self.traces_exporter is None:
            return self.otlp_endpoint is not None
        return self.traces_exporter == "otlp"

    @property
    def owner_url(self) -> str | None:
        """The database as the role that migrates it."""
        return self.database_owner_url or self.database_url


def _networks(listed: str | None) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(map(ip_network, _listed(listed)))
