from __future__ import annotations

import csv
import io
from pathlib import Path
from xml.etree import ElementTree as ET

import jsonschema
import orjson
import pytest

from actors.builtin import charts
from app.errors import Cancelled, PermanentError
from tests.actors.builtin.desk import EXAMPLES, Desk, definition

AGENT = "analyst"


def column(result: dict[str, list[dict[str, object]]], name: str) -> dict[str, object]:
    return next(found for found in result["columns"] if found["name"] == name)


def test_the_example_agrees_with_figures_worked_out_apart(desk: Desk) -> None:
    result = desk.run(AGENT, **definition(AGENT).ours.example or {})

    rows = list(csv.DictReader(io.StringIO((EXAMPLES / "data" / "sales.csv").read_text())))
    units = sorted(int(row["units"]) for row in rows)
    found = column(result, "units")
    assert result["rows"] == len(rows) == 312
    assert (found["min"], found["max"], found["sum"]) == (units[0], units[-1], sum(units))
    assert found["median"] == (units[155] + units[156]) / 2
    assert column(result, "region")["nulls"] == sum(not row["region"] for row in rows)
    assert {odd["value"] for odd in found["outlier_examples"]} >= {240, -6}  # type: ignore[attr-defined]
    assert [each["measure"] for each in result["trends"]] == ["revenue", "units"]
    assert sum(point["sum"] for point in result["trends"][1]["points"]) == sum(units)


def test_charts_are_svg_and_the_files_match_the_result(desk: Desk) -> None:
    result = desk.run(AGENT, report_type="profile", file="examples/data/sales.csv")

    assert len(result["charts"]) >= 8
    for name in result["charts"]:
        assert ET.fromstring(desk.context.artifacts[name]).tag == "{http://www.w3.org/2000/svg}svg"
        assert desk.context.media_types[name] == "image/svg+xml"
    kept = orjson.loads(desk.context.artifacts["profile.json"])
    assert kept["columns"] == result["columns"]
    assert desk.context.artifacts["report.md"].decode() == result["report"]


@pytest.mark.parametrize(
    ("period", "first"), [("daily", "2026-01-30"), ("weekly", "2026-01-26"), ("monthly", "2026-01-01")]
)
def test_periods_without_rows_count_as_zero(desk: Desk, period: str, first: str) -> None:
    desk.write({"t.csv": "day,amount\n2026-01-30,1\n2026-03-02,5\n"})
    points = desk.run(AGENT, report_type=period, file="t.csv")["trends"][0]["points"]
    assert points[0] == {"start": first, "sum": 1, "rows": 1}
    assert points[-1]["sum"] == 5
    assert {"daily": 32, "weekly": 6, "monthly": 3}[period] == len(points)
    assert all(point["sum"] == 0 for point in points[1:-1])


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("a;b\n1,5;2026-01-02\n1.234,5;2026-01-03\n", ["number", "date"]),
        ("a\tb\n1\tx\n2\ty\n", ["integer", "text"]),
        ("a|b\nyes|3.5\nno|4.5\n", ["boolean", "number"]),
        ('a,b\n"1,234.50",$5\n"2,000.00",$6\n', ["number", "integer"]),
        ("a,b\n31.12.2026,10 %\n01.01.2027,20 %\n", ["date", "integer"]),
        ("a,a,\n1,2,3\n", ["integer", "integer", "integer"]),
        ("a,b\nNaN,inf\nnull,\n", ["empty", "text"]),
    ],
)
def test_dialects_and_types_are_recognised(desk: Desk, text: str, kinds: list[str]) -> None:
    desk.write({"t.csv": text})
    assert [
        found["type"] for found in desk.run(AGENT, report_type="profile", file="t.csv")["columns"]
    ] == kinds


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"])
def test_encodings_are_recognised(desk: Desk, encoding: str) -> None:
    (desk.root / "t.csv").write_bytes("Größe;Ort\n5;Köln\n6;Zürich\n".encode(encoding))
    result = desk.run(AGENT, report_type="profile", file="t.csv")
    assert [found["name"] for found in result["columns"]] == ["Größe", "Ort"]
    assert column(result, "Ort")["top"] == [{"value": "Köln", "count": 1}, {"value": "Zürich", "count": 1}]


def test_ragged_rows_are_counted_not_refused(desk: Desk) -> None:
    desk.write({"t.csv": "a,b,c\n1,2,3\n4\n5,6,7,8\n\n9,10,11\n"})
    result = desk.run(AGENT, report_type="profile", file="t.csv")
    assert (result["rows"], result["ragged_rows"]) == (4, 2)
    assert column(result, "b")["nulls"] == 1
    assert "Rows with too few or too many cells: 2" in desk.context.said


def test_a_heading_without_rows_is_a_complete_report(desk: Desk) -> None:
    desk.write({"t.csv": "day,amount,kind\n"})
    result = desk.run(AGENT, report_type="profile", file="t.csv")
    assert result["rows"] == 0
    assert [found["type"] for found in result["columns"]] == ["empty", "empty", "empty"]


