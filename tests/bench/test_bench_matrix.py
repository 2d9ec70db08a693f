"""The matrix on real hardware: verdicts on made-up results, and what can be run without a GPU."""

import argparse
import csv
import json
from pathlib import Path

import pytest

from ci.options import add_arguments
from ci.records.results import ROW_COLUMNS
from mimickit.bench import matrix, matrix_runs, pi_plus
from mimickit.bench.drivers import VENDORS, Vendor, vendor_file
from mimickit.bench.matrix import FITTING, TOO_MANY, ladder_problems
from mimickit.bench.programs import Ended, ProgramError

NVIDIA, MESA = VENDORS


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.setattr(matrix_runs, "ROOTS", tmp_path / "train")
    return tmp_path


def attempt(num_envs, failure=None):
    stages = [{"ok": failure is None, "failure": {"kind": failure} if failure else None}]
    return {"num_envs": num_envs, "ok": failure is None, "stages": stages}


def journal(*attempts, ok=True):
    return {"ok": ok, "note": "a note", "attempts": list(attempts)}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (journal(attempt(TOO_MANY, "out_of_memory"), attempt(FITTING)), None),
        (journal(attempt(TOO_MANY), attempt(FITTING)), "rung 1 is 4194304 environments, passed"),
        (journal(attempt(TOO_MANY, "driver"), attempt(FITTING)), "rung 1 is 4194304 environments, driver, expected"),
        (
            journal(attempt(TOO_MANY, "out_of_memory"), attempt(512)),
            "rung 2 is 512 environments, passed, expected 1024",
        ),
        (journal(attempt(TOO_MANY, "out_of_memory")), "1 rungs were tried, expected 2"),
        (journal(ok=False), "0 rungs were tried"),
        (
            journal(attempt(TOO_MANY, "out_of_memory"), attempt(FITTING, "out_of_memory"), ok=False),
            "the case did not pass: a note",
        ),
    ],
)
def test_the_ladder_runs_out_of_memory_and_then_passes(content, problem):
    problems = ladder_problems(content)
    assert bool(problems) == (problem is not None)
    assert problem is None or any(problem in each for each in problems)


