"""The job matrix on real hardware: every case, a ladder that runs out of memory, a device that is not there, films."""

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mimickit.bench import pi_plus
from mimickit.bench.drivers import EGL_VARIABLE, VENDORS, Vendor, vendor_file
from mimickit.bench.figures import Figure
from mimickit.bench.matrix_runs import attempts_of, journal_of, run_matrix, said
from mimickit.bench.part import Bench, python, run_case
from mimickit.bench.programs import Ended, ProgramError, log_tail
from mimickit.bench.record import PartRecord
from mimickit.errors import number_of

MATRIX_SECONDS = 720.0
MATRIX_DEADLINE = 1500.0
CASE_DEADLINE = 900.0
TEST_DEADLINE = 300.0
CASES, CASE = Path("args"), "deepmimic_humanoid_ppo"
TOO_MANY, FITTING = 4_194_304, 1024
ABSENT = 7  # a device's number; the first that is not there, where there are more
INPUT_ERROR = 2  # exit code
REPORTED = ("case", "final_ok", "num_envs", "samples_per_s", "seconds", "memory_gb", "device_name", "failure")


def every_case(bench: Bench, part: PartRecord) -> None:
    """Profile pr on the first device."""
    ended, root = run_matrix(bench, "every case", MATRIX_DEADLINE, "--devices-train", bench.devices[0])
    table = root / "best_by_case.tsv"
    rows: list[dict[str, str]] = []
    if table.exists():
        with table.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
    part.details["cases"] = [{column: row[column] for column in REPORTED} for row in rows]
    judge_cases(part, rows, ended, len(list(CASES.glob("*_args.txt"))))


def judge_cases(part: PartRecord, rows: list[dict[str, str]], ended: Ended, cases: int) -> None:
    """Put into ``part`` what best_by_case.tsv and the exit code say of as many cases as there are."""
    passed = [row for row in rows if row["final_ok"] == "1"]
    for row in rows:
        if row["final_ok"] != "1":
            part.fail(f"matrix: {row['case']}", row["note"] or "did not pass")
    if ended.timed_out or ended.returncode != 0 or not rows:
        part.fail("matrix: every case", ended.how if rows else f"{ended.how}, no table", log_tail(ended.log))
        if not rows:
            return
    unnamed = [row for row in passed if not row["device_name"]]
    unrated = [row for row in passed if row["case_type"] == "trainable" and not row["samples_per_s"]]
    part.figures += [
        Figure("matrix, every case", "s", [ended.seconds], at_most=MATRIX_SECONDS),
        Figure("matrix, cases that passed", "cases", [float(len(passed))], at_least=cases),
        Figure("matrix, passes without the GPU's name", "cases", [float(len(unnamed))], at_most=0),
        Figure("matrix, trained without samples/s", "cases", [float(len(unrated))], at_most=0),
    ]


def ladder(bench: Bench, part: PartRecord) -> None:
    """More environments than any GPU holds, then a number that fits."""
    words = ("--devices-train", bench.devices[0], "--default-ladder", f"{TOO_MANY},{FITTING}", f"{CASE}_args.txt")
    ended, root = run_matrix(bench, "ladder", CASE_DEADLINE, *words)
    journal = journal_of(root, CASE, ended)
    problems = ladder_problems(journal)
    if ended.returncode != 0:
        problems.append(ended.how)
    part.details["ladder"] = attempts_of(journal)
    if problems:
        part.fail("ladder", "; ".join(problems), log_tail(ended.log))
    seconds = Figure(f"ladder of {TOO_MANY:,} and {FITTING} environments", "s", [ended.seconds])
    part.figures += [seconds, Figure("ladder, faults", "faults", [float(len(problems))], at_most=0)]


