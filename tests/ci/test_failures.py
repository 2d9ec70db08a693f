"""Which class a failure gets: what the program says of itself comes before what its log seems to say."""

import pytest

from ci.failures import FAILURES, Failure, classify, last_words

LOG = ["$ python run.py", "starting", "", "CUDA out of memory in a comment"]


@pytest.mark.parametrize(
    ("returncode", "timed_out", "error", "log", "kind"),
    [
        (-15, True, {"kind": "render", "message": "x"}, LOG, "timeout"),
        (1, False, {"kind": "divergence", "message": "loss is NaN"}, LOG, "divergence"),
        (3, False, {"kind": "capacity", "message": "full"}, LOG, "capacity"),
        (0, False, {"kind": "render", "message": "x"}, LOG, "render"),
        (2, False, None, LOG, "input"),
        (5, False, None, LOG, "render"),
        (6, False, {}, LOG, "divergence"),
        (7, False, None, LOG, "process_group"),
        (-9, False, None, LOG, "signal"),
        (143, False, None, LOG, "signal"),
        (1, False, None, LOG, "out_of_memory"),
        (1, False, None, ["nconmax overflow: 400 contacts"], "capacity"),
        (1, False, None, ["OSError: [Errno 28] No space left on device"], "disk_full"),
        (1, False, None, ["ModuleNotFoundError: No module named 'newton'"], "import_error"),
        (1, False, None, ["ncclSystemError: socket"], "process_group"),
        (1, False, None, ["CUDA driver version is insufficient"], "driver"),
        (1, False, None, ["pyglet.display.xlib.NoSuchDisplayException"], "render"),
        (1, False, None, ["AssertionError"], "unexpected"),
        (0, False, {}, ["all is well"], "unexpected"),
        (1, False, {"kind": "never heard of", "message": "x"}, ["AssertionError"], "unexpected"),
    ],
)
def test_the_class_comes_from_the_best_witness(returncode, timed_out, error, log, kind):
    assert classify(returncode, timed_out, error, log, 60.0).kind == kind


def test_a_signal_is_named():
    assert "SIGSEGV" in classify(-11, False, None, ["bye"], 60.0).message


def test_only_memory_and_capacity_step_down():
    assert {kind for kind, entry in FAILURES.items() if entry.action == "next_rung"} == {"out_of_memory", "capacity"}


def test_every_exit_code_of_the_framework_has_its_class():
    from mimickit import errors

    kinds = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.MimicKitError)]
    told_apart = {cls.exit_code: cls.kind for cls in kinds if cls.exit_code != 1}
    assert {entry.exit_code: entry.kind for entry in FAILURES.values() if entry.exit_code} == told_apart


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
