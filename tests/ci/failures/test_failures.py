"""Which class a failure gets: what the program says of itself comes before what its log seems to say.

``logs/`` holds the ends of logs of failures. Where the first line says so they follow what a library's documentation or
issue threads quote, or were written by hand; all others are what the program printed when the failure was provoked.
"""

import signal
from pathlib import Path

import pytest

from ci.failures.classify import Failure, classify, last_words
from ci.failures.table import BY_EXIT_CODE, FAILURES
from ci.files import tail

LOGS = Path(__file__).with_name("logs")
NAMES = sorted(path.stem for path in LOGS.glob("*.txt"))
# What no log can tell: it ends like that of a process that was still working, or that did well.
UNTOLD = {
    "timeout": {"returncode": -15, "timed_out": True},
    "signal_killed": {"returncode": -9},
    "signal_terminated": {"returncode": 143},
    "stopped": {"error": {"kind": "stopped", "message": "ended by SIGINT"}},
    "no_evidence": {"error": {"kind": "no_evidence", "message": "model.pt was not written"}},
    "not_run": {"error": {"kind": "not_run", "message": ""}},
}
LOG = ["$ python run.py", "starting", "", "CUDA out of memory in a comment"]


def kind_of(name: str) -> str:
    """A log is named after its class, and what is special about it."""
    return max((kind for kind in FAILURES if name == kind or name.startswith(f"{kind}_")), key=len)


def judged(log, returncode=1, timed_out=False, error=None) -> Failure:
    return classify(returncode, timed_out, error, log, 60.0)


def read(name: str) -> list[str]:
    return tail(LOGS / f"{name}.txt", 200)


