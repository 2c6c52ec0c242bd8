"""What is kept on any day, and what encryption refuses: pure, so by thousands of made-up cases."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.ops.backups import sealed
from app.ops.backups.kept import SPARED, Copy, Keep, kept
from app.ops.backups.sealed import Damaged, Sealing, WrongKey
from app.secrets.keys import Key

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
KEY, OTHER = Key(b"k" * 32), Key(b"o" * 32)


def daily(days: int) -> list[Copy]:
    return [Copy(backup_id=str(n), at=NOW - timedelta(days=n), verified=True) for n in range(days)]


def test_a_year_of_daily_ones_leaves_seven_days_four_weeks_and_twelve_months() -> None:
    why = kept(daily(400), Keep(), NOW)

    assert [
        sum(reason in reasons for reasons in why.values()) for reason in ("daily", "weekly", "monthly")
    ] == [7, 4, 12]
    assert len(why) <= 7 + 4 + 12
    assert "0" in why


copies = st.lists(
    st.builds(
        lambda hours, kind, verified: Copy(
            backup_id=f"{hours}-{kind}", at=NOW - timedelta(hours=hours), kind=kind, verified=verified
        ),
        st.integers(0, 24 * 800),
        st.sampled_from(["daily", "manual", "before_upgrade"]),
        st.booleans(),
    ),
    max_size=60,
    unique_by=lambda copy: copy.backup_id,
)


@settings(max_examples=150)
@given(copies, st.integers(1, 9), st.integers(0, 9), st.integers(0, 15))
def test_what_is_kept_on_any_day(found: list[Copy], days: int, weeks: int, months: int) -> None:
    why = kept(found, Keep(daily=days, weekly=weeks, monthly=months), NOW)
    stays = [copy for copy in found if copy.backup_id in why]

    if found:
        assert max(copy.at for copy in found) == max(copy.at for copy in stays)
    if proved := [copy.at for copy in found if copy.verified]:
        assert max(proved) == max(copy.at for copy in stays if copy.verified)
    assert all(copy in stays for copy in found if copy.kind != "daily" and NOW - copy.at < SPARED)
    newest_days = sorted({copy.at.date() for copy in found}, reverse=True)[:days]
    assert {copy.at.date() for copy in stays} >= set(newest_days)
    assert kept(stays, Keep(daily=days, weekly=weeks, monthly=months), NOW).keys() == why.keys()


def test_nothing_is_lost_by_pruning_each_day() -> None:
    there: list[Copy] = []
    for day in range(500):
        now = NOW + timedelta(days=day)
        there.append(Copy(backup_id=str(day), at=now, verified=True))
        why = kept(there, Keep(), now)
        there = [copy for copy in there if copy.backup_id in why]

    assert len({(copy.at.year, copy.at.month) for copy in there}) == 12
    assert [(now - copy.at).days for copy in there[-7:]] == [6, 5, 4, 3, 2, 1, 0]


def seal(data: bytes, about: dict[str, object] | None = None) -> bytes:
    target = io.BytesIO()
    sealing = Sealing(target, KEY, about or {})
    for start in range(0, len(data), 70_000):
        sealing.write(data[start : start + 70_000])
    sealing.close()
    return target.getvalue()


@pytest.mark.parametrize("size", [0, 1, sealed.CHUNK - 1, sealed.CHUNK, sealed.CHUNK + 1, 3 * sealed.CHUNK])
def test_what_was_sealed_can_be_opened(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + b"x" * (size % 256)

    source = io.BytesIO(seal(data, {"revision": "0008"}))

    assert sealed.is_sealed(source)
    assert sealed.header(source)["about"] == {"revision": "0008"}
    source.seek(0)
    assert b"".join(sealed.opened(source, [OTHER, KEY])) == data


SEALED = seal(b"abc" * sealed.CHUNK)


@settings(max_examples=60)
@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_no_byte_can_be_changed(place: int, by: int) -> None:
    content = bytearray(SEALED)
    content[place] ^= by

    with pytest.raises((Damaged, WrongKey)):
        for _ in sealed.opened(io.BytesIO(content), [KEY]):
            pass


@settings(max_examples=60)
@given(st.integers(0, len(SEALED) - 1))
def test_no_end_can_be_cut_off(length: int) -> None:
    with pytest.raises(Damaged):
        for _ in sealed.opened(io.BytesIO(SEALED[:length]), [KEY]):
            pass


def test_chunks_cannot_change_places() -> None:
    begin = SEALED.index(b"}", SEALED.index(b"about") + 8) + 2
    size = 4 + sealed.CHUNK + sealed.TAG
    first, second = SEALED[begin : begin + size], SEALED[begin + size : begin + 2 * size]

    with pytest.raises(Damaged):
        for _ in sealed.opened(
            io.BytesIO(SEALED[:begin] + second + first + SEALED[begin + 2 * size :]), [KEY]
        ):
            pass


def test_another_key_is_named_and_refused() -> None:
    with pytest.raises(WrongKey, match=KEY.fingerprint):
        next(sealed.opened(io.BytesIO(SEALED), [OTHER]))
