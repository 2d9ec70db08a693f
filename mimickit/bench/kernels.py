"""Compiling Newton's kernels ahead: how long it takes, that it is complete, and that no training compiles anything."""

import re
from pathlib import Path

from mimickit.bench.figures import Figure
from mimickit.bench.part import Bench, python, run_case
from mimickit.bench.programs import Ended, ProgramError, log_tail
from mimickit.bench.record import PartRecord

COMPILE_SECONDS = 1800.0  # deadlines
TRAIN_SECONDS = 600.0
CACHE_VARIABLE = "WARP_CACHE_PATH"
# One of every character, a root that is held, and objects.
CASES = (
    "dof_test_humanoid",
    "vault_humanoid",
    "vault_g1",
    "deepmimic_humanoid_ppo",
    "deepmimic_humanoid_sword_shield_ppo",
    "deepmimic_smpl_ppo",
    "deepmimic_g1_ppo",
    "deepmimic_go2_ppo",
    "deepmimic_pi_plus_ppo",
)
SAID = re.compile(r"^(\d+) new files for \S+ in (.+), ([\d.]+) s\s*$", re.MULTILINE)


def measure(bench: Bench, part: PartRecord) -> None:
    """Compile into an empty cache, then train an iteration with each character.

    The other parts of the same run come after it and use that cache, so their starts are warm.
    """
    cache = (bench.folder / "kernel_cache").resolve()
    bench.environment[CACHE_VARIABLE] = str(cache)
    command = python("-m", "mimickit.kernels", "--device", bench.devices[0])
    ended = bench.programs.run("compile kernels", command, COMPILE_SECONDS)
    new, where = what_was_compiled(ended.require())
    if not where.resolve().is_relative_to(cache):
        raise ProgramError(ended.name, f"compiled into {where}, not into the empty {cache}", log_tail(ended.log))
    part.figures += [
        Figure("compile all kernels, from nothing", "s", [ended.seconds]),
        Figure("files compiled", "files", [float(new)], at_least=1),
    ]
    part.notes.append("the cache of kernels was empty; all parts of this run use it")
    bench.save()
    compiled = part.details["compiled_by_a_training"] = {}
    for case in CASES:
        before = files(cache)
        name = f"one iteration of {case}"
        out_dir = bench.folder / name.replace(" ", "_")
        command = run_case(case, bench.devices[0], out_dir, seed=1, max_samples=1, save_state="false")
        bench.programs.run(name, command, TRAIN_SECONDS).require()
        compiled[case] = sorted(path.name for path in files(cache) - before)
        part.figures.append(Figure(f"files that {name} compiles", "files", [float(len(compiled[case]))], at_most=0))
        bench.save()


def what_was_compiled(ended: Ended) -> tuple[int, Path]:
    """New files and the folder they are in, as ``python -m mimickit.kernels`` said; ProgramError when it did not."""
    said = SAID.search(ended.log.read_text(encoding="utf-8", errors="replace"))
    if said is None:
        raise ProgramError(ended.name, "did not say how many files it made", log_tail(ended.log))
    return int(said[1]), Path(said[2])


def files(folder: Path) -> set[Path]:
    """All files below ``folder``."""
    return {path for path in folder.rglob("*") if path.is_file()}
