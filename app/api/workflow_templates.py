"""Templates of workflows: definitions under a name, with versions, and running one."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, StringConstraints

from app.accounts.permissions import demand, may
from app.api.answers import Answer
from app.api.auth import current_principal
from app.api.glue import op
from app.api.noted import noted
from app.api.reading import Input
from app.api.request_id import current as current_request_id
from app.api.shapes import JSON, Page, PageQuery, When
from app.api.workflow_shapes import RunIn, Source, TemplateName, TemplateVersion, WorkflowAccepted
from app.api.workflows import accepted
from app.db import Row
from app.errors import Forbidden, Invalid, NotFound
from app.workflows import review, runs, templates
from app.workflows.runs import RunWish

Visibility = Literal["private", "shared"]


class TemplateOut(BaseModel):
    """A template in the list of all."""

    name: str
    title: str
    description: str | None
    owner: str | None = Field(description="null: it comes with the product.")
    visibility: Visibility = Field(description="private: for its owner and admins.")
    current_version: int
    inputs: JSON | None = Field(description="JSON Schema of what a run takes; null: anything.")
    created_at: When
    updated_at: When
    actions: list[str] = Field(description="What you may do with it: run, save, archive.")


class TemplateWhole(TemplateOut):
    """A template with one of its versions."""

    version: int
    definition: JSON
    source: str = Field(description="As somebody typed it, YAML or JSON.")
    note: str | None
    created_by: str | None = Field(description="Who saved this version; null: it came with the product.")
    saved_at: When


class TemplatesQuery(PageQuery):
    """Which templates."""

    q: Annotated[str, StringConstraints(max_length=200)] | None = Field(
        None, description="In the name, title or description."
    )


class TemplatesOut(Page):
    """The templates that you may see, by name."""

    templates: list[TemplateOut]


class TemplateIn(Input):
    """A definition to keep: as `definition`, or as text in `source`."""

    name: TemplateName = Field(description="An existing name gets a new version.")
    definition: JSON | None = None
    source: Source | None = Field(None, description="YAML or JSON.")
    title: Annotated[str, StringConstraints(min_length=1, max_length=255)] | None = Field(
        None, description="Left out: as it is, at first the definition's name."
    )
    visibility: Visibility | None = Field(None, description="Left out: as it is, at first private.")
    note: Annotated[str, StringConstraints(min_length=1, max_length=500)] | None = Field(
        None, description="What is new in this version."
    )


class TemplateVersionOut(BaseModel):
    """One version in the list of all."""

    version: int
    note: str | None
    created_by: str | None
    created_at: When
    current: bool
    added: int | None = Field(description="Lines since the version before; null for the first.")
    removed: int | None


class TemplateVersionsOut(BaseModel):
    """The newest hundred versions of a template, newest first."""

    name: str
    versions: list[TemplateVersionOut]


class TemplateRunIn(RunIn):
    """What a run of a template takes."""

    version: TemplateVersion | None = Field(None, description="Left out: the current one.")


@op("GET", "/api/v1/workflow-templates", verb="view_templates", out=TemplatesOut)
def list_workflow_templates(query: TemplatesQuery) -> dict[str, Any]:
    """List templates: shared ones and your own; admins see all."""
    who = current_principal()
    rows = templates.page(who.user_id, who.is_admin, q=query.q, limit=query.limit, offset=query.offset)
    return {
        "templates": [_shown(row, TemplateOut) for row in rows],
        "total": templates.count(who.user_id, who.is_admin, q=query.q),
        "limit": query.limit,
        "offset": query.offset,
    }


@op(
    "POST",
    "/api/v1/workflow-templates",
    verb="submit_workflow",
    out=TemplateWhole,
    status=201,
    errors=(409,),
)
def save_workflow_template(body: TemplateIn) -> dict[str, Any]:
    """Keep a definition under a name; saving what is there already makes no new version.

    Only the owner and admins save over a template. What would not run is refused, with each mistake.
    """
    who = current_principal()
    if (body.definition is None) == (body.source is None):
        raise Invalid("Send either definition or source.", [("/definition", "or source, and not both")])
    try:
        saved = templates.save(
            body.name,
            by=who.user_id,
            text=body.source,
            raw=body.definition,
            title=body.title,
            visibility=body.visibility,
            note=body.note,
            over_others=who.is_admin,
        )
    except Invalid:
        _demand_sound(body)
        raise
    noted(
        "workflow_template.saved", body.name, {"version": saved["version"], "visibility": saved["visibility"]}
    )
    return _shown(saved, TemplateWhole)


@op("GET", "/api/v1/workflow-templates/<name>", verb="view_templates", out=TemplateWhole, errors=(404,))
def get_workflow_template(name: TemplateName) -> dict[str, Any]:
    """Show a template with its current definition."""
    _demand_visible(name)
    return _shown(templates.get(name), TemplateWhole)


@op("DELETE", "/api/v1/workflow-templates/<name>", verb="manage_template", status=204, errors=(404,))
def archive_workflow_template(name: TemplateName) -> None:
    """Take a template out of the list; its runs and versions are kept, saving or restoring brings it back."""
    _demand_mine(name)
    templates.archive(name)
    noted("workflow_template.archived", name)


@op(
    "GET",
    "/api/v1/workflow-templates/<name>/versions",
    verb="view_templates",
    out=TemplateVersionsOut,
    errors=(404,),
)
def list_workflow_template_versions(name: TemplateName) -> dict[str, Any]:
    """List the versions of a template."""
    _demand_visible(name)
    return {"name": name, "versions": templates.versions(name)}


@op(
    "GET",
    "/api/v1/workflow-templates/<name>/versions/<version>",
    verb="view_templates",
    out=TemplateWhole,
    errors=(404,),
)
def get_workflow_template_version(name: TemplateName, version: TemplateVersion) -> dict[str, Any]:
    """Show a template with one of its versions."""
    _demand_visible(name)
    return _shown(templates.get(name, version), TemplateWhole)


@op(
    "POST",
    "/api/v1/workflow-templates/<name>/versions/<version>/restore",
    verb="manage_template",
    out=TemplateWhole,
    errors=(404,),
)
def restore_workflow_template(name: TemplateName, version: TemplateVersion) -> dict[str, Any]:
    """Make an old version current again, as a new version; an archived template comes back."""
    _demand_mine(name)
    restored = templates.restore(name, version, by=current_principal().user_id)
    noted("workflow_template.restored", name, {"restored": version, "version": restored["version"]})
    return _shown(restored, TemplateWhole)


@op(
    "POST",
    "/api/v1/workflow-templates/<name>/run",
    verb="submit_workflow",
    out=WorkflowAccepted,
    status=201,
    errors=(404,),
    idempotent=True,
)
def run_workflow_template(name: TemplateName, body: TemplateRunIn | None) -> Answer:
    """Run a template; what its schema has defaults for may be left out of `inputs`."""
    _demand_visible(name)
    told = body or TemplateRunIn()
    found = templates.get(name, told.version)
    wish = RunWish(
        definition=templates.definition(name, found["version"]),
        submitted_by=current_principal().user_id,
        inputs=told.inputs,
        priority=told.priority,
        tags=tuple(told.tags),
        notify=told.notification(),
        template_name=name,
        template_version=found["version"],
        correlation_id=current_request_id(),
    )
    return accepted(runs.start(wish), template=name)


def _demand_sound(body: TemplateIn) -> None:
    """Raise Invalid that tells each mistake of the definition where it stands in the body."""
    known = templates.knowledge(current_principal().user_id)
    if body.source is None:
        review.of_json(body.definition, known).demand_sound("/definition")
    else:
        review.of_text(body.source, known).demand_sound("/source")


def _demand_visible(name: str) -> None:
    who = current_principal()
    if not templates.is_visible(templates.owner_of(name), who.user_id, who.is_admin):
        raise NotFound(f"there is no template {name!r}")


def _demand_mine(name: str) -> None:
    """What they may not see does not exist for them; what they may only see is forbidden."""
    _demand_visible(name)
    try:
        demand(current_principal(), "manage_template", templates.owner_of(name)["owner"])
    except NotFound:
        raise Forbidden(f"only its owner and admins may change the template {name!r}") from None


def _shown(row: Row, shape: type[BaseModel]) -> dict[str, Any]:
    inputs = row["inputs"] if "inputs" in row else row["definition"].get("inputs")
    shown = row | {"inputs": inputs, "actions": _actions(row)}
    return {name: shown[name] for name in shape.model_fields}


def _actions(row: Row) -> list[str]:
    who = current_principal()
    mine = may(who, "manage_template", row["owner"])
    return [*(["run"] if may(who, "submit_workflow") else []), *(["save", "archive"] if mine else [])]
