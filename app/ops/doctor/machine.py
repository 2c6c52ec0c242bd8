"""Checks of this machine: disk, mail, Python, and what nobody but its owner can do."""

from __future__ import annotations

import json
import platform
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app import clock
from app.ops.backups import queries
from app.ops.backups.plan import plan_of
from app.ops.backups.programs import found
from app.ops.doctor.findings import Said, error, info, warning
from app.ops.doctor.place import Place
from app.settings import ROOT

SCARCE_BYTES, NO_BYTES = 2_000_000_000, 200_000_000
MAIL_SECONDS = 2.0
PORTS = {"tls": 465, "none": 25}
OLD_AUDIT_DAYS = 30
OLD_BACKUP = timedelta(hours=26)
AUDIT_FILE = "dependency-audit.json"


def disk(place: Place) -> Iterator[Said]:
    """Whether there is room for artifacts and logs, and whether they can be written."""
    for folder in _folders(place):
        free = shutil.disk_usage(folder).free
        yield f"{free / 1e9:.1f} GB free at {folder}"
        if free < SCARCE_BYTES:
            tell = error if free < NO_BYTES else warning
            yield tell(
                f"{free / 1e6:,.0f} MB are free at {folder}",
                "On a full disk Postgres stops, and jobs cannot leave their files.",
                "Free space, lower JOB_RETENTION_DAYS, or keep artifacts elsewhere: ARTIFACTS_URL",
            )
        try:
            with tempfile.TemporaryFile(dir=folder) as trial:
                trial.write(b"x")
        except OSError as refused:
            yield error(
                f"{folder} cannot be written: {refused.strerror}",
                "Jobs cannot leave their files there.",
                f"Give it to the account that runs Callboard: chown -R callboard {folder}",
            )


def _folders(place: Place) -> list[Path]:
    store = place.settings.artifact_store
    named = [
        place.settings.home,
        *([Path(store.removeprefix("file://"))] if store.startswith("file://") else []),
    ]
    there = [folder for folder in named if folder.is_dir()]
    devices: dict[int, Path] = {}
    for folder in there:
        devices.setdefault(folder.stat().st_dev, folder)
    return there if len(devices) > 1 else there[-1:]


def mail(place: Place) -> Iterator[Said]:
    """Whether mail can be sent."""
    settings = place.settings
    if not settings.smtp_host:
        yield info(
            "No mail server is set",
            "Nobody hears of alerts and questions by mail, and nobody can choose a new password by themselves.",
            "SMTP_HOST, SMTP_USER, SMTP_PASSWORD: docs/notifications.md",
        )
        return
    port = int(settings.smtp_port or PORTS.get(settings.smtp_security, 587))
    where = f"{settings.smtp_host}:{port}"
    try:
        with socket.create_connection((settings.smtp_host, port), timeout=MAIL_SECONDS):
            yield f"{where} answers"
    except OSError as away:
        yield warning(
            f"The mail server {where} cannot be reached: {away.strerror or type(away).__name__}",
            "News by mail waits, and is given up after some hours.",
            "Check SMTP_HOST and SMTP_PORT, and whether this network lets mail out",
        )
    if settings.smtp_security == "none" and place.in_production:
        yield warning(
            f"Mail to {where} is not encrypted",
            "Links to answer questions and passwords can be read on the way.",
            "SMTP_SECURITY=starttls",
        )


def news(place: Place) -> Iterator[Said]:
    """Whether anybody outside of the dashboard hears of alerts."""
    settings = place.settings
    if settings.alert_emails or settings.slack_webhook_url:
        yield "by mail or chat"
        return
    yield info(
        "Alerts are told on the dashboard only",
        "At night nobody looks.",
        "ALERT_EMAILS=you@example.org with a mail server, or SLACK_WEBHOOK_URL",
    )


def backups(place: Place) -> Iterator[Said]:
    """Whether there is a way back that was tried, and whether a new one can be made here."""
    plan = plan_of(place.settings)
    standing = queries.standing()
    last, proved = standing["last"], standing["last_verified"]
    yield (
        f"the last {last['started_at']:%Y-%m-%d %H:%M} UTC, {'verified' if last['verified_at'] else 'not verified'}"
        if last
        else "none"
    )
    if not plan.on:
        yield warning(
            "Nobody makes backups here",
            "Jobs, people, keys and the audit are in Postgres and nowhere else.",
            "BACKUP_URL=s3://bucket/callboard, or BACKUPS=on: docs/backups.md",
        )
        return
    if last is None or clock.now() - last["started_at"] > OLD_BACKUP:
        yield error(
            "There is no backup of the last 26 hours",
            "What was done since is lost with the disk.",
            "callboard backup says what is wrong; the daily one is made by the scheduler",
        )
    elif plan.verify and proved is None:
        yield warning(
            "No backup was proved by a restore", "Nobody knows whether they work.", "callboard backup verify"
        )
    if not any(found()):
        yield error(
            "There is no pg_dump on this machine",
            "No backup can be made here.",
            "Install the Postgres client",
        )
    if plan.place.local and not place.settings.backup_url:
        yield info(
            f"Backups lie on this machine only: {plan.place.shown}",
            "They are lost with it.",
            "BACKUP_URL=s3://bucket/callboard, or copy the folder elsewhere",
        )
    if not plan.keys and not plan.place.local:
        yield warning(
            f"Backups go to {plan.place.shown} without encryption",
            "Whoever can read the bucket can read everything.",
            "BACKUP_KEY, from callboard secrets new-key; keep it elsewhere",
        )


def program(place: Place) -> Iterator[Said]:
    """Which program this is, on what."""
    python = ".".join(map(str, sys.version_info[:3]))
    yield f"Callboard {place.release}, Python {python}, {platform.system()} {platform.release()}"
    if sys.platform != "linux":
        yield info(
            f"This is {platform.system()}",
            "Some of what keeps command agents apart exists on Linux only (process groups' end, memory limits).",
            "Run workers on Linux, in a container or on a server",
        )


def dependencies(place: Place) -> Iterator[Said]:
    """What the last audit of the dependencies said, if there was one (`make check` does it)."""
    for file in (place.settings.home / AUDIT_FILE, ROOT / ".callboard" / AUDIT_FILE):
        if file.is_file():
            yield from _audited(file)
            return
    yield "never looked at here"


def _audited(file: Path) -> Iterator[Said]:
    told = json.loads(file.read_text())
    at = datetime.fromtimestamp(int(told["at"]), UTC)
    days = (clock.now() - at).days
    yield f"{told['result']} {days} days ago"
    if told["result"] == "holes":
        yield error(
            "A dependency has a known hole",
            "Others know how to use it.",
            "Run .ci/audit to see which, and raise its version in requirements.txt",
        )
    elif told["result"] == "incomplete":
        yield info(
            f"The dependencies were looked at only in part: {told['about']}",
            "A hole in the others would not be seen.",
            "Run .ci/audit where the advisory service can be reached",
        )
    elif days > OLD_AUDIT_DAYS:
        yield info(
            f"The dependencies were looked at {days} days ago",
            "Holes become known every week.",
            "Run .ci/audit",
        )
