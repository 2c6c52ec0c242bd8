"""What is watched: every rule as data. A figure over its threshold, for long enough, is an alert.

An admin may switch a rule off or give it another threshold (app/alerts/changes.py); the rest is as it stands here.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Literal

from app.alerts import measures, suspicions
from app.alerts.hysteresis import Patience
from app.alerts.measures import Measure
from app.errors import NotFound
from app.polling import thresholds

Unit = Literal["percent", "seconds", "jobs", "attempts", "requests", "breaks"]
Severity = Literal["info", "warning", "critical"]

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Rule:
    """One figure that is watched."""

    name: str
    title: str
    """What is wrong when it is an alert, in a few words."""
    words: str
    """What is measured, and of which time."""
    unit: Unit
    threshold: float
    """It is wrong above this."""
    most: float
    """The highest threshold that makes sense: what is measured goes no further."""
    severity: Severity
    hold: timedelta = timedelta(0)
    """Wrong for so long before it is said."""
    calm: timedelta = 2 * MINUTE
    """Right for so long before it is over."""
    cooldown: timedelta = 15 * MINUTE
    """Told at most so often of one subject, however often it comes and goes."""
    repeat: timedelta = timedelta(hours=4)
    """Told again after so long, if it goes on and nobody has acknowledged it."""
    subject: str = ""
    """What its subjects are called; empty: it has only one."""
    grouped: bool = False
    """There may be many subjects at once: they are told of together."""
    link: str = "/alerts"
    """Where one looks first; `{subject}` stands for the subject."""
    do: str = ""
    """What to do about it."""
    lone_event: str = "alert.raised"
    """The event that tells of its subject "", where that is news of its own."""
    told_as: str = ""
    """The event that tells of the same already; the alert is then only shown."""
    measure: Measure = field(repr=False)

    @property
    def patience(self) -> Patience:
        """How long it must be wrong, and right."""
        return Patience(hold=self.hold, calm=self.calm)


RULES: tuple[Rule, ...] = (
    Rule(
        name="no_worker",
        title="No worker is heard of",
        words="Seconds since the last sign of life of any worker, or of one that serves a pool in which due jobs wait.",
        unit="seconds",
        threshold=60,
        most=3600,
        severity="critical",
        hold=timedelta(seconds=30),
        calm=timedelta(seconds=30),
        subject="pool",
        lone_event="worker.all_gone",
        link="/workers",
        do="Start a worker, or one with this pool in CALLBOARD_POOLS. Jobs are accepted and wait meanwhile.",
        measure=measures.no_worker,
    ),
    Rule(
        name="job_failures",
        title="Many jobs fail",
        words="Of the jobs that ended in the last 15 minutes, how many percent failed; from 10 ended jobs on.",
        unit="percent",
        threshold=10,
        most=100,
        severity="critical",
        hold=MINUTE,
        calm=5 * MINUTE,
        link="/dead-letters",
        do="The dead letters are grouped by what went wrong; one cause is usually behind most of them.",
        measure=measures.job_failures,
    ),
    Rule(
        name="dead_letters",
        title="Dead letters pile up",
        words=f"Jobs that failed for good in the last 15 minutes; counted up to {measures.MOST_COUNTED:,}.",
        unit="jobs",
        threshold=50,
        most=measures.MOST_COUNTED - 1,
        severity="warning",
        calm=5 * MINUTE,
        link="/dead-letters",
        do="Look at the largest group. After its cause is cured, the whole group can be sent in again.",
        measure=measures.dead_letters,
    ),
    Rule(
        name="critical_wait",
        title="A critical job waits",
        words="Seconds for which the oldest due critical job of a pool waits; a paused pool is meant to.",
        unit="seconds",
        threshold=30,
        most=86_400,
        severity="critical",
        calm=MINUTE,
        subject="pool",
        link="/queues",
        do="The job's page says what it waits for: a worker, a limit of its agent, a budget, or a provider.",
        measure=measures.critical_wait,
    ),
    Rule(
        name="backlog",
        title="A queue grows long",
        words=f"Due jobs that wait in a pool; counted up to {measures.MOST_COUNTED:,}. A paused pool is meant to.",
        unit="jobs",
        threshold=1000,
        most=measures.MOST_COUNTED - 1,
        severity="warning",
        hold=2 * MINUTE,
        subject="pool",
        link="/queues",
        do="More workers or threads work it off; GET /api/v1/scaling says how many would be right.",
        measure=measures.backlog,
    ),
    Rule(
        name="overdue_job",
        title="A job runs past its soft limit",
        words="Seconds for which a running job is past the limit after which it is told to wrap up.",
        unit="seconds",
        threshold=0,
        most=86_400,
        severity="warning",
        hold=timedelta(seconds=30),
        calm=timedelta(0),
        subject="job",
        grouped=True,
        link="/jobs/{subject}",
        do="It is stopped at its hard limit. Its log says what it is doing; it can be cancelled before.",
        measure=measures.overdue_jobs,
    ),
    Rule(
        name="failed_logins",
        title="Somebody tries passwords",
        words="Attempts to sign in that failed or were refused within a minute, from one address.",
        unit="attempts",
        threshold=5,
        most=1000,
        severity="critical",
        calm=5 * MINUTE,
        subject="address",
        grouped=True,
        link="/security",
        do="Further attempts from there are refused for a while already. Look at who was tried; block the address in "
        "front of Callboard if it goes on.",
        measure=measures.failed_logins,
    ),
    Rule(
        name="refused_access",
        title="Somebody reaches for what they may not",
        words="Requests within 5 minutes that were refused because of a role or a key's scope, of one account.",
        unit="requests",
        threshold=20,
        most=100_000,
        severity="warning",
        calm=5 * MINUTE,
        subject="account",
        grouped=True,
        link="/security",
        do="See what was asked for. A program with the wrong key is the usual cause; if nobody knows it, disable the "
        "account and revoke its keys.",
        measure=suspicions.refused,
    ),
    Rule(
        name="limited_requests",
        title="Somebody asks far too often",
        words="Requests within 5 minutes that were over the limits, of one account or address.",
        unit="requests",
        threshold=200,
        most=1_000_000,
        severity="warning",
        calm=5 * MINUTE,
        subject="from",
        grouped=True,
        link="/security",
        do="What is over the limit is refused already. A loop without a pause is the usual cause; the headers of each "
        "answer say how long to wait.",
        measure=suspicions.limited,
    ),
    Rule(
        name="forged_webhooks",
        title="Somebody forges webhooks",
        words="Webhooks within 5 minutes that came in with a wrong signature, from one address.",
        unit="requests",
        threshold=20,
        most=100_000,
        severity="warning",
        calm=5 * MINUTE,
        subject="from",
        grouped=True,
        link="/hooks",
        do="Nothing of them was taken. A secret that differs between here and there is the usual cause: the hook says "
        "why it refused; else keep the address out by the hook's list of networks.",
        measure=suspicions.forged,
    ),
    Rule(
        name="submission_flood",
        title="An account sends in unusually many jobs",
        words=f"Jobs within 5 minutes of one account, if that is more than {suspicions.TIMES_USUAL} times its usual; "
        f"counted up to {measures.MOST_COUNTED:,}.",
        unit="jobs",
        threshold=500,
        most=measures.MOST_COUNTED - 1,
        severity="warning",
        calm=5 * MINUTE,
        subject="account",
        link="/security",
        do="If nobody meant it, revoke the key, pause the queue, and cancel the jobs by a bulk action.",
        measure=suspicions.flood,
    ),
    Rule(
        name="probing_parameters",
        title="Parameters look like probes",
        words="Jobs within 5 minutes of one account whose parameters look like those of a scanner.",
        unit="jobs",
        threshold=5,
        most=measures.MOST_COUNTED - 1,
        severity="warning",
        calm=15 * MINUTE,
        subject="account",
        grouped=True,
        link="/security",
        do="Callboard keeps parameters as data, so nothing happened here; what the agents do with them is another "
        "matter. Look at one of the jobs, and at whose key it was.",
        measure=suspicions.probes,
    ),
    Rule(
        name="audit_broken",
        title="The audit was tampered with",
        words="Whether the chain of the audit was found broken by the last daily verification, or by one by hand.",
        unit="breaks",
        threshold=0,
        most=1,
        severity="critical",
        calm=timedelta(0),
        link="/audit",
        do="`callboard audit verify` names the first entry that is wrong. Compare with an export from before, and find "
        "out who can write to the database.",
        measure=suspicions.tampered,
    ),
    Rule(
        name="audit_unsealed",
        title="The audit is not sealed",
        words="Seconds for which the oldest entry waits to be sealed into the chain.",
        unit="seconds",
        threshold=600,
        most=86_400,
        severity="warning",
        link="/audit",
        do="The scheduler seals, or a worker in its stead: neither seems to run, or they cannot. Their log says why.",
        measure=suspicions.unsealed,
    ),
    Rule(
        name="backup_missing",
        title="There is no recent backup",
        words="Seconds since the last good backup was begun, where one is made each day.",
        unit="seconds",
        threshold=26 * 3600,
        most=30 * 86_400,
        severity="critical",
        calm=timedelta(0),
        link="/backups",
        do="The page says why the last one failed. If there is nothing, the scheduler does not run. `callboard backup` "
        "makes one now.",
        measure=measures.missing_backup,
    ),
    Rule(
        name="backup_failed",
        title="A backup failed",
        words="Backups that failed within 7 days, since the last good one.",
        unit="attempts",
        threshold=0,
        most=100,
        severity="warning",
        calm=timedelta(0),
        link="/backups",
        do="Mend what it says, most often a full disk or a pg_dump that is too old; it is tried again by itself.",
        measure=measures.failed_backups,
    ),
    Rule(
        name="backup_unsound",
        title="A backup cannot be used",
        words="Whether the newest backup could not be restored, or was not the same afterwards.",
        unit="breaks",
        threshold=0,
        most=1,
        severity="critical",
        calm=timedelta(0),
        link="/backups",
        do="Make another one: `callboard backup`, then `callboard backup verify`. If that fails too, look at the disk and "
        "the memory of the machine. The last verified one is never removed.",
        measure=measures.unproved_backup,
    ),
    Rule(
        name="polling_failures",
        title="Polls fail",
        words="Of the polls of the last 5 minutes, how many percent failed; from 20 polls on.",
        unit="percent",
        threshold=100 * thresholds.BY_NAME["failure_rate"].most,
        most=100,
        severity="critical",
        hold=MINUTE,
        subject="seen by",
        link="/polling",
        do=thresholds.BY_NAME["failure_rate"].do,
        measure=measures.polling_failures,
    ),
    Rule(
        name="polling_response",
        title="Polls are answered slowly",
        words="Seconds that a poll took on average in the last 5 minutes; from 20 polls on.",
        unit="seconds",
        threshold=thresholds.BY_NAME["response_seconds"].most,
        most=60,
        severity="warning",
        hold=MINUTE,
        subject="seen by",
        link="/polling",
        do=thresholds.BY_NAME["response_seconds"].do,
        measure=measures.polling_response,
    ),
    Rule(
        name="polling_recovery",
        title="Pages recover slowly",
        words="Seconds from a page's first failed poll to its next good one, on average over the last 5 minutes.",
        unit="seconds",
        threshold=thresholds.BY_NAME["recovery_seconds"].most,
        most=3600,
        severity="warning",
        hold=MINUTE,
        subject="seen by",
        link="/polling",
        do=thresholds.BY_NAME["recovery_seconds"].do,
        measure=measures.polling_recovery,
    ),
    Rule(
        name="slow_query",
        title="The database answers slowly",
        words="Seconds that the slowest query took while a poll was answered, in the last 5 minutes.",
        unit="seconds",
        threshold=thresholds.BY_NAME["query_seconds"].most,
        most=60,
        severity="warning",
        subject="seen by",
        link="/polling",
        do=thresholds.BY_NAME["query_seconds"].do,
        measure=measures.slow_query,
    ),
    Rule(
        name="scale_hook",
        title="The platform does not hear how many workers are wanted",
        words="How often SCALE_COMMAND or SCALE_URL has failed for the newest number.",
        unit="attempts",
        threshold=1,
        most=5,
        severity="warning",
        link="/workers",
        do="What it said stands in the log (scaling.refused) and in the audit. Until it works, start and stop workers by hand.",
        measure=measures.scale_hook,
    ),
    Rule(
        name="provider_open",
        title="A model provider is left alone",
        words="Seconds since calls to a provider stopped, because they failed.",
        unit="seconds",
        threshold=0,
        most=86_400,
        severity="warning",
        calm=timedelta(0),
        subject="provider",
        link="/providers",
        do="Its page says what went wrong; jobs go to the next provider, or wait until this one takes calls again.",
        told_as="provider.down",
        measure=measures.open_providers,
    ),
)
BY_NAME = {rule.name: rule for rule in RULES}


def named(name: str) -> Rule:
    """The rule; raises NotFound."""
    if name not in BY_NAME:
        raise NotFound(f"There is no alert rule {name!r}.")
    return BY_NAME[name]


def said(value: float | None, unit: str) -> str:
    """A figure with its unit, for people: `12 %`, `4.2 s`, `7 m 30 s`, `1,204 jobs`."""
    if value is None:
        return "–"
    if unit == "seconds":
        return _lasting(value)
    number = f"{value:,.1f}" if unit == "percent" and value % 1 else f"{value:,.0f}"
    return f"{number} %" if unit == "percent" else f"{number} {unit}"


def _lasting(seconds: float) -> str:
    whole = round(seconds)
    if whole < 10:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    if whole < 120:
        return f"{whole} s"
    for size, unit, small, part in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // small:02d} {part}"
    return f"{whole // 60} m {whole % 60:02d} s"
