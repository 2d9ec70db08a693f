"""Whether a run may go on with the training in its folder, and whether there is anything left to do."""

import json
from collections.abc import Iterable
from pathlib import Path

from mimickit.config.arguments import RunConfig
from mimickit.config.case import Case, effective_values
from mimickit.config.document import DEFAULT
from mimickit.errors import InputError
from mimickit.learning.logger import rows_through
from mimickit.learning.train_loop import reached_limit
from mimickit.learning.train_state import SavedTraining, read_training, state_path

# Of a run's keys those that decide what is learned; all of the engine's, environment's and agent's do.
_RUN_KEYS = ("num_envs", "devices", "test_episodes", "model_file")


def settings_of(case: Case, num_processes: int) -> dict[str, str]:
    """What must not change in the middle of a training: values of the effective configuration, as text, by key.

    Of the devices it is their number, on all hosts together, and kind.
    """
    values = {
        key: value
        for key, value in effective_values(case).items()
        if not key.startswith("run.") or key.removeprefix("run.") in _RUN_KEYS
    }
    values["run.devices"] = [values["run.devices"][0].partition(":")[0]] * num_processes
    return {key: json.dumps(value) for key, value in values.items()}


def find_training(case: Case, num_processes: int, ranks: Iterable[int]) -> SavedTraining:
    """The training in the run's ``out_dir``, if ``num_processes`` processes can go on with it; reads only.

    Args:
        ranks: of the processes whose parts are looked for.

    Raises:
        InputError: there is none, a part of it is missing, or it was started with other settings; names the key.
    """
    run = case.run
    saved = read_training(run.out_dir)
    differences = _differences(case, num_processes, saved)
    if differences:
        shown = "; ".join(differences[:4]) + (f"; and {len(differences) - 4} more" if len(differences) > 4 else "")
        raise InputError(
            f"--resume true: {saved.path} is of a training that was started otherwise: {shown}. Resume it with the "
            "settings it has, or train anew in another --out_dir"
        )
    for rank in ranks:
        path = state_path(run.out_dir, rank, saved.course.iterations)
        if not path.is_file():
            raise InputError(
                f"--resume true: {path}: no such file; it is process {rank}'s part of the training's state, and of "
                "processes on several hosts all need an --out_dir that every host sees"
            )
    rows_through(run.out_dir / "log.txt", saved.course.iterations - 1)
    return saved


def _differences(case: Case, num_processes: int, saved: SavedTraining) -> list[str]:
    """Settings that are not what they were, in words."""
    run, before, now = case.run, dict(saved.origin.settings), settings_of(case, num_processes)
    found = []
    # What a training goes on with it has in its state: no seed and no model need be named again.
    if run.model_file is None:
        now.pop("run.model_file")
        before.pop("run.model_file", None)
    if run.rand_seed is not None:
        before["run.rand_seed"], now["run.rand_seed"] = str(saved.origin.seed), str(run.rand_seed)
    for key in {**now, **before}:
        was, is_now = before.get(key, "not there"), now.get(key, "not there")
        if was != is_now:
            shown = f"--{key.removeprefix('run.')}" if key.startswith("run.") else key
            found.append(f"{shown} was {was}, and is now {is_now} ({case.sources.get(key, DEFAULT)})")
    return found


def reached(run: RunConfig, samples: int, wall_s: float) -> str | None:
    """What a training of so many samples and seconds has of the goal that ``run`` sets; None while it has to go on."""
    limit = reached_limit(run.max_samples, run.max_seconds, samples, wall_s)
    shown = {
        "max_samples": f"{samples:,} of {run.max_samples or 0:,} samples",
        "max_seconds": f"{wall_s:,.1f} of {run.max_seconds or 0:,g} seconds",
    }
    return shown.get(limit)


def is_complete(saved: SavedTraining, folder: Path) -> bool:
    """What a training writes at its end is in ``folder`` and of ``saved``."""
    try:
        summary = json.loads((folder / "train_summary.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return summary.get("samples") == saved.samples and saved.is_the_model(folder / "model.pt")
