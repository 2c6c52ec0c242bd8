"""A sealed value is opened where it was sealed for, and nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from app.secrets import keys, sealing
from app.secrets.sealing import KeyMissing, NotOurs
from app.settings import Settings

OLD, NEW = keys.Key(b"o" * 32), keys.Key(b"n" * 32)
JOB = "jobs/1"


@pytest.fixture(autouse=True)
def _keys() -> Iterator[None]:
    before = sealing.in_use()
    sealing.use([NEW, OLD])
    yield
    if before:
        sealing.use(before)


@pytest.mark.parametrize(
    "value", ["plain", "", 7, True, ["a"], {"a": {"b": None}}, "ünï\N{GRINNING FACE}", 1.5]
)
def test_any_json_comes_back_as_it_was(value: Any) -> None:
    sealed = sealing.seal({"a": value, "b": "open"}, {"/a"}, JOB, "/parameters")
    assert sealing.is_sealed(sealed["a"])
    assert sealed["b"] == "open"
    assert list(sealing.places(sealed)) == ["/a"]
    assert sealing.opened(sealed, JOB, "/parameters") == {"a": value, "b": "open"}


def test_the_same_value_is_never_sealed_alike() -> None:
    assert sealing.seal_one("x", JOB, "/a") != sealing.seal_one("x", JOB, "/a")


def test_keys_with_slashes_and_tildes_are_found_again() -> None:
    given = {"a/b": {"c~d": ["x", "y"]}}
    sealed = sealing.seal(given, {"/a~1b/c~0d/1"}, JOB)
    assert sealed["a/b"]["c~d"][0] == "x"
    assert sealing.opened(sealed, JOB) == given


def test_a_value_is_not_opened_for_another_row_nor_another_field() -> None:
    sealed = sealing.seal({"a": "x", "b": "y"}, {"/a", "/b"}, JOB)
    with pytest.raises(NotOurs):
        sealing.opened(sealed, "jobs/2")
    with pytest.raises(NotOurs):
        sealing.opened({"a": sealed["b"], "b": sealed["a"]}, JOB)
    with pytest.raises(NotOurs):  # whoever writes to the database names the other row as its owner
        sealing.opened({"a": sealed["a"].replace(JOB, "jobs/2")}, "jobs/2")


def test_each_changed_bit_is_noticed() -> None:
    head, _, rest = sealing.seal_one("x", JOB, "").rpartition(f"{JOB}:")
    data = bytearray(base64.urlsafe_b64decode(rest.removesuffix(":")))
    for at in range(len(data)):
        wrong = bytes(data[:at]) + bytes([data[at] ^ 1]) + bytes(data[at + 1 :])
        with pytest.raises(NotOurs):
            sealing.open_one(f"{head}{JOB}:{base64.urlsafe_b64encode(wrong).decode()}:", JOB, "")


@pytest.mark.parametrize(
    "text",
    [
        "callboard-sealed:",
        "callboard-sealed:1:zz",
        f"callboard-sealed:1:{NEW.key_id}:jobs/1:AAAA:",
        f"callboard-sealed:1:{NEW.key_id}:jobs/1::",
        f"callboard-sealed:2:{NEW.key_id}:jobs/1:AAAA:",
    ],
)
def test_what_only_looks_sealed_is_refused_and_nothing_else_happens(text: str) -> None:
    with pytest.raises(NotOurs):
        sealing.opened({"a": text}, JOB)


def test_a_missing_key_is_named_and_an_old_one_still_opens() -> None:
    old = sealing.seal_one("x", JOB, "/a", by=OLD)
    assert sealing.open_one(old, JOB, "/a") == "x"
    sealing.use([NEW])
    with pytest.raises(KeyMissing, match=OLD.key_id):
        sealing.open_one(old, JOB, "/a")


def test_everything_is_sealed_anew_inside_of_any_text() -> None:
    old = sealing.seal_one("x", JOB, "/a", by=OLD)
    new = sealing.seal_one("y", JOB, "/b")
    text = f'{{"a": "{old}", "b": "Bearer {new}"}}'
    anew = sealing.resealed(text)
    assert sealing.key_ids(anew) == [NEW.key_id, NEW.key_id]
    assert new in anew
    assert sealing.resealed(anew) == anew
    sealing.use([NEW])
    assert sealing.opened_anywhere({"v": anew}, lambda owner: owner == JOB) == {
        "v": '{"a": "x", "b": "Bearer y"}'
    }


def test_a_key_shows_nothing_of_itself() -> None:
    assert "n" * 8 not in repr(NEW)
    assert len(NEW.fingerprint) == 16


@pytest.mark.parametrize("text", ["", "short", "x" * 44, base64.b64encode(b"a" * 31).decode(), "ü" * 44])
def test_a_wrong_key_is_told_by_its_number_and_the_way_out(text: str) -> None:
    with pytest.raises(
        ValueError, match=r"key 2 is not base64 of 32 bytes; make one with `callboard secrets new-key`"
    ) as said:
        keys.read([keys.fresh(), text])
    assert not text or text not in str(said.value)


def test_the_derived_key_depends_on_the_secret_key_alone() -> None:
    assert keys.derived("a" * 40) == keys.derived("a" * 40)
    assert keys.derived("a" * 40) != keys.derived("b" * 40)


def test_a_wrong_setting_is_refused_at_the_start_without_being_repeated() -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(ENCRYPTION_KEYS=f"{keys.fresh()}, not-a-key-at-all")
    said = str(refused.value)
    assert "key 2 is not base64 of 32 bytes; make one with `callboard secrets new-key`" in said
    assert "not-a-key-at-all" not in said


def test_the_keys_of_the_setting_come_before_the_derived_one(settings: Settings) -> None:
    text = keys.fresh()
    told = Settings(ENCRYPTION_KEYS=text, SECRET_KEY=settings.signing_key)
    assert told.sealing_keys == (keys.read([text])[0], keys.derived(settings.signing_key))
    assert text not in repr(told)
    assert settings.sealing_keys[0] == keys.derived(settings.signing_key)
