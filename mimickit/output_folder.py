"""The folder of a run: what of an earlier run in it is set aside, and what stays."""

import os
from pathlib import Path

from mimickit.config.case import Case, format_case
from mimickit.errors import InputError
from mimickit.files import unfinished_writes
from mimickit.learning.train_state import STATE_FILE, states_of_others

# What each mode writes as its result, and so what it sets aside first; a test leaves the training beside it alone.
RESULT_FILES = {
    "train": ("model.pt", "log.txt", "train_summary.json", STATE_FILE),
    "test": ("test_metrics.json", "video.mp4", "contact_sheet.png", "frames.json"),
}
# A training that is resumed keeps its files but for what it writes at its end.
RESUMED_FILES = ("train_summary.json",)
# What a training writes, in one go or not at all, and so may have been killed at.
TRAINING_WRITES = ("model*.pt", "train_state*.pt", "train_summary.json", "status.json", "error.json")


def make_output_folder(case: Case) -> None:
    """Create the folder, set an earlier run's results aside as ``NAME.previous``, and write the configuration.

    Called when everything the run was given has proved good, so bad input leaves the folder as it was.
    """
    out_dir, resume = case.run.out_dir, case.run.resume
    try:
        out_dir.mkdir(parents=True, exist_ok=True)
        for path in (out_dir / "error.json", out_dir / "status.json", *_useless(case)):
            path.unlink(missing_ok=True)
        for name in RESUMED_FILES if resume else RESULT_FILES[case.run.mode]:
            if (out_dir / name).exists():
                os.replace(out_dir / name, out_dir / f"{name}.previous")
        (out_dir / "config.yaml").write_text(format_case(case) + "\n", encoding="utf-8")
    except OSError as error:
        raise InputError(f"--out_dir {out_dir}: cannot be written: {error.strerror}") from None


def _useless(case: Case) -> list[Path]:
    """Files of an earlier training that no training can go on with."""
    if case.run.mode != "train":
        return []
    unfinished = [path for names in TRAINING_WRITES for path in unfinished_writes(case.run.out_dir, names)]
    return unfinished if case.run.resume else [*unfinished, *states_of_others(case.run.out_dir)]
