"""Pi Plus with many environments, of primitives and of a published archive's meshes, and with too little room."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ci.host import CODE
from mimickit.bench.figures import Figure
from mimickit.bench.matrix_runs import HERE, attempts_of, journal_of, most_envs, run_matrix, said
from mimickit.bench.part import OURS, Bench
from mimickit.bench.programs import log_tail
from mimickit.bench.record import PartRecord

CASE, NUM_ENVS = "deepmimic_pi_plus_ppo", 2048
CHARACTER = Path("assets/hightorque_pi_plus")
CLIP = Path("motions/hightorque_pi_plus/pi_plus_walk.pkl")
ENGINE = Path("data/engines/newton_engine.yaml")
# Falling about, one in a thousand environments has 80 rows or more, and none in 4,096 had 90.
TIGHT_ROWS = 100
TIGHT_LADDER = (4096, 256, 32, 8)
DEADLINE = 900.0


def own_model(bench: Bench, part: PartRecord) -> None:
    """Our model of primitives and many environments."""
    many_envs(bench, part, "pi plus", HERE)


def published_meshes(bench: Bench, part: PartRecord) -> None:
    """For every archive that has the meshes: as many environments as with ours, then the tight ladder."""
    for archive in archives_with_meshes(bench.options.data):
        repository = copy_with(archive.resolve(), bench.folder / f"with_{archive.resolve().name}")
        many_envs(bench, part, "pi plus with the published meshes", repository)
        tight_ladder(bench, part, repository)


def archives_with_meshes(data: Sequence[str]) -> list[Path]:
    """Of what ``--data`` names, the archives that have Pi Plus with meshes, and its walk."""
    archives = [Path(each) for each in data if each != OURS]
    return [each for each in archives if (each / CHARACTER / "meshes").is_dir() and (each / CLIP).is_file()]


def copy_with(archive: Path, target: Path, repository: Path = Path()) -> Path:
    """Copy the code to ``target``, with the archive's Pi Plus and its walk in the place of ours."""
    unwanted = shutil.ignore_patterns("__pycache__", "models")
    for folder in CODE:
        shutil.copytree(repository / folder, target / folder, ignore=unwanted)
    character = target / "data" / CHARACTER
    shutil.rmtree(character)
    shutil.copytree(archive / CHARACTER, character)
    clip = target / "data" / CLIP
    clip.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(archive / CLIP, clip)
    return target


def many_envs(bench: Bench, part: PartRecord, name: str, repository: Path) -> None:
    """A rung of many environments, with as much room as the engine gives them."""
    words = ("--devices-train", bench.devices[0], "--pi-plus-ladder", NUM_ENVS, f"{CASE}_args.txt")
    ended, root = run_matrix(bench, name, DEADLINE, *words, repository=repository)
    journal = journal_of(root, CASE, ended)
    part.figures.append(
        Figure(f"{name}, environments that pass", "envs", [float(most_envs(journal))], at_least=NUM_ENVS)
    )
    if ended.returncode != 0:
        part.fail(name, f"{ended.how}: {journal['note']}", log_tail(ended.log))


def tight_ladder(bench: Bench, part: PartRecord, repository: Path) -> None:
    """The meshes with so few rows of constraints that some of many environments need more, and none of a few does."""
    engine = repository / ENGINE.with_stem("tight_engine")
    settings = (repository / ENGINE).read_text(encoding="utf-8")
    engine.write_text(f"{settings}\nconstraints_per_env: {TIGHT_ROWS}\n", encoding="utf-8")
    words = ["--devices-train", bench.devices[0], "--engine-config", engine.relative_to(repository)]
    words += ["--pi-plus-ladder", ",".join(map(str, TIGHT_LADDER)), f"{CASE}_args.txt"]
    name = "pi plus with little room"
    ended, root = run_matrix(bench, name, DEADLINE, *words, repository=repository)
    attempts = attempts_of(journal_of(root, CASE, ended))
    problems = tight_problems(attempts)
    if ended.returncode != 0:
        problems.append(ended.how)
    part.details["published_meshes"] = attempts
    part.notes.append(f"{name}, {TIGHT_ROWS} rows of constraints: {'; '.join(map(said, attempts))}")
    if problems:
        part.fail(name, "; ".join(problems), log_tail(ended.log))
    part.figures.append(Figure(f"{name}, faults", "faults", [float(len(problems))], at_most=0))


def tight_problems(attempts: Sequence[Mapping[str, Any]]) -> list[str]:
    """What speaks against: the first rung ran out of room, and so did all down to one that passed; in words."""
    if len(attempts) < 2:
        return [f"{len(attempts)} rungs were tried, expected at least 2"]
    problems = [
        f"{said(attempt)}, expected capacity"
        for attempt in attempts[:-1]
        if attempt["ok"] or attempt["failure"] != "capacity"
    ]
    if not attempts[-1]["ok"]:
        problems.append(f"{said(attempts[-1])}, expected one that passes")
    return problems
