"""Callboard, put together: `create_app(settings)` makes a web process; no logic lives here.

Nothing heavy is imported at the top: workers, the supervisor and agents' processes import this package too, and
each waited most of a second for Flask and Alembic that it never used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flask import Flask

    from app.polling.hints import Pace
    from app.settings import Settings

__version__ = "1.0.0"


def bare_app(settings: Settings) -> Flask:
    """An app with the database and nothing else: for migrations, the command line and the seed."""
    from flask import Flask
    from flask_migrate import Migrate

    from app.db import db, engine_options
    from app.settings import ROOT

    _know_all_tables()
    seal_by(settings)
    app = Flask("app", root_path=str(ROOT), template_folder="templates", static_folder=None)
    app.config.update(
        CALLBOARD=settings,
        SECRET_KEY=settings.signing_key,
        SECRET_KEY_FALLBACKS=list(settings.signing_keys[1:]),
        MAX_CONTENT_LENGTH=settings.max_body_bytes,
        MAX_FORM_MEMORY_SIZE=settings.max_body_bytes,
        SQLALCHEMY_DATABASE_URI=settings.database_url,
        SQLALCHEMY_ENGINE_OPTIONS=engine_options(**_pool(settings), name="callboard-web"),
    )
    # No view is asynchronous, and asking that of each hook at each request is a thirtieth of what a poll costs.
    app.ensure_sync = lambda func: func  # type: ignore[method-assign]
    db.init_app(app)
    Migrate(app, db, directory=str(ROOT / "migrations"), compare_type=True)
    return app


def _pool(settings: Settings) -> dict[str, Any]:
    """How the settings want connections of a web process."""
    return {
        "pool_size": settings.db_pool_size,
        "max_overflow": settings.db_max_overflow,
        "pool_recycle": settings.db_pool_recycle,
        "statement_timeout_ms": settings.db_statement_timeout_ms,
    }


def _know_all_tables() -> None:
    """Every table must be known to Base before Alembic compares and before mappers are configured."""
    import app.accounts.models
    import app.agents.models
    import app.alerts.models
    import app.approvals.models
    import app.audit.models
    import app.budgets.models
    import app.hooks.models
    import app.jobs.models
    import app.notify.models
    import app.ops.backups.models
    import app.polling.models
    import app.providers.models
    import app.quality.models
    import app.schedules.models
    import app.sessions.models
    import app.workers.models
    import app.workflows.models  # noqa: F401


def create_app(settings: Settings | None = None, *, forks: bool = False) -> Flask:
    """A web process: rooms, doors, and the bell. Without `settings` the environment is read.

    `forks`: this one serves nobody; the processes that it forks do, and `begin_serving` first.
    """
    from actors.broker import make_ringer
    from actors.runners.privacy import hide_process
    from app import api, dashboard
    from app import settings as configuration
    from app.api import admission
    from app.db import db
    from app.jobs import dispatch
    from app.mcp import http as mcp
    from app.observe import logs

    settings = settings or configuration.load_or_exit()
    logs.configure(settings.log_level, settings.log_format, service="web", version=__version__)
    if not forks:
        begin_serving(settings)
    if settings.environment == "production":
        hide_process()  # agents of the same user must not read DATABASE_URL from our environment
    app = bare_app(settings)
    app.config["PACE"] = pace(settings)
    app.config["RELEASE"] = __version__
    with app.app_context():
        db.open(db.engine)
    read_from_a_standby(settings)
    if settings.redis_url:  # without one, as for commands beside a lone database, work is found by looking
        dispatch.use(make_ringer(settings.redis_url).ring)
    tell_by(settings)
    behind_proxies(app, settings.trusted_proxies)
    api.register(app, __version__)
    dashboard.register(app)
    mcp.register(app, __version__, admission.refusal)
    _leave_limits_where_they_stand(app)
    return app


def read_from_a_standby(settings: Settings) -> None:
    """Let figures and searches of this process come from DATABASE_READ_URL, if there is one."""
    from app import replica
    from app.db import make_engine

    if not settings.database_read_url:
        replica.use(None)
        return
    engine = make_engine(
        settings.database_read_url, **_pool(settings), name="callboard-read", connect_timeout=1
    )
    replica.use(replica.Replica(engine, settings.database_read_lag))


def begin_serving(settings: Settings) -> None:
    """What each web process has for itself, after the last fork: its counts, and the threads that write them and traces."""
    from app.observe import tracing
    from app.ops import counting

    counting.begin(settings.home, "web")
    tracing.start(settings.traces, role="web", release=__version__)


def _leave_limits_where_they_stand(app: Flask) -> None:
    """Take Flask-Limiter out of what every request begins with.

    It would look for limits of each address; ours stand on functions, which ask it by themselves. Looking and finding
    none was a tenth of what a poll costs.
    """
    first = app.before_request_funcs[None]
    first[:] = [each for each in first if getattr(each, "__self__", None) not in app.extensions["limiter"]]


def seal_by(settings: Settings) -> None:
    """Make this process seal secrets, and open them, with the keys of its settings."""
    from app.secrets import sealing

    sealing.use(settings.sealing_keys)


def behind_proxies(app: Flask, amount: int) -> None:
    """Believe `amount` proxies in front what they say of who asks; without one, X-Forwarded-* is only text (X24)."""
    from werkzeug.middleware.proxy_fix import ProxyFix

    if amount:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=amount, x_proto=1, x_host=1)  # type: ignore[method-assign]


def tell_by(settings: Settings) -> None:
    """Make this process tell people what happens by its settings."""
    from app.notify import setup

    setup.use(
        setup.Setup(
            public_url=settings.public_url,
            group_minutes=settings.notify_group_minutes,
            alert_emails=settings.alert_emails,
            alert_channels=("slack",) if settings.slack_webhook_url else (),
            channels=tuple(settings.chats),
            allow_private=bool(settings.http_allow_private),
        )
    )


def pace(settings: Settings) -> Pace:
    """The polling intervals as the hints want them."""
    from app.polling.hints import Pace

    return Pace(
        queued=settings.poll_queued_ms,
        running=settings.poll_running_ms,
        retry=settings.poll_retry_ms,
        longest=settings.poll_max_ms,
        shortest=settings.poll_min_ms,
    )