def test_every_class_has_a_recorded_log():
    assert {kind_of(name) for name in NAMES} == set(FAILURES)
    assert set(FAILURES) <= set(NAMES)
    assert set(UNTOLD) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_text_alone(name):
    assert judged(read(name)).kind == ("unexpected" if name in UNTOLD else kind_of(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_deadline_overrules_the_text(name):
    assert judged(read(name), returncode=-15, timed_out=True, error={"kind": "capacity"}).kind == "timeout"


@pytest.mark.parametrize("name", NAMES)
def test_error_json_overrules_the_text(name):
    for kind in FAILURES:
        failure = judged(read(name), error={"kind": kind, "message": "as it says itself"})
        assert failure == Failure(kind, "as it says itself")


@pytest.mark.parametrize("name", NAMES)
def test_the_exit_code_overrules_the_text(name):
    for code, entry in BY_EXIT_CODE.items():
        assert judged(read(name), returncode=code).kind == entry.kind


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("returncode", [-9, 137, -11, 139, -15, 130, -34])
def test_a_signal_overrules_the_text_and_is_named(name, returncode):
    number = -returncode if returncode < 0 else returncode - 128
    word = signal.Signals(number).name if number < 32 else "SIGRTMIN"
    failure = judged(read(name), returncode=returncode)
    assert failure.kind == "signal"
    assert word in failure.message


@pytest.mark.parametrize("name", [name for name in UNTOLD])
def test_what_no_log_can_tell_is_told_by_the_rest(name):
    assert judged(read(name), **UNTOLD[name]).kind == kind_of(name)


def test_a_process_that_aborts_itself_has_said_why():
    assert judged(read("driver_watchdog"), returncode=-6).kind == "driver"
    assert judged(read("process_group_watchdog"), returncode=134).kind == "process_group"
    assert judged(["what a day"], returncode=-6) == Failure(
        "signal", "ended by SIGABRT; the last line of its log is 'what a day'"
    )


def test_signals_that_have_no_name_here():
    assert "signal 40" in judged(LOG, returncode=-40).message
    assert judged(["bye"], returncode=255).kind == "unexpected"  # 127 past 128 is no signal


@pytest.mark.parametrize("kind", ["divergence", "display", "missing_data", "input", "render"])
def test_the_framework_s_own_sentence_in_the_log_names_the_kind(kind):
    failure = judged(["noise", f"error ({kind}): CUDA out of memory; No space left on device"])
    assert failure == Failure(kind, "CUDA out of memory; No space left on device")


@pytest.mark.parametrize("line", ["error (happiness): out of memory", "error (timeout): out of memory"])
def test_a_kind_that_the_framework_does_not_have_is_no_kind(line):
    assert judged([line]).kind == "out_of_memory"


def test_the_message_is_the_line_that_tells():
    assert judged(read("out_of_memory_nccl")).message == "Cuda failure 2 'out of memory'"
    assert "EADDRINUSE" in judged(read("process_group_port_traceback")).message
    assert judged(read("unexpected_in_one_of_two")).message == "AssertionError"


@pytest.mark.parametrize(
    ("message", "kind", "words"),
    [
        ("training process 0 failed:\nTraceback (most recent call last):\n  File\nKeyError: 'a'", "unexpected", "KeyE"),
        ("training process 0 failed:\nTraceback (most recent call last):\n  x\nMemoryError", "out_of_memory", "Memory"),
        ("MemoryError is the word", "unexpected", "is the word"),
    ],
)
def test_a_report_of_the_unforeseen_quotes_a_traceback(message, kind, words):
    failure = judged(LOG, error={"kind": "unexpected", "message": message})
    assert failure.kind == kind
    assert words in failure.message
    assert "Traceback" not in failure.message


@pytest.mark.parametrize("count", [3, 4])
def test_an_error_that_was_survived_is_none(count):
    log = ["MemoryError: no room", *["a step"] * count, ""]
    assert judged(log).kind == ("out_of_memory" if count == 3 else "unexpected")


def test_warnings_at_exit_follow_an_error_without_hiding_it():
    noise = ["[W1122 ProcessGroup.cpp:10] Warning: destroy_process_group() was not called", "  warnings.warn("]
    assert judged(["MemoryError: no room", *noise * 5]).kind == "out_of_memory"


def test_only_the_last_paragraph_counts_where_nothing_is_an_error():
    assert judged(["no space left on device", "", "all is well"]).kind == "unexpected"
    assert judged(["all is well", "", "no space left on device"]).kind == "disk_full"


@pytest.mark.parametrize(
    ("returncode", "timed_out", "error", "log", "kind"),
    [
        (-15, True, {"kind": "render", "message": "x"}, LOG, "timeout"),
        (1, False, {"kind": "divergence", "message": "loss is NaN"}, LOG, "divergence"),
        (3, False, {"kind": "capacity", "message": "full"}, LOG, "capacity"),
        (0, False, {"kind": "render", "message": "x"}, LOG, "render"),
        (6, False, {}, LOG, "divergence"),
        (-9, False, {"kind": "capacity", "message": "full"}, LOG, "capacity"),
        (1, False, None, LOG, "out_of_memory"),
        (1, False, None, ["nconmax overflow: 400 contacts"], "capacity"),
        (1, False, None, ["ncclSystemError: socket"], "process_group"),
        (1, False, None, ["pyglet.display.xlib.NoSuchDisplayException"], "display"),
        (0, False, {}, ["all is well"], "unexpected"),
        (1, False, {"kind": "never heard of", "message": "x"}, ["AssertionError"], "unexpected"),
        (1, False, {"kind": ["out_of_memory"]}, ["AssertionError"], "unexpected"),
    ],
)
def test_the_class_comes_from_the_best_witness(returncode, timed_out, error, log, kind):
    assert classify(returncode, timed_out, error, log, 60.0).kind == kind


def test_what_happens_next():
    actions = {kind: entry.action for kind, entry in FAILURES.items() if entry.action != "final"}
    assert actions == {"out_of_memory": "next_rung", "capacity": "next_rung", "process_group": "retry_once"}


def test_every_exit_code_of_the_framework_has_its_class():
    from mimickit import errors

    kinds = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.MimicKitError)]
    told_apart = {cls.exit_code: cls.kind for cls in kinds if cls.exit_code != 1}
    assert {entry.exit_code: entry.kind for entry in FAILURES.values() if entry.exit_code} == told_apart


def test_every_row_is_filled_in():
    for kind, entry in FAILURES.items():
        assert entry.kind == kind
        assert entry.meaning
        assert entry.remedy


def test_the_sentence_holds_stage_kind_message_and_remedy():
    text = Failure("capacity", "njmax is 300,\n  410 are needed.").sentence("train")
    assert text.startswith("train failed (capacity): njmax is 300, 410 are needed; remedy: raise contacts_per_env")
    assert text.count(".") == 1


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (["noise", "", "a.txt:3: unknown key", "did you mean mode?", ""], "a.txt:3: unknown key did you mean mode?"),
        (["Traceback (most recent call last):", "  File", "KeyError: 'a'"], "KeyError: 'a'"),
        (["$ python run.py"], ""),
        ([], ""),
    ],
)
def test_last_words_are_the_last_paragraph_or_the_end_of_a_traceback(log, words):
    assert last_words(log) == words


def test_the_readme_has_the_table():
    lines = (Path(__file__).parents[3] / "ci" / "README.md").read_text().splitlines()
    start = lines.index("| class | means | what to do | then |") + 2
    rows = [line.strip("| ").split(" | ") for line in lines[start : start + len(FAILURES)]]
    assert [row[:3] for row in rows] == [[f"`{kind}`", one.meaning, one.remedy] for kind, one in FAILURES.items()]
    then = {"next_rung": "next rung", "retry_once": "once more", "final": "final"}
    assert all(then[one.action] in row[3] for row, one in zip(rows, FAILURES.values(), strict=True))
