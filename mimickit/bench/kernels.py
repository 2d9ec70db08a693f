"""Compiling Newton's kernels ahead: how long it takes, that it is complete, and that a training compiles nothing."""

import re
from pathlib import Path

from mimickit.bench.figures import Figure
from mimickit.bench.part import Bench, python, run_case
from mimickit.bench.programs import Ended, ProgramError, log_tail
from mimickit.bench.record import PartRecord

COMPILE_SECONDS = 1800.0  # deadlines
TRAIN_SECONDS = 600.0
CASE = "deepmimic_humanoid_ppo"
SAID = re.compile(r"^(\d+) new files for \S+ in (.+), ([\d.]+) s\s*$", re.MULTILINE)


def measure(bench: Bench, part: PartRecord) -> None:
    """Compile, compile again, train one iteration."""
    device = bench.devices[0]
    compiled = []
    for name in ("compile kernels", "compile kernels again"):
        ended = bench.programs.run(name, python("-m", "mimickit.kernels", "--device", device), COMPILE_SECONDS)
        compiled.append((*what_was_compiled(ended.require()), ended.seconds))
    (new, cache, seconds), (again, _, seconds_again) = compiled
    part.figures += [
        Figure("compile all kernels", "s", [seconds]),
        Figure("files compiled", "files", [float(new)]),
        Figure("compile all kernels again", "s", [seconds_again]),
        Figure("files compiled the second time", "files", [float(again)], at_most=0),
    ]
    bench.save()
    before = files(cache)
    command = run_case(CASE, device, bench.folder / "one_iteration", seed=1, max_samples=1, save_state="false")
    bench.programs.run("one iteration after compiling", command, TRAIN_SECONDS).require()
    written = sorted(files(cache) - before)
    part.details["compiled_by_a_training"] = [path.name for path in written]
    figure = Figure(f"files that one iteration of {CASE} compiles", "files", [float(len(written))], at_most=0)
    part.figures.append(figure)


def what_was_compiled(ended: Ended) -> tuple[int, Path]:
    """New files and the folder they are in, as ``python -m mimickit.kernels`` said; ProgramError when it did not."""
    said = SAID.search(ended.log.read_text(encoding="utf-8", errors="replace"))
    if said is None:
        raise ProgramError(ended.name, "did not say how many files it made", log_tail(ended.log))
    return int(said[1]), Path(said[2])


def files(folder: Path) -> set[Path]:
    """All files below ``folder``."""
    return {path for path in folder.rglob("*") if path.is_file()}
