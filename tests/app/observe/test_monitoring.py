"""What is shipped for Prometheus and Grafana, and what docs/observability.md says, agree with the code."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import yaml

from app.observe import metrics
from app.observe.metrics import Figure
from app.settings import ROOT

MONITORING = ROOT / "docs" / "monitoring"
GUIDE = (ROOT / "docs" / "observability.md").read_text()
DASHBOARDS = sorted(MONITORING.glob("*.grafana.json"))
FIGURES = (*metrics.ASKED_FOR, *metrics.COUNTED)
NAME = re.compile(r"\bcallboard_\w+")
RULES = [
    rule
    for group in yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    for rule in group["rules"]
]


def names_of(figure: Figure) -> set[str]:
    endings = ("_bucket", "_sum", "_count") if figure.kind == "histogram" else ("",)
    return {figure.name + ending for ending in endings}


KNOWN = set().union(*(names_of(figure) for figure in FIGURES))


def targets(dashboard: dict[str, Any]) -> list[str]:
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_names_follow_the_conventions() -> None:
    for figure in FIGURES:
        assert re.fullmatch(r"callboard_[a-z][a-z0-9_]*[a-z]", figure.name), figure.name
        assert figure.name.endswith("_total") == (figure.kind == "counter"), figure.name
        assert figure.kind != "histogram" or figure.name.endswith("_seconds"), figure.name
        assert figure.text.endswith("."), figure.name
        assert "id" not in figure.labels, "ids would make a series for each"
    assert len({figure.name for figure in FIGURES}) == len(FIGURES)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: str(rule["alert"]))
def test_a_rule_speaks_of_figures_there_are_and_leads_to_what_to_do(rule: dict[str, Any]) -> None:
    used = set(NAME.findall(rule["expr"]))
    assert used <= KNOWN, used - KNOWN
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^#+ (.+)$", (ROOT / file).read_text(), re.MULTILINE)
    assert anchor in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    tested = (MONITORING / "alerts.test.yml").read_text() + (MONITORING / "alerts-money.test.yml").read_text()
    assert f"alertname: {rule['alert']}\n" in tested


def test_three_dashboards_are_shipped() -> None:
    found = [json.loads(file.read_text()) for file in DASHBOARDS]
    assert len({dashboard["uid"] for dashboard in found}) == len({d["title"] for d in found}) == 3


@pytest.mark.parametrize("file", DASHBOARDS, ids=lambda file: file.name)
def test_a_dashboard_can_be_imported_and_asks_for_figures_there_are(file: Any) -> None:
    dashboard = json.loads(file.read_text())
    used = set(NAME.findall(" ".join(targets(dashboard))))
    assert used, file
    assert used <= KNOWN, used - KNOWN
    assert dashboard["schemaVersion"] >= 39
    assert dashboard["id"] is None
    (variable,) = dashboard["templating"]["list"]
    assert (variable["type"], variable["query"]) == ("datasource", "prometheus")
    panels = dashboard["panels"]
    assert 1 < len(panels) <= 14
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in panels:
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert {target["datasource"]["uid"] for target in panel["targets"]} == {"${datasource}"}
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24, panel["title"]
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in panels]
    assert len(set(places)) == len(places)


def test_the_guide_lists_every_figure_as_it_is() -> None:
    rows = re.findall(r"^\| `(callboard_\w+)` \| (\w+) \| (.*?) \| (.*?) \|$", GUIDE, re.MULTILINE)
    expected = {
        figure.name: (figure.kind, " ".join(f"`{label}`" for label in figure.labels) or "–", figure.text)
        for figure in FIGURES
    }
    assert {name: (kind, labels, text) for name, kind, labels, text in rows} == expected


# log.info("x"), log.log(level, "x"), and what is named before it is logged.
_LOGGED = re.compile(
    r"\blog\.\w+\(\s*\"([a-z_]+\.[a-z_]+)\" if .*? else \"([a-z_]+\.[a-z_]+)\""
    r"|\blog\.(?:debug|info|warning|error|critical|exception)\(\s*\"([a-z_]+\.[a-z_]+)\""
    r"|\blog\.log\(\s*\w+,\s*\"([a-z_]+\.[a-z_]+)\""
    r"|\b_note\(\s*\"(auth\.[a-z_]+)\""
    r"|\bget\(\"\w+\"\)\.\w+\(\"([a-z_]+\.[a-z_]+)\""
)


def test_the_guide_lists_every_event_of_the_log() -> None:
    logged = {
        name
        for folder in ("app", "actors")
        for file in (ROOT / folder).rglob("*.py")
        for found in _LOGGED.findall(file.read_text())
        for name in found
        if name
    }
    section = GUIDE[GUIDE.index("### Events") : GUIDE.index("## Metrics")]
    listed = set(re.findall(r"`([a-z_]+\.[a-z_]+)`", section))
    assert len(logged) > 60
    assert listed == logged
