"""Agents that come with installed Python packages: entry points of the group `callboard.agents` (RUN-14).

    [project.entry-points."callboard.agents"]
    ours = "callboard_ours"                  a package with *.md inside (or a module with its own .md beside it)
    greet = "callboard_ours:greet"           a function, for definitions that say `python: {entry: greet}`

Nothing of the package is imported to find its definitions. Only the standard library is imported here.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from app.agents import folders
from app.agents.folders import File

GROUP = "callboard.agents"


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """A package with definitions, or what is wrong with it."""

    distribution: str
    module: str
    place: Path | None
    problem: str | None = None

    @property
    def source(self) -> str:
        """How its agents are marked."""
        return f"plugin:{self.distribution}"

    def paths(self) -> list[Path]:
        """Its definitions and sidecars."""
        return folders.files_of(self.place) if self.place else []

    def files(self) -> list[File]:
        """The same with their texts, or one that says what is wrong."""
        if self.place is None:
            return [File(path=f"{self.module}.md", problem=self.problem, chosen=True)]
        return folders.read(self.place)


def found() -> list[Plugin]:
    """Every package that offers definitions, by name."""
    plugins = {
        (plugin.distribution, plugin.module): plugin
        for entry in metadata.entry_points(group=GROUP)
        if ":" not in entry.value
        for plugin in _plugins(entry)
    }
    return [plugin for _, plugin in sorted(plugins.items())]


def _plugins(entry: metadata.EntryPoint) -> Iterator[Plugin]:
    distribution = entry.dist.name if entry.dist else "unknown"
    module = entry.value.partition("[")[0].strip()
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError) as wrong:
        yield Plugin(
            distribution=distribution, module=module, place=None, problem=f"it cannot be imported: {wrong}"
        )
        return
    if spec is None:
        yield Plugin(
            distribution=distribution, module=module, place=None, problem=f"there is no module `{module}`"
        )
        return
    for place in spec.submodule_search_locations or [str(Path(spec.origin or "").with_suffix(".md"))]:
        exists = Path(place).exists()
        yield Plugin(
            distribution=distribution,
            module=module,
            place=Path(place) if exists else None,
            problem=None if exists else f"the module `{module}` brings no definition",
        )
