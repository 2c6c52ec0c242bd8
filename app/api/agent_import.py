"""Agents from files that somebody sends: as JSON, or as a form with markdown files and zips."""

from __future__ import annotations

import base64
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, Field, StringConstraints, ValidationError
from werkzeug.datastructures import FileStorage, MultiDict

from app.agents import folders, importing, registry
from app.api.auth import current_principal
from app.api.glue import op
from app.api.reading import FormInput, Input, pointers
from app.errors import Invalid
from app.quality import gates

_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no", "")


class FileIn(Input):
    """One file: a definition, a callboard.yaml, or a zip of both."""

    path: Annotated[str, StringConstraints(min_length=1, max_length=folders.LONGEST_PATH)] = Field(
        description="With slashes; the stem is the agent's id, the folder above `.claude/agents` its team."
    )
    content: str
    encoding: Literal["utf-8", "base64"] = Field("utf-8", description="base64 for zips.")


class ImportIn(FormInput):
    """Definitions to import."""

    files: list[FileIn] = Field(min_length=1, max_length=folders.MOST_FILES)
    sidecar: str | None = Field(None, description="Text of a callboard.yaml for all of them.")
    dry_run: bool = Field(False, description="Only say what would change.")

    form_schema: ClassVar[dict[str, Any]] = {
        "type": "object",
        "required": ["files"],
        "properties": {
            "files": {
                "type": "array",
                "items": {"type": "string", "format": "binary"},
                "description": "*.md, callboard.yaml or *.zip; the file names are the paths.",
            },
            "sidecar": {"type": "string"},
            "dry_run": {"type": "string", "enum": ["true", "false"]},
        },
    }

    @classmethod
    def of_form(cls, form: MultiDict[str, str], files: MultiDict[str, FileStorage]) -> Self:
        """The files of a form, as base64, because they may be zips."""
        word = form.get("dry_run", "").lower()
        if word not in _TRUE + _FALSE:
            raise Invalid("The form does not fit.", [("/dry_run", "must be true or false")])
        sent = [
            {"path": file.filename, "content": base64.b64encode(file.read()).decode(), "encoding": "base64"}
            for file in files.getlist("files")
            if file.filename
        ]
        try:
            return cls.model_validate(
                {"files": sent, "sidecar": form.get("sidecar"), "dry_run": word in _TRUE}
            )
        except ValidationError as error:
            raise Invalid("The form does not fit.", pointers(error)) from error


class ComplaintOut(BaseModel):
    """One thing that is wrong with a file, or only odd."""

    message: str
    pointer: str | None = Field(description="Into the front matter; null: the file as a whole.")
    line: int | None


class ImportItem(BaseModel):
    """One file and what becomes of it."""

    path: str
    agent_id: str | None
    action: Literal["new", "changed", "unchanged", "broken"]
    title: str | None
    team: str | None
    runner: str | None
    version: str | None
    errors: list[ComplaintOut]
    warnings: list[ComplaintOut]
    added: int = Field(description="Lines, as against the present definition.")
    removed: int
    diff: str = Field(description="Unified; empty for what is new or unchanged.")


class ImportCounts(BaseModel):
    """How many files there are of each kind."""

    new: int
    changed: int
    unchanged: int
    broken: int


class ImportOut(BaseModel):
    """What was done, or would be."""

    dry_run: bool
    items: list[ImportItem]
    counts: ImportCounts
    ignored: list[str] = Field(description="Files that define no agent.")


@op("POST", "/api/v1/agents/import", verb="configure_agent", out=ImportOut)
def import_agents(body: ImportIn) -> dict[str, Any]:
    """Import agents from markdown files; what is sound is installed, what is broken is told with its line.

    Send JSON, or a form (`curl -F files=@agents.zip`). Importing the same again changes nothing.
    """
    files = importing.from_upload((file.path, _bytes(number, file)) for number, file in enumerate(body.files))
    if body.sidecar is not None:
        files.append(folders.File(path=folders.SIDECARS[0], text=body.sidecar))
    made = importing.plan(files, importing.known(), gates.names())
    if not body.dry_run:
        made = importing.apply(made, source=registry.IMPORTED, by=current_principal().user_id)
    return {"dry_run": body.dry_run, **made.public()}


def _bytes(number: int, file: FileIn) -> bytes:
    if file.encoding == "utf-8":
        return file.content.encode()
    try:
        return base64.b64decode(file.content, validate=True)
    except ValueError as wrong:
        raise Invalid("A file is no base64.", [(f"/files/{number}/content", str(wrong))]) from wrong