def write_root(folder, rows, journals):
    folder.mkdir(parents=True)
    with (folder / "best_by_case.tsv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ROW_COLUMNS, delimiter="\t", restval="")
        writer.writeheader()
        writer.writerows(rows)
    for case, content in journals.items():
        (folder / "runs" / f"{case}_args").mkdir(parents=True)
        (folder / "runs" / f"{case}_args" / "attempts.json").write_text(json.dumps(content))


GOOD = {"case": "a", "case_type": "trainable", "final_ok": "1", "samples_per_s": "9", "device_name": "H100"}
FILM = {"case": "b", "case_type": "view_motion", "final_ok": "1", "device_name": "H100"}
BAD = {"case": "c", "case_type": "trainable", "final_ok": "0", "note": "train failed (driver)"}


@pytest.mark.parametrize(
    ("rows", "code", "seconds", "missed", "failed"),
    [
        ([GOOD, FILM], 0, 700.0, set(), []),
        ([GOOD, FILM], 0, 721.0, {"matrix, every case"}, []),
        ([GOOD, BAD], 1, 1.0, {"matrix, cases that passed"}, ["matrix: c", "matrix: every case"]),
        ([GOOD, {**FILM, "device_name": ""}], 0, 1.0, {"matrix, passes without the GPU's name"}, []),
        ([{**GOOD, "samples_per_s": ""}], 0, 1.0, {"matrix, trained without samples/s"}, []),
        ([GOOD], 143, 1.0, set(), ["matrix: every case"]),
        ([], 2, 1.0, set(), ["matrix: every case"]),
    ],
)
def test_every_case_must_pass_in_time_and_say_on_what(new_part, tmp_path, rows, code, seconds, missed, failed):
    part = new_part()
    filled = [{"note": "", "samples_per_s": "", **row} for row in rows]
    matrix.judge_cases(part, filled, Ended("every case", tmp_path / "log", code, seconds, False), cases=len(rows))
    assert {figure.name for figure in part.figures if not figure.ok} == missed
    assert [failure["what"] for failure in part.failures] == failed


def played_matrix(commands):
    """What a machine leaves on which everything goes well, with Mesa and without NVIDIA's driver."""

    def play(name, command, log):
        commands[name] = list(map(str, command))
        if "e2e" in commands[name]:
            root = matrix_runs.ROOTS / commands[name][commands[name].index("--root-out") + 1]
            ladder = journal(attempt(TOO_MANY, "out_of_memory"), attempt(FITTING))
            many = journal(attempt(pi_plus.NUM_ENVS))
            write_root(root, [GOOD] * 37, {matrix.CASE: ladder, pi_plus.CASE: many})
        if name == "absent device":
            log.write_text("error (input): --devices cuda:7: this machine has 2 CUDA devices; use --devices cpu")
            return 2
        if name.startswith("renderer"):
            log.write_text('{"renderer": "llvmpipe", "vendor": "Mesa", "version": "4.5 Mesa 22"}')
        if name.startswith("film"):
            out_dir = Path(commands[name][commands[name].index("--out_dir") + 1])
            out_dir.mkdir(parents=True)
            (out_dir / "video.mp4").touch()
        return 0

    return play


def run_all(bench, part):
    """Every step into one part."""
    for step in matrix.STEPS.values():
        try:
            step(bench, part)
        except ProgramError as error:
            part.failed(error)


def test_all_of_it(here, new_bench, new_part, monkeypatch):
    monkeypatch.setattr(matrix, "vendor_file", lambda vendor, folder: here / "mesa.json" if vendor is MESA else None)
    commands, part = {}, new_part()
    run_all(new_bench(played_matrix(commands)), part)
    assert part.ok, part.failures
    assert [each["what"] for each in part.not_run] == ["film with NVIDIA"]
    assert part.details["ladder"][0] == {"num_envs": TOO_MANY, "ok": False, "failure": "out_of_memory"}
    assert part.details["renderers"]["Mesa"]["renderer"] == "llvmpipe"
    assert part.details["cases"][0]["device_name"] == "H100"
    assert "drawn by llvmpipe (4.5 Mesa 22)" in part.notes[0]
    # The matrix knows the words that it is given.
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    asked = {name: parser.parse_args(words[4:]) for name, words in commands.items() if "e2e" in words}
    assert {each.profile for each in asked.values()} == {"pr"}
    assert asked["ladder"].default_ladder == (TOO_MANY, FITTING)
    assert asked["pi plus"].pi_plus_ladder == (2048,)
    assert len({each.root_out for each in asked.values()}) == 3


def test_a_step_that_fails_leaves_the_others_alone(here, new_bench, new_part, monkeypatch):
    monkeypatch.setattr(matrix, "vendor_file", lambda vendor, folder: here / "some.json")
    commands = {}
    good = played_matrix(commands)
    part = new_part()
    run_all(new_bench(lambda name, *rest: 1 if name == "ladder" else good(name, *rest)), part)
    failed = {failure["what"]: failure["reason"] for failure in part.failures}
    assert "attempts.json" in failed["ladder"]
    # NVIDIA's EGL was asked for and Mesa drew.
    assert failed["film with NVIDIA"] == "drawn by llvmpipe of Mesa"
    assert set(failed) == {"ladder", "film with NVIDIA"}
    assert "pi plus" in commands
    assert "film with Mesa" in commands
    assert "film with NVIDIA" not in commands


def test_a_device_that_is_not_there_is_refused_for_real(new_part, programs, tmp_path):
    from mimickit.bench.part import Bench, Options

    part = new_part()
    bench = Bench(None, (), programs, tmp_path / "run", Options(), lambda: None, {})
    matrix.absent_device(bench, part)
    assert not part.failures
    assert [figure.ok for figure in part.figures] == [True]


@pytest.mark.parametrize(
    ("code", "log", "wrote", "count"),
    [
        (2, "error: --devices cuda:7: this machine has 1 CUDA device; use", False, 0),
        (0, "trained", True, 3),
        (1, "error: --devices cuda:7: this machine has 1 CUDA device; use", False, 1),
        (2, "error: something else", False, 1),
        (2, "error: --devices cuda:7: this machine has 1 CUDA device; use", True, 1),
    ],
)
def test_a_refusal_names_the_device_and_runs_nothing(tmp_path, code, log, wrote, count):
    ended = Ended("absent device", tmp_path / "log", code, 1.0, False)
    assert len(matrix.absent_problems(ended, log, "cuda:7", 1, wrote)) == count


def test_a_driver_s_file_is_found_made_or_missing(tmp_path):
    folder = tmp_path / "vendors"
    folder.mkdir()
    (folder / "50_x.json").write_text('{"ICD": {"library_path": "libEGL_x.so.0"}}')
    made = tmp_path / "made"
    assert vendor_file(Vendor("X", "libEGL_x.so.0", "X"), made, [tmp_path / "absent", folder]) == folder / "50_x.json"
    assert vendor_file(Vendor("Absent", "libEGL_absent.so.0", "X"), made, [folder]) is None
    path = vendor_file(Vendor("C", "libc.so.6", "X"), made, [folder])  # a library that every Linux has
    assert path.parent == made
    assert json.loads(path.read_text())["ICD"]["library_path"] == "libc.so.6"


def test_who_drew_is_told_by_the_context():
    nvidia = {"renderer": "NVIDIA H100 80GB HBM3/PCIe/SSE2", "vendor": "NVIDIA Corporation", "version": "4.6.0 NVIDIA"}
    mesa = {"renderer": "llvmpipe (LLVM 15)", "vendor": "Mesa/X.org", "version": "4.5 Mesa 22.3.6"}
    assert NVIDIA.drew(nvidia)
    assert MESA.drew(mesa)
    assert not NVIDIA.drew(mesa)
    assert not MESA.drew(nvidia)


def test_a_case_that_is_not_in_the_table_did_not_pass(new_part, tmp_path):
    part = new_part()
    rows = [{"note": "", **GOOD}]
    matrix.judge_cases(part, rows, Ended("every case", tmp_path / "log", 0, 1.0, False), cases=2)
    assert [figure.name for figure in part.figures if not figure.ok] == ["matrix, cases that passed"]