def ladder_problems(journal: Mapping[str, Any]) -> list[str]:
    """What speaks against: the first rung ran out of memory, the next passed; in words."""
    attempts = attempts_of(journal)
    expected: list[dict[str, Any]] = [
        {"num_envs": TOO_MANY, "ok": False, "failure": "out_of_memory"},
        {"num_envs": FITTING, "ok": True, "failure": None},
    ]
    problems = [
        f"rung {number} is {said(attempt)}, expected {said(wanted)}"
        for number, (attempt, wanted) in enumerate(zip(attempts, expected, strict=False), start=1)
        if attempt != wanted
    ]
    if len(attempts) != len(expected):
        problems.append(f"{len(attempts)} rungs were tried, expected {len(expected)}")
    if not journal["ok"]:
        problems.append(f"the case did not pass: {journal['note']}")
    return problems


def absent_device(bench: Bench, part: PartRecord) -> None:
    """A CUDA device that does not exist is an error, and never a run on the CPU."""
    device, out_dir = f"cuda:{max(ABSENT, len(bench.devices))}", bench.folder / "absent_device"
    command = run_case(CASE, device, out_dir, 1, num_envs=2, max_samples=1)
    ended = bench.programs.run("absent device", command, TEST_DEADLINE)
    log = ended.log.read_text(encoding="utf-8", errors="replace")
    problems = absent_problems(ended, log, device, len(bench.devices), out_dir.exists())
    if problems:
        part.fail("absent device", "; ".join(problems), log_tail(ended.log))
    part.figures.append(Figure(f"{device}, which is not there: faults", "faults", [float(len(problems))], at_most=0))


def absent_problems(ended: Ended, log: str, device: str, there: int, wrote: bool) -> list[str]:
    """What speaks against a refusal: another exit code, another message, or something written; in words."""
    message = f"--devices {device}: this machine has {number_of(there, 'CUDA device')}"
    problems = []
    if ended.timed_out or ended.returncode != INPUT_ERROR:
        problems.append(f"{ended.how}, expected exit code {INPUT_ERROR}")
    if message not in log:
        problems.append(f"does not say {message!r}")
    if wrote:
        problems.append("something ran: it wrote its output folder")
    return problems


def films(bench: Bench, part: PartRecord) -> None:
    """A filmed test with NVIDIA's EGL, and one with Mesa's."""
    for vendor in VENDORS:
        try:
            film(bench, part, vendor)
        except ProgramError as error:
            part.failed(error)


def film(bench: Bench, part: PartRecord, vendor: Vendor) -> None:
    """Film a test with one vendor's EGL; that it is this vendor's is known from the OpenGL context."""
    file = vendor_file(vendor, bench.folder)
    if file is None:
        part.leave_out(f"film with {vendor.name}", f"{vendor.soname} is not on this machine")
        return
    environment = {EGL_VARIABLE: str(file)}
    command = python("-m", "mimickit.bench.renderer")
    drawn = bench.programs.run(f"renderer of {vendor.name}", command, TEST_DEADLINE, environment).result()
    part.details.setdefault("renderers", {})[vendor.name] = drawn
    part.notes.append(f"films with {vendor.name} are drawn by {drawn['renderer']} ({drawn['version']})")
    if not vendor.drew(drawn):
        part.fail(f"film with {vendor.name}", f"drawn by {drawn['renderer']} of {drawn['vendor']}")
        return
    out_dir = bench.folder / f"film_{vendor.name.lower()}"
    keys = {"mode": "test", "video": "true", "num_envs": 4, "test_episodes": 1}
    ended = bench.programs.run(
        f"film with {vendor.name}",
        run_case(CASE, bench.devices[0], out_dir, 1, **keys),
        TEST_DEADLINE,
        environment,
    ).require()
    if not (out_dir / "video.mp4").exists():
        raise ProgramError(ended.name, "left no video.mp4", log_tail(ended.log))
    part.figures.append(Figure(f"film with {vendor.name}", "s", [ended.seconds]))


STEPS = {
    "every_case": every_case,
    "ladder": ladder,
    "absent_device": absent_device,
    "pi_plus": pi_plus.own_model,
    "published_meshes": pi_plus.published_meshes,
    "films": films,
}
