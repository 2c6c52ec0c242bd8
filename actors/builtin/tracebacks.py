"""Tracebacks of Python, JavaScript and Java out of any text: error, message, frames, and what caused it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_PYTHON_FRAME = re.compile(
    r'^[ \t]*File "(?P<path>[^"\n]{1,500})", line (?P<line>\d{1,7})(?:, in (?P<function>.{1,200}))?$'
)
_PYTHON_ERROR = re.compile(r"^(?:E\s+)?(?P<error>[A-Za-z_][\w.]{0,150})(?:: (?P<message>.*))?$")
_PYTEST_PLACE = re.compile(r"^(?P<path>[\w./-]{1,300}\.py):(?P<line>\d{1,7}): (?P<error>[A-Z]\w*)?")
_JS_FRAME = re.compile(
    r"^\s*at (?:(?:async )?(?P<function>[^()\n]{1,200}?) \()?(?P<path>(?:file://|node:|https?://)?[^()\n]{1,500}?):(?P<line>\d{1,7}):\d{1,7}\)?$"
)
_JS_ERROR = re.compile(
    r"^(?:Uncaught (?:\(in promise\) )?)?(?P<error>(?:[A-Z]\w*)?(?:Error|Exception|Rejection))(?: \[[\w]+\])?: (?P<message>.*)$"
)
_JAVA_FRAME = re.compile(
    r"^\s*at (?P<function>[\w.$<>/@-]{1,300})\((?P<path>[\w$.-]{1,200}\.(?:java|kt|scala|groovy)):(?P<line>\d{1,7})\)"
)
_JAVA_ERROR = re.compile(
    r'^(?:Exception in thread "[^"\n]{0,200}" |Caused by: )?(?P<error>[a-z][\w$]*(?:\.[\w$]+)+)(?:: (?P<message>.*))?$'
)
_LINE_CHARACTERS = 2_000
MOST_FRAMES = 200


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One line of a traceback."""

    path: str
    line: int
    function: str

    @property
    def foreign(self) -> bool:
        """It lies in a library or the language itself."""
        marks = (
            "site-packages/",
            "dist-packages/",
            "/lib/python",
            "node_modules/",
            "node:",
            "<frozen",
            "<string>",
        )
        return any(mark in self.path for mark in marks) or self.function.startswith(
            ("java.", "javax.", "sun.", "jdk.")
        )


@dataclass(kw_only=True)
class Problem:
    """One error; `frames` run from the outermost call to where it was raised."""

    language: str
    error: str
    message: str
    frames: list[Frame]

    @property
    def name(self) -> str:
        """The error's name without its module."""
        return self.error.rsplit(".", 1)[-1]


def problems(text: str) -> list[Problem]:
    """Every error in the text; the last one is what was seen, those before it caused it."""
    lines = [line[:_LINE_CHARACTERS].rstrip() for line in text.replace("\r", "").split("\n")]
    for read in (_python, _java, _javascript):
        found = [problem for problem in read(lines) if problem.frames]
        if found:
            return found
    return _bare(lines)


def _python(lines: list[str]) -> list[Problem]:
    """Frames come first and the error after them."""
    found: list[Problem] = []
    frames: list[Frame] = []
    for line in lines:
        if frame := _PYTHON_FRAME.match(line):
            frames.append(
                Frame(path=frame["path"], line=int(frame["line"]), function=frame["function"] or "")
            )
        elif frames and (error := _PYTHON_ERROR.match(line)) and _is_error(error["error"]):
            found.append(_problem("python", error, frames[-MOST_FRAMES:]))
            frames = []
    return found or _pytest(lines)


def _pytest(lines: list[str]) -> list[Problem]:
    """Pytest's own form: `E   KeyError: 'x'`, then `path.py:12: KeyError`."""
    frames: list[Frame] = []
    error: re.Match[str] | None = None
    for line in lines:
        if line.startswith("E ") and (told := _PYTHON_ERROR.match(line)) and _is_error(told["error"]):
            error = told
        elif place := _PYTEST_PLACE.match(line):
            frames.append(Frame(path=place["path"], line=int(place["line"]), function=""))
    return [_problem("python", error, frames)] if error and frames else []


def _javascript(lines: list[str]) -> list[Problem]:
    """The error comes first, then the frames from the innermost out."""
    return _error_first(lines, "javascript", _JS_ERROR, _JS_FRAME)


def _java(lines: list[str]) -> list[Problem]:
    """As JavaScript; `Caused by:` comes last and is the first cause, so the order is turned round."""
    return list(reversed(_error_first(lines, "java", _JAVA_ERROR, _JAVA_FRAME)))


def _error_first(
    lines: list[str], language: str, error_form: re.Pattern[str], frame_form: re.Pattern[str]
) -> list[Problem]:
    found: list[Problem] = []
    for line in lines:
        if frame := frame_form.match(line):
            if found and len(found[-1].frames) < MOST_FRAMES:
                path = frame["path"].removeprefix("file://")
                found[-1].frames.insert(
                    0, Frame(path=path, line=int(frame["line"]), function=frame["function"] or "")
                )
        elif error := error_form.match(line.strip()):
            found.append(_problem(language, error, []))
    return found


def _bare(lines: list[str]) -> list[Problem]:
    """An error without a traceback: its last mention."""
    for language, form in (("python", _PYTHON_ERROR), ("javascript", _JS_ERROR), ("java", _JAVA_ERROR)):
        for line in reversed(lines):
            error = form.match(line.strip())
            if error and (language == "java" or _is_error(error["error"])):
                return [_problem(language, error, [])]
    return []


def _problem(language: str, error: re.Match[str], frames: list[Frame]) -> Problem:
    message = (error["message"] or "").strip()[:1000]
    return Problem(language=language, error=error["error"], message=message, frames=frames)


def _is_error(name: str) -> bool:
    """Whether a name at the start of a line is one of an error: `KeyError`, `app.errors.Full`."""
    last = name.rsplit(".", 1)[-1]
    ends = (
        "Error",
        "Exception",
        "Warning",
        "Interrupt",
        "Exit",
        "Iteration",
        "NotFound",
        "Timeout",
        "DoesNotExist",
    )
    return last.endswith(ends) or ("." in name and last[:1].isupper())