def test_constant_and_enormous_values_are_drawn(desk: Desk) -> None:
    rows = "".join(f"2026-01-0{n % 9 + 1},7,{'9e99' if n % 2 else '-9e99'},x\n" for n in range(20))
    desk.write({"t.csv": "day,amount,huge,kind\n" + rows})
    result = desk.run(AGENT, report_type="daily", file="t.csv")
    for name in result["charts"]:
        drawn = desk.context.artifacts[name]
        ET.fromstring(drawn)
        assert b"nan" not in drawn
        assert b"inf" not in drawn
    assert column(result, "amount")["outliers"] == 0


@pytest.mark.parametrize("draw", [charts.bars, charts.line])
@pytest.mark.parametrize(
    "pairs",
    [[], [("a", 0.0)], [("<&\x00\ud800>", -1.0), ("b" * 999, float("nan"))], [("x", 1e300), ("y", -1e300)]],
)
def test_charts_are_valid_whatever_they_get(draw, pairs: list[tuple[str, float]]) -> None:  # type: ignore[no-untyped-def]
    drawn = draw("<title> & \x0b\ufffe", pairs)
    ET.fromstring(drawn)
    assert "style=" not in drawn
    ET.fromstring(charts.histogram("x", [value for _, value in pairs]))


def test_a_period_needs_dates_and_says_so(desk: Desk) -> None:
    desk.write({"t.csv": "a,b\n1,2\n3,4\n"})
    with pytest.raises(PermanentError, match="no date column") as caught:
        desk.run(AGENT, report_type="weekly", file="t.csv")
    assert caught.value.user_error


def test_columns_can_be_named_and_wrong_names_list_the_right_ones(desk: Desk) -> None:
    desk.write({"t.csv": "made,sent,price\n2026-01-01,2026-02-01,3\n2026-01-02,2026-02-09,4\n"})
    result = desk.run(AGENT, report_type="monthly", file="t.csv", date_column="SENT", measure="price")
    assert result["trends"][0]["points"] == [{"start": "2026-02-01", "sum": 7, "rows": 2}]
    with pytest.raises(PermanentError, match="The columns are: made, sent, price"):
        desk.run(AGENT, report_type="monthly", file="t.csv", measure="cost")
    with pytest.raises(PermanentError, match="holds no dates"):
        desk.run(AGENT, report_type="monthly", file="t.csv", date_column="price")


def test_a_hundred_thousand_rows_take_seconds_and_progress_grows(desk: Desk) -> None:
    desk.context.timeout_seconds = 60
    with (desk.root / "big.csv").open("w") as file:
        file.write("day,amount,kind,note\n")
        file.writelines(
            f"2026-{n % 12 + 1:02d}-{n % 28 + 1:02d},{n % 977}.5,k{n % 50},note {n}\n" for n in range(100_000)
        )
    result = desk.run(AGENT, report_type="monthly", file="big.csv")
    assert result["rows"] == 100_000
    assert column(result, "note")["distinct"] == 100_000
    assert len(result["trends"][0]["points"]) == 12
    assert desk.context.percents == sorted(desk.context.percents)
    assert desk.context.remaining_seconds > 0


def test_cells_beyond_the_limit_are_left_out_and_said_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.builtin.data.csv_file.MOST_CELLS", 10)
    desk.write({"t.csv": "a,b\n" + "1,2\n" * 9})
    result = desk.run(AGENT, report_type="profile", file="t.csv")
    assert (result["rows"], result["truncated"]) == (5, True)
    assert "Only the first 5 rows were read." in result["report"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\n\n  \n", b'a,b\n"' + b"x" * 200_000, b"\x89PNG\r\n\x00\x00", b",".join([b"c"] * 201) + b"\n"],
)
def test_what_is_no_table_is_refused_as_the_submitters_mistake(desk: Desk, content: bytes) -> None:
    (desk.root / "t.csv").write_bytes(content)
    with pytest.raises(PermanentError) as caught:
        desk.run(AGENT, report_type="profile", file="t.csv")
    assert caught.value.user_error


def test_hostile_cells_are_harmless_in_the_report(desk: Desk) -> None:
    desk.write({"t.csv": "<script>alert(1)</script>,b\n" + "a|b\u202e<img src=x>,=cmd()\n" * 4})
    result = desk.run(AGENT, report_type="profile", file="t.csv")
    for text in (result["report"], *(desk.context.artifacts[name].decode() for name in result["charts"])):
        assert "<script>" not in text
        assert "<img" not in text
        assert "\u202e" not in text


def test_paths_out_of_the_roots_and_unknown_reports_are_refused(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "secret.csv").write_text("a\n1\n")
    (desk.root / "link.csv").symlink_to(tmp_path / "secret.csv")
    for path in ("../secret.csv", "link.csv", "/etc/passwd", "."):
        with pytest.raises(PermanentError):
            desk.run(AGENT, report_type="profile", file=path)
    with pytest.raises(jsonschema.ValidationError):
        desk.run(AGENT, report_type="yearly")


def test_it_stops_between_columns(desk: Desk) -> None:
    desk.context.cancel_at_progress = 20
    with pytest.raises(Cancelled):
        desk.run(AGENT, report_type="profile", file="examples/data/sales.csv")
