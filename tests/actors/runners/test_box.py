"""A boxed program: watched while it runs, and gone without a trace whatever happens."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from actors.runners.box import OutOfMemory, OutputLimit, run_boxed
from actors.runners.order import Limits
from app.errors import AttemptTimeout, Cancelled, PermanentError, Released, Stalled, TemporaryError
from app.settings import ROOT
from tests.actors.runners.boxes import TREE, LeaseLost, alive, shell, work_for
from tests.doubles import RecordingContext
from tests.waiting import until


def when_planted(act: Callable[[], object]) -> Callable[[str, str], None]:
    """An on_line that acts once the tree stands."""

    def listen(stream: str, text: str) -> None:
        if text == "planted":
            act()

    return listen


def seconds_since(start: float) -> float:
    return time.monotonic() - start


def test_what_a_program_prints_reaches_the_log_while_it_runs(context: RecordingContext) -> None:
    ending = shell("echo one; echo two >&2; exit 3", context)

    assert (ending.exit_code, ending.stdout, ending.stderr) == (3, "one\n", "two\n")
    assert {(line["source"], line["message"]) for line in context.logs} == {
        ("stdout", "one"),
        ("stderr", "two"),
    }
    assert len(context.pids) == 1


def test_a_line_is_heard_before_the_program_ends(context: RecordingContext) -> None:
    heard: list[str] = []

    def answer(stream: str, text: str) -> None:
        heard.append(text)
        (context.workspace / "go").touch()

    ending = shell("echo ready; while [ ! -e go ]; do sleep 0.05; done; echo gone", context, on_line=answer)

    assert (ending.exit_code, heard) == (0, ["ready", "gone"])


@pytest.mark.parametrize(
    ("wish", "error", "most_seconds"),
    [("cancelled", Cancelled, 6.5), ("releasing", Released, 3.5)],
)
def test_a_stop_leaves_nobody_of_the_tree(
    context: RecordingContext, wish: str, error: type[Exception], most_seconds: float
) -> None:
    work = work_for({})
    start = time.monotonic()

    with pytest.raises(error):
        shell(TREE, context, work, on_line=when_planted(lambda: setattr(context, wish, True)))

    assert alive(work) == []
    assert seconds_since(start) < most_seconds


def test_a_lost_lease_ends_the_tree(context: RecordingContext) -> None:
    work, losing = work_for({}), LeaseLost(workspace=context.workspace)

    with pytest.raises(Cancelled):
        shell(TREE, losing, work, on_line=when_planted(lambda: setattr(losing, "lost", True)))

    assert alive(work) == []


def test_an_error_that_the_checkpoint_raises_ends_the_tree_and_comes_back(context: RecordingContext) -> None:
    work, error = work_for({}), Stalled("Nothing was heard for 300 s.")

    with pytest.raises(Stalled) as caught:
        shell(
            "echo stuck >&2;" + TREE,
            context,
            work,
            on_line=when_planted(lambda: setattr(context, "stop_error", error)),
        )

    assert caught.value is error
    assert str(error.details["stderr"]).startswith("stuck\n")
    assert alive(work) == []


def test_a_shutdown_shortens_the_grace_of_a_cancelled_program(context: RecordingContext) -> None:
    def stop_twice() -> None:
        context.cancelled = True
        threading.Timer(0.3, lambda: setattr(context, "releasing", True)).start()

    start = time.monotonic()

    with pytest.raises(Cancelled):
        shell(TREE, context, on_line=when_planted(stop_twice))

    assert seconds_since(start) < 4


def test_a_program_that_obeys_term_is_stopped_at_once(context: RecordingContext) -> None:
    start = time.monotonic()

    with pytest.raises(Cancelled):
        shell(
            "echo planted; exec sleep 300",
            context,
            on_line=when_planted(lambda: setattr(context, "cancelled", True)),
        )

    assert seconds_since(start) < 4  # the grace would be five


def test_a_stopped_program_may_still_say_its_last_words(context: RecordingContext) -> None:
    heard: list[str] = []

    def listen(stream: str, text: str) -> None:
        heard.append(text)
        context.cancelled = True  # from the first line on

    with pytest.raises(Cancelled):
        shell(
            "trap 'echo bye; exit 0' TERM; echo planted; while :; do sleep 0.05; done",
            context,
            on_line=listen,
        )

    assert heard[0] == "planted"
    assert "bye" in heard  # the shell may add what became of its own child


def test_the_time_limit_ends_the_tree(context: RecordingContext) -> None:
    work = work_for({})

    with pytest.raises(AttemptTimeout) as caught:
        shell("echo late >&2;" + TREE, context, work, timeout_seconds=0.5)

    assert alive(work) == []
    assert "0.5 s" in caught.value.message
    assert str(caught.value.details["stderr"]).startswith("late\n")


def test_the_jobs_own_deadline_ends_the_tree_too(context: RecordingContext) -> None:
    context.timeout_seconds = 0.5

    with pytest.raises(AttemptTimeout):
        shell("sleep 300", context)


def test_grandchildren_that_hold_the_output_do_not_hang_the_runner(context: RecordingContext) -> None:
    work = work_for({})
    start = time.monotonic()

    ending = shell("sleep 300 & setsid sleep 300 & echo done", context, work)

    assert (ending.exit_code, ending.stdout) == (0, "done\n")
    assert seconds_since(start) < 3
    assert alive(work) == []


def test_a_killed_worker_leaves_nobody(tmp_path: Path) -> None:
    work = work_for({})
    script = (
        "import sys; from pathlib import Path; from tests.actors.runners.boxes import *\n"
        f"work = work_for({{}}, idempotency_key={work.idempotency_key!r})\n"
        f"context = context_in(Path({str(tmp_path)!r}))\n"
        "shell(TREE, context, work, on_line=lambda stream, text: print(text, flush=True))\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None
    assert worker.stdout.readline() == "planted\n"
    until(lambda: len(alive(work)) >= 4)

    worker.kill()
    worker.wait()

    until(lambda: alive(work) == [])
    worker.stdout.close()


def test_a_killed_warden_leaves_nobody(context: RecordingContext) -> None:
    work = work_for({})

    def kill_warden(stream: str, text: str) -> None:
        if text.isdecimal():
            psutil.Process(int(text)).parent().kill()  # type: ignore[union-attr]

    with pytest.raises(TemporaryError, match="watched"):
        shell(TREE.replace("planted", "$$"), context, work, on_line=kill_warden)

    until(lambda: alive(work) == [])


def test_a_failure_in_the_worker_ends_the_tree(context: RecordingContext) -> None:
    work = work_for({})

    def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        shell(TREE, context, work, on_line=when_planted(fail))

    assert alive(work) == []


def test_a_tree_that_takes_too_much_memory_is_ended_and_the_worker_lives(context: RecordingContext) -> None:
    work = work_for({})
    hog = f"{sys.executable} -c \"held = b'x' * 400_000_000; import time; time.sleep(300)\" & wait"

    with pytest.raises(OutOfMemory) as caught:
        shell(hog, context, work, memory_mb=150)

    assert caught.value.code == "oom"
    assert caught.value.retryable
    assert alive(work) == []
    assert shell("echo well", context).stdout == "well\n"


def test_a_flood_is_cut_off(context: RecordingContext) -> None:
    with pytest.raises(OutputLimit):
        shell("yes " + "x" * 200, context, output_bytes=3_000_000)

    logged = sum(len(line["message"]) for line in context.logs)
    assert 900_000 < logged < 1_010_000
    assert "too much" in context.logs[-1]["message"]


def test_of_much_output_the_end_is_kept(context: RecordingContext) -> None:
    ending = shell("head -c 3000000 /dev/zero | tr '\\0' x; echo; echo end", context, on_line=lambda *_: None)

    assert ending.stdout_cut
    assert len(ending.stdout) == 1_000_000
    assert ending.stdout.endswith("x\nend\n")


def test_a_missing_program_is_a_permanent_error(context: RecordingContext) -> None:
    with pytest.raises(PermanentError, match="no-such-cli"):
        run_boxed(
            ["no-such-cli"], context=context, cwd=context.workspace, env={}, limits=Limits(timeout_seconds=5)
        )


def test_a_file_that_is_no_program_is_a_permanent_error(context: RecordingContext) -> None:
    program = context.workspace / "notes"
    program.write_bytes(b"\x00not a program")
    program.chmod(0o700)

    with pytest.raises(PermanentError, match="could not be started"):
        run_boxed(
            [str(program)], context=context, cwd=context.workspace, env={}, limits=Limits(timeout_seconds=5)
        )


def test_a_term_from_the_platform_hands_the_job_back_if_the_worker_drains_too(
    context: RecordingContext,
) -> None:
    def term_everything(stream: str, text: str) -> None:
        os.kill(int(text), signal.SIGTERM)
        threading.Timer(0.5, lambda: setattr(context, "releasing", True)).start()

    with pytest.raises(Released):
        shell("echo $$; exec sleep 300", context, on_line=term_everything)


def test_a_term_from_somebody_else_is_the_programs_own_end(context: RecordingContext) -> None:
    ending = shell("kill -TERM $$", context)

    assert ending.exit_code == -15


def test_the_child_starts_clean(context: RecordingContext) -> None:
    script = (
        "ulimit -c; ulimit -n; umask; cat /proc/self/oom_score_adj; ls /proc/self/fd | wc -l;"
        " grep -E 'SigIgn|SigBlk|NoNewPrivs' /proc/self/status | tr -d '\\t'"
    )

    said = shell(script, context).stdout.split()

    expected_files = str(min(1024, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    assert said[:5] == ["0", expected_files, "0077", "800", "4"]  # ls has its folder open besides 0, 1, 2
    masks = dict(line.split(":") for line in said[5:])
    assert masks.pop("NoNewPrivs") == "1"
    # The C library keeps signals 32 and 33 for itself; whoever started us may have left them ignored.
    assert {name: int(mask, 16) & 0x7FFFFFFF for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0}


def test_stdin_arrives_whole_and_without_it_there_is_an_end(context: RecordingContext) -> None:
    assert shell("wc -c", context, stdin=b"x" * 500_000).stdout.strip() == "500000"
    assert shell("wc -c", context).stdout.strip() == "0"


def test_a_run_leaves_no_descriptor_and_no_zombie(context: RecordingContext) -> None:
    shell("true", context)
    before = len(os.listdir("/proc/self/fd"))

    for _ in range(5):
        shell("echo x", context)

    assert len(os.listdir("/proc/self/fd")) == before
    assert [child for child in psutil.Process().children() if child.status() == psutil.STATUS_ZOMBIE] == []
