"""The words that open a conversation: the agent's template or labelled sections, and the files it was given."""

from __future__ import annotations

from pathlib import Path

from actors.builtin import places
from actors.runners.base import JSON, Work
from actors.runners.prompt import prompt_for
from app.errors import PermanentError

FILES = "files"
MAX_FILES = 50
MAX_FILE_BYTES = 200_000
MAX_ALL_BYTES = 600_000


def prompt_of(work: Work, template: str | None) -> str:
    """The first message to the model; raises PermanentError for files that may not or cannot be read.

    The texts of `files` follow under their names, each at most 200 kB and all together 600 kB.
    """
    parameters, files = split_files(work.parameters)
    texts = [shown(work, name) for name in files]
    if (size := sum(len(text.encode()) for text in texts)) > MAX_ALL_BYTES:
        refuse(f"The files have {size} bytes together; at most {MAX_ALL_BYTES} can be read along.")
    told = work.parameters if template else parameters
    return "\n\n".join(part for part in (prompt_for(template, told), *texts) if part)


def split_files(parameters: JSON) -> tuple[JSON, list[str]]:
    """The other parameters, and the paths under `files`."""
    files = parameters.get(FILES)
    if not isinstance(files, list) or not all(isinstance(name, str) for name in files):
        return parameters, []
    if len(files) > MAX_FILES:
        refuse(f"At most {MAX_FILES} files can be read along.")
    return {name: value for name, value in parameters.items() if name != FILES}, files


def shown(work: Work, name: str) -> str:
    """One file as the model sees it."""
    path = places.confined(name, places.roots(work, places.READ), parameter=FILES, setting=places.READ)
    return f"## File: {name}\n\n{fenced(text_of(path, name))}"


def text_of(path: Path, name: str) -> str:
    """The text of a regular file; raises PermanentError for anything else."""
    if not path.is_file():
        refuse(f"`{name}` is no file.")
    with path.open("rb") as file:
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        refuse(f"`{name}` has more than {MAX_FILE_BYTES} bytes.")
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        refuse(f"`{name}` is no text in UTF-8.")
    return text


def fenced(text: str) -> str:
    """`text` in a fence longer than any inside, so that a file cannot step out of it."""
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}\n{text.rstrip()}\n{fence}"


def refuse(message: str) -> None:
    """Fail for good because of what the submitter wrote."""
    raise PermanentError(message, user_error=True, details={"field": f"/parameters/{FILES}"})
