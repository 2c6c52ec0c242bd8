"""Every setting, read from the environment here and nowhere else, checked once at start.

The README's table is compared with this class in a test; each field's description is its meaning.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import shlex
import sys
from contextlib import suppress
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import unquote, urlsplit

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app import refusals, transport
from app.notify.addresses import check_email
from app.providers.keys import complaint
from app.secrets import keys
from app.workers.scaling import Bounds, Pace, bounds_of

WRONG_SETTINGS = 3  # exit code
if TYPE_CHECKING:
    from app.observe.tracing import Destination

ROOT = Path(__file__).resolve().parent.parent

POOLS = ("marketing", "testing", "engineering", "general")
PROVIDER_KEYS = ("hf_token", "gemini_api_key", "anthropic_api_key", "openai_api_key")
PROVIDERS = ("ollama", "huggingface", "gemini", "anthropic", "openai")
STRAPI_NAMES = (
    "title", "content", "slug", "excerpt", "tags", "category", "image", "image_url", "image_alt", "image_credit",
    "seo_title", "seo_description",
)  # fmt: skip


class Settings(BaseSettings):
    """One frozen object with everything that can be configured."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    # -- where things are
    database_url: str = Field("", description="Postgres. Empty: `make run` starts an embedded one.")
    database_read_url: str = Field(
        "",
        description="A standby of that Postgres for figures and searches ([docs](docs/many-hosts.md#a-standby-for-reading)). "
        "Empty: everything is read where it is written.",
    )
    database_read_lag: float = Field(
        30,
        ge=1,
        le=3600,
        description="Seconds that the standby may be behind; beyond, DATABASE_URL answers instead.",
    )
    db_sslmode: Literal["", "disable", "allow", "prefer", "require", "verify-ca", "verify-full"] = Field(
        "",
        description="TLS to Postgres: `require`, `verify-full` and so on. Empty: as DATABASE_URL says ([docs](docs/hardening.md#tls)).",
    )
    db_sslrootcert: str = Field(
        "", description="File of the authority that signed Postgres' certificate, or `system`."
    )
    redis_url: str = Field("", description="Redis (`redis://`, `rediss://`, `unix://`). Empty: embedded.")
    redis_ssl_ca: str = Field(
        "", description="File of the authority that signed Redis' certificate. Empty: those of the system."
    )
    redis_ssl_verify: bool = Field(
        True,
        description="`false`: take any certificate of Redis, for providers that sign their own, such as Heroku.",
    )
    port: int = Field(8000, ge=1, le=65535, description="Port of the web process.")
    host: str = Field(
        "127.0.0.1",
        validation_alias="CALLBOARD_HOST",
        description="Address the web process binds; platforms need `0.0.0.0`.",
    )
    home: Path = Field(
        Path(".callboard"),
        validation_alias="CALLBOARD_HOME",
        description="Folder of embedded data, artifacts, logs and pid files.",
    )
    artifacts_url: str = Field(
        "",
        description="Where artifacts are kept: an fsspec URL, or `postgres:` where processes share no disk. "
        "Empty: `CALLBOARD_HOME/artifacts`.",
    )
    base_url: str = Field(
        "", description="Public address, for links and examples. Empty: `http://127.0.0.1:PORT`."
    )

    # -- who may come in
    secret_key: str = Field(
        "",
        repr=False,
        description="Signs cookies; at least 32 characters. Empty: made once and kept in `CALLBOARD_HOME/secret_key`.",
    )
    secret_key_previous: str = Field(
        "",
        repr=False,
        description="The SECRET_KEY before the present one: what it signed is still accepted ([docs](docs/accounts.md#keys)).",
    )
    jwt_secret: str = Field(
        "", repr=False, description="Signs access tokens. Empty: derived from SECRET_KEY."
    )
    jwt_secret_previous: str = Field(
        "", repr=False, description="The JWT_SECRET before the present one: its tokens are still accepted."
    )
    encryption_keys: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        repr=False,
        description="Seal secrets in the database: base64 of 32 bytes each, the newest first, comma separated "
        "([docs](docs/secrets.md)). Empty: derived from SECRET_KEY.",
    )
    admin_email: str = Field(
        "admin@callboard.local",
        validation_alias=AliasChoices("CALLBOARD_ADMIN_EMAIL", "ADMIN_EMAIL"),
        description="E-mail of the first admin.",
    )
    admin_password: str = Field(
        "",
        validation_alias=AliasChoices("CALLBOARD_ADMIN_PASSWORD", "ADMIN_PASSWORD"),
        description="Password of the first admin. Empty: made and printed once.",
    )
    admin_api_key: str = Field(
        "",
        validation_alias="CALLBOARD_ADMIN_API_KEY",
        description="API key of the first admin. Empty: made and printed once.",
    )
    metrics_token: str = Field(
        "",
        repr=False,
        description="Bearer token of Prometheus for `/metrics` alone, at least 16 characters. Empty: an API key of "
        "scope `read` is needed.",
    )
    webhook_secret: str = Field(
        "",
        repr=False,
        description="Signs what comes to the hooks `github` and `session`, which then act as the first admin; at least 16 "
        "characters ([docs](docs/webhooks-in.md#one-secret-for-all)). Empty: only API keys and hooks of their own are accepted.",
    )
    webhook_ip_allowlist: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Networks that may call `/hooks/…` and `/api/v1/webhooks/…`, comma separated: "
        "`192.0.2.0/24,2001:db8::/32`. Empty: everybody.",
    )
    trusted_proxies: int = Field(
        0,
        ge=0,
        le=5,
        description="How many proxies in front are trusted for X-Forwarded-*; Heroku and Railway: 1.",
    )
    force_https: bool = Field(
        False,
        description="Lead plain http to https and take nothing by it, but for health; needs TRUSTED_PROXIES.",
    )
    access_token_minutes: int = Field(60, ge=1, description="Life of an access token.")
    refresh_token_days: int = Field(7, ge=1, description="Life of a refresh token.")
    rate_limit_per_minute: int = Field(100, ge=0, description="API writes a minute per key; 0 = unlimited.")
    rate_limit_per_hour: int = Field(1000, ge=0, description="API writes an hour per key; 0 = unlimited.")
    rate_limit_burst_per_second: int = Field(
        20, ge=0, description="API writes a second per key; 0 = unlimited."
    )
    poll_limit_per_minute: int = Field(6000, ge=0, description="Polls (GET) a minute per key; 0 = unlimited.")

    # -- signing in with an identity provider
    oidc_issuer: str = Field(
        "",
        description="OpenID Connect provider people may sign in with, like `https://accounts.google.com` "
        "([docs](docs/sign-in-with-oidc.md)). Empty: password only.",
    )
    oidc_client_id: str = Field("", description="Callboard's client id there.")
    oidc_client_secret: str = Field("", repr=False, description="Its client secret there.")
    oidc_name: str = Field(
        "single sign-on", min_length=1, max_length=40, description="The button says `Sign in with` this."
    )
    oidc_scopes: str = Field("openid email profile", description="What the provider is asked for.")
    oidc_default_role: Literal["viewer", "user", "none"] = Field(
        "none",
        description="Role of whoever comes from there for the first time: `viewer`, `user`, or `none`: "
        "only people an admin has made come in.",
    )
    oidc_allowed_domains: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Domains whose verified e-mail addresses come in, comma separated. Empty: all."
    )
    oidc_role_claim: str = Field(
        "",
        description="Claim with a person's groups, like `groups` or `realm_access.roles`: it sets the role at "
        "each sign-in. Empty: roles are set here.",
    )
    oidc_admin_groups: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Groups whose people are admins, comma separated."
    )
    oidc_user_groups: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Groups whose people are users, comma separated."
    )

    # -- processes
    web_processes: int = Field(
        2,
        ge=1,
        validation_alias="WEB_CONCURRENCY",
        description="gunicorn worker processes.",
    )
    web_threads: int = Field(8, ge=1, description="Threads in each web process.")
    workers: str = Field(
        "",
        description="How many worker processes `make run` keeps: `4`, or `1..8` for as many as the backlog asks for; also "
        "the least and the most that [scaling](docs/scaling.md) counts with. Empty: WORKER_PROCESSES, and 5 to 50 elsewhere.",
    )
    scale_command: str = Field(
        "",
        repr=False,
        description="Command that the scheduler runs, without a shell, when another number of workers is wanted; `{wanted}` in "
        "it becomes the number ([docs](docs/scaling.md#a-command)).",
    )
    scale_environment: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Variables that SCALE_COMMAND gets besides PATH, HOME, LANG and TZ, comma separated, like `HEROKU_API_KEY`.",
    )
    scale_url: str = Field(
        "",
        repr=False,
        description="Address that the number is sent to instead, signed ([docs](docs/scaling.md#a-url)).",
    )
    scale_secret: str = Field(
        "",
        repr=False,
        description="Signs what is sent to SCALE_URL by the Standard Webhooks: `whsec_` and base64.",
    )
    scale_timeout_seconds: float = Field(
        20, ge=1, le=120, description="How long SCALE_COMMAND or SCALE_URL may take."
    )
    scale_cooldown_seconds: float = Field(
        60, ge=1, le=3600, description="So long the wanted number of workers stays as it is once it changed."
    )
    scale_down_seconds: float = Field(
        900,
        ge=0,
        le=900,
        description="It becomes less after so long with few busy workers and nothing waiting.",
    )
    worker_processes: int = Field(1, ge=1, description="Dramatiq worker processes.")
    worker_threads: int = Field(8, ge=1, description="Jobs that run at once in each worker process.")
    pools: Annotated[tuple[str, ...], NoDecode] = Field(
        POOLS, validation_alias="CALLBOARD_POOLS", description="Pools this worker serves, comma separated."
    )
    shutdown_grace_seconds: float = Field(
        15,
        ge=0,
        le=25,
        description="How long a running job may go on after SIGTERM before it is handed back.",
    )

    # -- the database
    db_pool_size: int = Field(20, ge=1, description="Connections kept open per process.")
    db_max_overflow: int = Field(30, ge=0, description="Connections opened besides under load.")
    db_pool_recycle: int = Field(3600, ge=1, description="Seconds after which a connection is replaced.")
    db_statement_timeout_ms: int = Field(
        15000, ge=100, description="A statement that takes longer is cancelled."
    )

    # -- jobs
    heartbeat_seconds: float = Field(10, gt=0, description="How often a worker extends its leases.")
    lease_seconds: float = Field(
        60,
        gt=0,
        validation_alias=AliasChoices("LEASE_SECONDS", "HEARTBEAT_TTL_SECONDS"),
        description="A lease that is not extended for so long is lost.",
    )
    sweep_interval_seconds: float = Field(
        5, gt=0, description="How often lost bells are rung again and lost leases looked for."
    )
    look_seconds: float = Field(
        2, gt=0, description="How often a worker looks into Postgres by itself while Redis is away."
    )
    max_lost: int = Field(
        3, ge=1, description="A job that loses its worker so often ends in the dead letters."
    )
    lost_backoff_seconds: float = Field(
        5, ge=0, description="First wait after a lost worker; grows fourfold."
    )
    job_time_limit_seconds: int = Field(
        3600, ge=1, description="Hard time limit of a job; agents and submissions may set less."
    )
    job_soft_limit_seconds: int = Field(3300, ge=1, description="After this a job is told to wrap up.")
    delegation_max_depth: int = Field(
        3, ge=0, le=10, description="How many levels of jobs may be delegated below one; 0: none at all."
    )
    delegation_max_children: int = Field(
        50, ge=1, le=1000, description="A job may delegate so many jobs itself."
    )
    cli_timeout_seconds: int = Field(300, ge=1, description="Time limit of a command agent that sets none.")
    max_body_bytes: int = Field(2_000_000, ge=1024, description="Larger request bodies are refused with 413.")
    max_artifact_bytes: int = Field(20_000_000, ge=1024, description="Larger artifacts are refused.")
    max_log_lines: int = Field(
        20_000,
        ge=100,
        description="Log lines kept per job; what comes after is dropped, with one line that says so.",
    )
    job_retention_days: int = Field(30, ge=1, description="Finished jobs are removed after so many days.")
    history_retention_days: int = Field(365, ge=1, description="History and audit rows are kept so long.")
    deleted_session_days: int = Field(
        30, ge=1, description="Deleted sessions can be restored for so long; others are kept for good."
    )
    webhook_retention_days: int = Field(
        30, ge=1, description="Webhooks that came in are kept so long, for replay and for the relay."
    )
    audit_export_url: str = Field(
        "",
        repr=False,
        description="Folder for a file of each day's audit: an fsspec URL such as `file:///…` or `s3://bucket/…` "
        "([docs](docs/audit.md)). Empty: none.",
    )

    # -- backups
    backups: Literal["auto", "on", "off"] = Field(
        "auto",
        description="A backup each day by the scheduler ([docs](docs/backups.md)). `auto`: where Postgres is embedded, or "
        "BACKUP_URL is set.",
    )
    backup_url: str = Field(
        "",
        repr=False,
        description="Where backups go: an fsspec URL such as `file:///…` or `s3://bucket/…`. Empty: `CALLBOARD_HOME/backups`.",
    )
    backup_at: str = Field("03:15", description="When the daily backup is made, in UTC.")
    backup_keep: Annotated[tuple[int, int, int], NoDecode] = Field(
        (7, 4, 12), description="How many daily, weekly and monthly backups are kept."
    )
    backup_key: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        repr=False,
        description="Encrypts backups: base64 of 32 bytes; several, the newest first, comma separated. Keep it elsewhere: "
        "nothing else opens them. Empty: they are not encrypted.",
    )
    backup_verify: bool = Field(
        True,
        description="Restore each backup into a Postgres of its own and compare, to prove that it works.",
    )
    backup_artifacts_mb: int = Field(
        1000, ge=0, description="Artifacts in a folder are backed up along unless they are larger together."
    )
    backup_before_upgrade: bool = Field(
        True, description="Back up the embedded Postgres before the schema is changed by a new version."
    )

    # -- agents
    workspace_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (ROOT / "examples",), description="Folders that agents may read, separated by `:`."
    )
    execute_roots: Annotated[tuple[Path, ...], NoDecode] = Field(
        (ROOT / "examples",),
        description="Folders whose code test agents may execute, separated by `:`; must lie in WORKSPACE_ROOTS.",
    )
    agent_folders: Annotated[tuple[Path, ...], NoDecode] = Field(
        (), description="Folders of agent definitions read at start, separated by `:`."
    )
    http_allow_private: bool | Literal["in-production"] = Field(
        False,
        description="Let HTTP agents and webhooks call private addresses. Only for development and tests; "
        "where CALLBOARD_ENV is `production`, it must say `in-production`.",
    )
    job_memory_mb: int = Field(2048, ge=64, description="Memory an agent's process tree may use.")

    # -- models
    llm_providers: Annotated[tuple[str, ...], NoDecode] = Field(
        PROVIDERS,
        description="In which order models are asked, comma separated; what has no key is passed over. "
        "Admins change it on the page Providers.",
    )
    ollama_base_url: str = Field(
        "http://localhost:11434/v1", description="Where Ollama is; `/v1` may be left out."
    )
    ollama_model: str = Field("mistral:latest", min_length=1, description="Ollama's model.")
    hf_token: str = Field("", repr=False, description="Key for Hugging Face; the workers need it.")
    hf_model: str = Field(
        "openai/gpt-oss-120b:groq",
        min_length=1,
        description="Hugging Face's model; behind the colon the host, without which no price is known.",
    )
    gemini_api_key: str = Field("", repr=False, description="Key for Gemini; the workers need it.")
    gemini_model: str = Field("gemini-2.5-flash", min_length=1, description="Gemini's model.")
    anthropic_api_key: str = Field("", repr=False, description="Key for Anthropic; the workers need it.")
    anthropic_model: str = Field("claude-sonnet-5-5", min_length=1, description="Anthropic's model.")
    openai_api_key: str = Field("", repr=False, description="Key for OpenAI; the workers need it.")
    openai_base_url: str = Field("https://api.openai.com/v1", description="Where OpenAI is.")
    openai_model: str = Field("gpt-6-sol", min_length=1, description="OpenAI's model.")
    embedding_model: str = Field(
        "",
        pattern=r"^([a-z0-9-]{1,50}/\S{1,200})?$",
        description="`provider/model` for [search by meaning](docs/sessions.md#by-meaning) in sessions, whose texts go "
        "to that provider. Empty: search by words alone.",
    )

    # -- content
    strapi_url: str = Field(
        "", description="Strapi, where the content pipeline publishes. Empty: dry runs, nothing is published."
    )
    strapi_api_token: str = Field(
        "",
        repr=False,
        description="Its API token: find, create, update and delete of the collection, and upload. The workers need it.",
    )
    strapi_collection: str = Field(
        "articles",
        pattern=r"^[a-z0-9][a-z0-9-]{0,99}$",
        description="Plural API id of the collection type.",
    )
    strapi_fields: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (
            *((name, name) for name in ("title", "content", "slug", "excerpt", "tags")),
            ("image", "featured_image"),
        ),
        description="What goes into which field: `ours=theirs` pairs separated by spaces ([docs](docs/content.md)).",
    )
    strapi_key_field: str = Field(
        "callboard_key",
        pattern=r"^[A-Za-z][A-Za-z0-9_]{0,99}$",
        description="Text field that tells a post published before; without it the end of the slug does.",
    )
    strapi_public_url: str = Field(
        "",
        description="Address of a published post, with `{slug}`, `{id}` or `{document_id}`. Empty: that of its API.",
    )
    pexels_api_key: str = Field(
        "", repr=False, description="Key for pictures from Pexels; the workers need it."
    )
    unsplash_access_key: str = Field(
        "",
        repr=False,
        description="Key for pictures from Unsplash, which is asked after Pexels; the workers need it.",
    )

    # -- news
    smtp_host: str = Field(
        "", description="Mail server, for notifications and gmail-agent. Empty: no mail is sent."
    )
    smtp_port: str = Field("", description="Empty: 587, with `tls` 465, with `none` 25.")
    smtp_user: str = Field("", description="Login at the mail server. Empty: none.")
    smtp_password: str = Field("", repr=False, description="Its password.")
    smtp_from: str = Field("", description="Sender of all mail. Empty: SMTP_USER, if that is an address.")
    smtp_security: str = Field("starttls", description="`starttls`, `tls` or `none`.")
    slack_webhook_url: str = Field(
        "",
        repr=False,
        description="Incoming webhook of Slack; the chat `slack`. Alerts go there without any rule.",
    )
    notify_channels: Annotated[tuple[tuple[str, str], ...], NoDecode] = Field(
        (),
        repr=False,
        description="Further chats for rules: `name=address` pairs of Apprise, separated by spaces "
        "([docs](docs/notifications.md)).",
    )
    alert_emails: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Who gets dead letters and other alerts by mail, comma separated."
    )
    alert_interval_seconds: float = Field(
        15, ge=1, le=60, description="How often everything that alerts watch is looked at."
    )
    notify_group_minutes: float = Field(
        15, ge=0, le=1440, description="News of one group is counted, not sent again, for so long."
    )

    # -- polling
    poll_queued_ms: int = Field(3000, ge=100, description="Poll hint for waiting jobs.")
    poll_running_ms: int = Field(2000, ge=100, description="Poll hint for running jobs.")
    poll_retry_ms: int = Field(
        5000, ge=100, description="Poll hint for jobs that wait for their next attempt."
    )
    poll_max_ms: int = Field(10000, ge=100, description="Longest poll hint while nothing changes.")
    poll_min_ms: int = Field(1000, ge=0, description="Shortest poll hint.")
    poll_shared_ms: int = Field(
        250,
        ge=0,
        le=1000,
        description="What an open page is told is unchanged was read within this; 0: each page reads for itself.",
    )
    poll_timeout_ms: int = Field(5000, ge=100, description="The page gives up on a poll after this.")
    poll_backoff_cap_ms: int = Field(15000, ge=100, description="Longest wait of the page after errors.")
    poll_breaker_failures: int = Field(5, ge=1, description="Failures in a row that open the page's breaker.")
    poll_breaker_open_ms: int = Field(15000, ge=100, description="How long the page's breaker stays open.")
    stats_refresh_ms: int = Field(5000, ge=100, description="Poll hint of the dashboard's figures.")

    # -- mode
    environment: Literal["production", "development", "test"] = Field(
        "production",
        validation_alias="CALLBOARD_ENV",
        description="`production` hides the environment of its processes from agents; the others leave it open to debuggers.",
    )
    flask_debug: bool = Field(False, description="Flask's own; refused in production.")
    log_level: str = Field("INFO", description="Least level that is logged.")
    log_format: Literal["json", "console"] = Field(
        "json", description="`console` is for reading at a terminal."
    )

    # -- traces; the rest of OpenTelemetry's standard variables its SDK reads itself
    otel_exporter_otlp_endpoint: str = Field(
        "",
        description="Where traces are sent: an OTLP/HTTP receiver like `http://localhost:4318`. Empty: nowhere.",
    )
    otel_exporter_otlp_headers: Annotated[dict[str, str], NoDecode] = Field(
        {},
        repr=False,
        description="Headers for it, `name=value` pairs separated by commas, values URL-encoded.",
    )
    otel_service_name: str = Field(
        "callboard", min_length=1, description="What Callboard is called in traces."
    )
    otel_traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = Field(
        "parentbased_always_on",
        description="Which requests are traced; `parentbased_traceidratio` for a share of them.",
    )
    otel_traces_sampler_arg: float = Field(1.0, ge=0, le=1, description="The share, for samplers of a ratio.")
    trace_url: str = Field(
        "",
        description="Page of one trace, with `{trace_id}`, like `https://jaeger.example.org/trace/{trace_id}`. "
        "Empty: jobs show the id without a link.",
    )

    @field_validator("database_url", "database_read_url")
    @classmethod
    def _driver_named(cls, url: str) -> str:
        """Platforms say `postgres://`; SQLAlchemy 2.1 takes `postgresql://` for psycopg 3."""
        for scheme in ("postgres://", "postgresql://", "postgresql+psycopg2://"):
            if url.startswith(scheme):
                return "postgresql+psycopg2://" + url.removeprefix(scheme)
        if url:
            msg = "Callboard needs Postgres: write an address like postgresql://user:password@host:5432/callboard"
            raise ValueError(msg)
        return url

    @field_validator("backup_at")
    @classmethod
    def _time_of_day(cls, text: str) -> str:
        if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
            msg = "write a time of day in UTC, like 03:15"
            raise ValueError(msg)
        return text

    @field_validator("backup_keep", mode="before")
    @classmethod
    def _how_many(cls, value: object) -> object:
        """`7,4,12` from the environment."""
        parts = value.split(",") if isinstance(value, str) else value
        try:
            numbers = tuple(int(part) for part in parts)  # type: ignore[attr-defined]
        except (TypeError, ValueError):
            numbers = ()
        if len(numbers) != 3 or min(numbers) < 0 or numbers[0] < 1:
            msg = "write how many days, weeks and months are kept, like 7,4,12; at least one day"
            raise ValueError(msg)
        return numbers

    @field_validator("encryption_keys", "backup_key", mode="before")
    @classmethod
    def _keys_sound(cls, value: object) -> object:
        """`new,old` from the environment; which one is wrong is said, and never what it was."""
        texts = tuple(v.strip() for v in value.split(",") if v.strip()) if isinstance(value, str) else value
        keys.read(texts)  # type: ignore[arg-type]
        return texts

    @field_validator("workers")
    @classmethod
    def _workers_counted(cls, text: str) -> str:
        """`4` or `1..8`."""
        if text:
            bounds_of(text)
        return text

    @field_validator("scale_command")
    @classmethod
    def _command_read(cls, text: str) -> str:
        """As a shell would split it; what it says is never repeated."""
        try:
            shlex.split(text)
        except ValueError as wrong:
            msg = f"it cannot be read as a command: {wrong}"
            raise ValueError(msg) from wrong
        return text

    @model_validator(mode="after")
    def _one_way_to_scale(self) -> Settings:
        if self.scale_command and self.scale_url:
            msg = "SCALE_COMMAND and SCALE_URL: set one of them"
            raise ValueError(msg)
        if self.scale_url and not self.scale_url.startswith(("http://", "https://")):
            msg = "SCALE_URL: write an address like https://scaler.example.org/callboard"
            raise ValueError(msg)
        if self.scale_url and not self.scale_secret:
            msg = "SCALE_URL needs SCALE_SECRET, which signs what is sent"
            raise ValueError(msg)
        if self.scale_secret and not re.fullmatch(r"whsec_[A-Za-z0-9+/]{32,88}={0,2}", self.scale_secret):
            msg = "SCALE_SECRET must be whsec_ and the base64 of 24 to 64 bytes"
            raise ValueError(msg)
        return self

    @field_validator("pools", mode="before")
    @classmethod
    def _pools_named(cls, value: object) -> object:
        """`a,b` from the environment; unknown names are refused."""
        names = tuple(v.strip() for v in value.split(",") if v.strip()) if isinstance(value, str) else value
        if unknown := [n for n in names if n not in POOLS]:  # type: ignore[attr-defined]
            msg = f"unknown pool {unknown[0]!r}; choose from {', '.join(POOLS)}"
            raise ValueError(msg)
        return names

    @field_validator("llm_providers", mode="before")
    @classmethod
    def _providers_named(cls, value: object) -> object:
        """`a,b` from the environment; unknown names are refused."""
        names = tuple(v.strip() for v in value.split(",") if v.strip()) if isinstance(value, str) else value
        if unknown := [n for n in names if n not in PROVIDERS]:  # type: ignore[attr-defined]
            msg = f"unknown provider {unknown[0]!r}; choose from {', '.join(PROVIDERS)}"
            raise ValueError(msg)
        return tuple(dict.fromkeys(names))  # type: ignore[call-overload]

    @field_validator("webhook_ip_allowlist", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        """`192.0.2.0/24,2001:db8::/32` from the environment; a single address is a network too."""
        if not isinstance(value, str):
            return value
        return tuple(str(ip_network(text.strip(), strict=False)) for text in value.split(",") if text.strip())

    @field_validator("notify_channels", mode="before")
    @classmethod
    def _channels_named(cls, value: object) -> object:
        """`team=discord://… ops=json://…` from the environment; the addresses are secrets and never repeated."""
        if not isinstance(value, str):
            return value
        pairs = tuple(pair.partition("=")[::2] for pair in value.split())
        for number, (name, address) in enumerate(pairs, start=1):
            if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,49}", name) or "://" not in address:
                msg = f"pair {number} is not like name=address; a name has letters, digits, - and _"
                raise ValueError(msg)
        if len({name for name, _ in pairs} | {"slack"}) <= len(pairs):
            msg = "two chats have the same name, or one is called slack"
            raise ValueError(msg)
        return pairs

    @field_validator("alert_emails", mode="before")
    @classmethod
    def _people_named(cls, value: object) -> object:
        """`a@example.com,b@example.com` from the environment."""
        people = tuple(v.strip() for v in value.split(",") if v.strip()) if isinstance(value, str) else value
        if wrong := [v for v in people if check_email(v)]:  # type: ignore[attr-defined]
            msg = f"{wrong[0]!r} {check_email(wrong[0])}"
            raise ValueError(msg)
        return tuple(dict.fromkeys(people))  # type: ignore[call-overload]

    @field_validator("oidc_issuer")
    @classmethod
    def _issuer_address(cls, url: str) -> str:
        """Sent to by browsers and asked by us: encrypted, but for one on this machine."""
        parts = urlsplit(url)
        here = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
        if url and not (here or (parts.scheme == "https" and parts.hostname)):
            msg = "write an address like https://accounts.google.com"
            raise ValueError(msg)
        if parts.hostname in {"github.com", "www.github.com"}:
            msg = "GitHub does not speak OpenID Connect; docs/sign-in-with-oidc.md says what to put between"
            raise ValueError(msg)
        return url

    @field_validator("oidc_scopes")
    @classmethod
    def _scopes_named(cls, value: str) -> str:
        if "openid" not in value.split():
            msg = "must contain openid"
            raise ValueError(msg)
        return " ".join(value.split())

    @field_validator(
        "oidc_allowed_domains", "oidc_admin_groups", "oidc_user_groups", "scale_environment", mode="before"
    )
    @classmethod
    def _several(cls, value: object) -> object:
        """`a,b` from the environment."""
        if isinstance(value, str):
            return tuple(each.strip() for each in value.split(",") if each.strip())
        return value

    @field_validator("oidc_allowed_domains")
    @classmethod
    def _domains(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(each.lower().removeprefix("@") for each in value)

    @model_validator(mode="after")
    def _oidc_whole(self) -> Settings:
        """Half a provider is refused at start, not at somebody's first sign-in."""
        needed = {
            name: getattr(self, name) for name in ("oidc_issuer", "oidc_client_id", "oidc_client_secret")
        }
        missing = [name.upper() for name, value in needed.items() if not value]
        if missing and len(missing) < len(needed):
            msg = f"{', '.join(name.upper() for name in needed)} belong together; {' and '.join(missing)} is empty"
            raise ValueError(msg)
        if bool(self.oidc_role_claim) != bool(self.oidc_admin_groups or self.oidc_user_groups):
            msg = "OIDC_ROLE_CLAIM needs OIDC_ADMIN_GROUPS or OIDC_USER_GROUPS, and they need it"
            raise ValueError(msg)
        everybody = self.oidc_default_role != "none" and not self.oidc_allowed_domains
        if everybody and urlsplit(self.oidc_issuer).hostname == "accounts.google.com":
            msg = "OIDC_DEFAULT_ROLE would let in everybody with a Google account; set OIDC_ALLOWED_DOMAINS"
            raise ValueError(msg)
        return self

    @field_validator("strapi_fields", mode="before")
    @classmethod
    def _fields_named(cls, value: object) -> object:
        """`title=title content=body` from the environment."""
        if not isinstance(value, str):
            return value
        pairs = tuple(pair.partition("=")[::2] for pair in value.split())
        for ours, theirs in pairs:
            if ours not in STRAPI_NAMES:
                msg = f"{ours!r} is none of {', '.join(STRAPI_NAMES)}"
                raise ValueError(msg)
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,99}(:text)?", theirs):
                msg = f"{ours}={theirs}: write pairs like title=title, or tags=tags:text"
                raise ValueError(msg)
        if len(dict(pairs)) < len(pairs) or not {"title", "content"} <= dict(pairs).keys():
            msg = "title and content must go into a field, and each name stands there once"
            raise ValueError(msg)
        return pairs

    @field_validator("otel_exporter_otlp_headers", mode="before")
    @classmethod
    def _headers_named(cls, value: object) -> object:
        """`authorization=Bearer%20…,x-team=a` from the environment; the values are secrets and never repeated."""
        if not isinstance(value, str):
            return value
        pairs = [pair.strip().partition("=") for pair in value.split(",") if pair.strip()]
        headers = {name.strip(): unquote(text.strip()) for name, _, text in pairs}
        for number, (name, text) in enumerate(headers.items(), start=1):
            if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+", name) or not re.fullmatch(
                r"[\x20-\x7e]+", text
            ):
                msg = f"pair {number} is not like name=value"
                raise ValueError(msg)
        return headers

    @field_validator("otel_exporter_otlp_endpoint", "trace_url")
    @classmethod
    def _tracing_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            msg = "write an address like http://localhost:4318"
            raise ValueError(msg)
        return url

    @field_validator("trace_url")
    @classmethod
    def _names_the_trace(cls, url: str) -> str:
        if url and "{trace_id}" not in url:
            msg = "{trace_id} must stand where the id of the trace belongs"
            raise ValueError(msg)
        return url

    @field_validator("strapi_url", "strapi_public_url")
    @classmethod
    def _site_address(cls, url: str) -> str:
        if url and not url.startswith(("http://", "https://")):
            msg = "write an address like https://cms.example.org"
            raise ValueError(msg)
        return url.rstrip("/")

    @field_validator("ollama_base_url", "openai_base_url")
    @classmethod
    def _web_address(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            msg = "write an address like http://localhost:11434/v1"
            raise ValueError(msg)
        return url.rstrip("/")

    @field_validator("base_url")
    @classmethod
    def _own_address(cls, url: str) -> str:
        if url and not re.match(r"https?://[^/?#\s]+", url):
            msg = "write the address people use, like https://callboard.example.org"
            raise ValueError(msg)
        return url

    @field_validator("workspace_roots", "execute_roots", "agent_folders", mode="before")
    @classmethod
    def _folders(cls, value: object) -> object:
        """`/a:/b` from the environment, made absolute."""
        if isinstance(value, str):
            return tuple(Path(v).expanduser().resolve() for v in value.split(":") if v)
        return value

    @field_validator("home")
    @classmethod
    def _absolute(cls, path: Path) -> Path:
        return (path if path.is_absolute() else ROOT / path).resolve()

    @model_validator(mode="after")
    def _encrypted(self) -> Settings:
        """What is said of TLS goes into the two URLs, so that everything which connects by them obeys."""
        object.__setattr__(self, "database_url", transport.postgres_url(self, self.database_url))
        object.__setattr__(self, "database_read_url", transport.postgres_url(self, self.database_read_url))
        object.__setattr__(self, "redis_url", transport.redis_url(self))
        return self

    @model_validator(mode="after")
    def _sound(self) -> Settings:
        if self.secret_key and len(self.secret_key) < 32:
            msg = "SECRET_KEY must have at least 32 characters"
            raise ValueError(msg)
        if self.jwt_secret and len(self.jwt_secret) < 32:
            msg = "JWT_SECRET must have at least 32 characters"
            raise ValueError(msg)
        for name in ("secret_key_previous", "jwt_secret_previous"):
            if 0 < len(getattr(self, name)) < 32:
                msg = f"{name.upper()} must have at least 32 characters"
                raise ValueError(msg)
        if self.metrics_token and len(self.metrics_token) < 16:
            msg = "METRICS_TOKEN must have at least 16 characters"
            raise ValueError(msg)
        if self.webhook_secret and len(self.webhook_secret) < 16:
            msg = "WEBHOOK_SECRET must have at least 16 characters"
            raise ValueError(msg)
        if self.lease_seconds < 2 * self.heartbeat_seconds:
            msg = "LEASE_SECONDS must be at least twice HEARTBEAT_SECONDS"
            raise ValueError(msg)
        for folder in self.execute_roots:
            if not any(folder.is_relative_to(root) for root in self.workspace_roots):
                msg = f"EXECUTE_ROOTS: {folder} does not lie in WORKSPACE_ROOTS"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _fit_for_production(self) -> Settings:
        if self.environment == "production":
            refusals.check(self)
        return self

    @cached_property
    def signing_key(self) -> str:
        """SECRET_KEY, or one made once and kept in `home/secret_key` (0600)."""
        if self.secret_key:
            return self.secret_key
        kept = self.home / "secret_key"
        if not kept.exists():
            self.home.mkdir(parents=True, exist_ok=True)
            fresh = self.home / f".secret_key-{secrets.token_hex(4)}"
            fresh.touch(mode=0o600)
            fresh.write_text(secrets.token_urlsafe(48))
            with suppress(FileExistsError):
                kept.hardlink_to(fresh)  # whoever is first wins; the others read it
            fresh.unlink()
        return kept.read_text().strip()

    @property
    def signing_keys(self) -> tuple[str, ...]:
        """What cookies and links may be signed with; the first signs."""
        return tuple(filter(None, (self.signing_key, self.secret_key_previous)))

    @property
    def token_keys(self) -> tuple[str, ...]:
        """What access tokens may be signed with; the first signs. Without JWT_SECRET derived from SECRET_KEY."""
        if self.jwt_secret:
            return tuple(filter(None, (self.jwt_secret, self.jwt_secret_previous)))
        label = b"callboard access tokens"
        return tuple(hmac.new(key.encode(), label, hashlib.sha256).hexdigest() for key in self.signing_keys)

    @cached_property
    def sealing_keys(self) -> tuple[keys.Key, ...]:
        """What opens secrets in the database, and the first seals them; derived ones are the last."""
        return (*keys.read(self.encryption_keys), *map(keys.derived, self.signing_keys))

    def secret(self, name: str) -> str | None:
        """The key in the variable `name` of this process; None if it is not set, or Callboard's own.

        Providers name the variables of their keys, so that no key is ever kept in the database.
        """
        if complaint(name):
            return None
        field = name.lower()
        if field in PROVIDER_KEYS:
            return str(getattr(self, field)).strip() or None
        return os.environ.get(name, "").strip() or None

    def scale_environ(self) -> dict[str, str]:
        """The environment of SCALE_COMMAND: what every program needs, and what SCALE_ENVIRONMENT names."""
        names = ("PATH", "HOME", "LANG", "TZ", *self.scale_environment)
        return {name: os.environ[name] for name in names if name in os.environ}

    @property
    def scale_pace(self) -> Pace:
        """How soon the number of workers may change again, and become less."""
        return Pace(self.scale_cooldown_seconds, self.scale_down_seconds)

    @property
    def worker_bounds(self) -> Bounds:
        """The least and the most workers that scaling counts with."""
        return bounds_of(self.workers) if self.workers else Bounds()

    @property
    def providers_wanted(self) -> tuple[str, ...]:
        """All that the providers' table is filled from; when it changes, the seed must run again."""
        return (
            *self.llm_providers,
            self.ollama_base_url,
            self.ollama_model,
            self.hf_model,
            self.gemini_model,
            self.anthropic_model,
            self.openai_base_url,
            self.openai_model,
        )

    @property
    def chats(self) -> dict[str, str]:
        """The configured chats: name → address, which is a secret."""
        slack = {"slack": self.slack_webhook_url} if self.slack_webhook_url else {}
        return slack | dict(self.notify_channels)

    @property
    def content_services(self) -> dict[str, Any]:
        """What the content pipeline calls: {strapi: {url, token, …}, pexels_key, unsplash_key}."""
        return {
            "strapi": {
                "url": self.strapi_url,
                "token": self.strapi_api_token,
                "collection": self.strapi_collection,
                "fields": dict(self.strapi_fields),
                "key_field": self.strapi_key_field,
                "public_url": self.strapi_public_url,
            },
            "pexels_key": self.pexels_api_key,
            "unsplash_key": self.unsplash_access_key,
        }

    @property
    def traces(self) -> Destination:
        """Where spans go. Imported here: few processes make any."""
        from app.observe.tracing import Destination

        return Destination(
            endpoint=self.otel_exporter_otlp_endpoint,
            headers=self.otel_exporter_otlp_headers,
            service_name=self.otel_service_name,
            sampler=self.otel_traces_sampler,
            sampler_arg=self.otel_traces_sampler_arg,
        )

    @property
    def smtp(self) -> dict[str, str]:
        """The mail server, by the names of its variables."""
        names = ("host", "port", "user", "password", "from", "security")
        return {f"SMTP_{name.upper()}": str(getattr(self, f"smtp_{name}")) for name in names}

    @property
    def artifact_store(self) -> str:
        """The fsspec URL of the artifact store."""
        return self.artifacts_url or f"file://{self.home / 'artifacts'}"

    @cached_property
    def public_url(self) -> str:
        """The address people use, without a trailing slash."""
        return (self.base_url or f"http://127.0.0.1:{self.port}").rstrip("/")


def load() -> Settings:
    """Read the environment; raises pydantic's ValidationError with each wrong variable by name."""
    return Settings()


def complaints(error: ValidationError) -> list[str]:
    """What is wrong with the settings, one line for each variable."""
    return [f"{'.'.join(map(str, e['loc'])) or 'settings'}: {e['msg']}" for e in error.errors()]


def load_or_exit() -> Settings:
    """As `load`, for processes that nobody calls: wrong settings are told on stderr, and end it with 3.

    gunicorn takes that for "does not start" and ends, instead of starting the next worker that cannot.
    """
    try:
        return load()
    except ValidationError as error:
        sys.stderr.write("\n  ".join(["Callboard does not start: wrong settings", *complaints(error)]) + "\n")
        raise SystemExit(WRONG_SETTINGS) from None
