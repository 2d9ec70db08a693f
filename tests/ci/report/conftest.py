"""Cases with everything on disk that a report shows, made without running anything."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ci.cases import Case
from ci.failures.classify import Failure
from ci.records.results import (
    STAGES,
    Attempt,
    CaseResult,
    CaseRow,
    Entry,
    ProcessResult,
    RunFacts,
    StageRecord,
    not_run,
    row_of,
)

LOG = """\
Iteration  Samples  Test_Return  Test_Episode_Length  Test_Episodes  Train_Return  Train_Episode_Length  Train_Episodes
0          2048     2.0          20.0                 64             1.0           10.0                  30
3          8192     6.0          40.0                 64             5.0           35.0                  30
"""
FACTS = {
    "train": {"samples": 8192, "samples_per_s": 1000.0, "device_name": "Stub", "versions": {"mujoco": "3.17.0"}},
    "long": {"samples": 90_000, "samples_per_s": 2000.0},
    "test": {"mean_return": 5.0, "mean_ep_len": 20.0, "episodes": 10},
    "viz": {"frames": 12},
}


@dataclass
class Shop:
    """Makes entries below ``root``, the folder of a run."""

    root: Path

    @property
    def run(self) -> RunFacts:
        repository = self.root.parent.parent.parent
        return RunFacts(self.root, repository, "smoke", "mujoco", ("cpu",), 1, "c" * 40, False, "", 2, 65.0)

    def result(self, name: str, wanted: tuple[str, ...] = STAGES, **facts: float) -> CaseResult:
        """A case that passed: 10 s of training, 3 s of testing, 5 s of rendering, and a second for its data."""
        case = Case(name, f"args/{name}.txt", name.split("_")[0], "trainable", "train", "data/agents/a.yaml", "e.yaml")
        folder = self.root / "runs" / name
        out_dir = folder / "base_e64"
        stages = {stage: self.stage(stage, out_dir) for stage in wanted}
        stages["test"].facts |= facts
        for stage in ("train", "long", "viz"):
            (out_dir / stage).mkdir(parents=True)
        (out_dir / "train" / "log.txt").write_text(LOG)
        (out_dir / "long" / "log.txt").write_text(LOG)
        grey = np.linspace(0, 255, 1310 * 592, dtype=np.uint8).reshape(592, 1310)
        Image.fromarray(grey).save(out_dir / "viz" / "contact_sheet.png")
        (out_dir / "viz" / "video.mp4").write_bytes(b"a film")
        (folder / "attempts.json").write_text("{}")
        attempt = Attempt("base", "data/agents/a.yaml", 64, 8192, ("cpu",), out_dir, stages)
        return CaseResult(case, wanted, self.stage("data", folder, 1.0), attempts=[attempt], note="", finished=True)

    def stage(self, name: str, folder: Path, seconds: float | None = None) -> StageRecord:
        folder.mkdir(parents=True, exist_ok=True)
        log = folder / f"{name}.log"
        log.write_text(f"$ a command\n{name} is done\n")
        seconds = seconds or {"train": 10.0, "long": 20.0, "test": 3.0, "viz": 5.0}[name]
        argv = ("python", "mimickit/run.py", "--mode", name)
        return StageRecord(name, argv, log, ProcessResult(0, False, seconds, 7.0, 1.5), None, dict(FACTS.get(name, {})))

    def entry(self, name: str, **facts: float) -> Entry:
        return self.of(self.result(name, **facts))

    def of(self, result: CaseResult) -> Entry:
        return Entry(row_of(result, self.run), result)

    def failed(
        self, name: str, kind: str = "divergence", message: str = "the loss is NaN", stage: str = "train"
    ) -> Entry:
        """A case whose ``stage`` failed; what comes after it was not started."""
        result = self.result(name)
        stages = result.attempts[0].stages
        names = list(stages)
        failure = Failure(kind, message)
        stages[stage] = replace(stages[stage], failure=failure, result=ProcessResult(6, False, 4.0), facts={})
        for later in names[names.index(stage) + 1 :]:
            stages[later] = not_run(later)
        result.failure, result.note = failure, failure.sentence(stage)
        return self.of(result)

    def lost(self, name: str) -> Entry:
        """A case that has a row, and no journal."""
        return Entry(CaseRow(name, name.split("_")[0], "trainable", note="no shard brought it back"), None)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    root = tmp_path / "output" / "train" / "case_e2e_all_20260101_000000"
    root.mkdir(parents=True)
    return Shop(root)
