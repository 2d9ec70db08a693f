"""How many CPU threads the processes of a run take."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mimickit.devices import usable_cores

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_cores_that_a_process_may_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5}, raising=False)
    assert usable_cores() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert usable_cores() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert usable_cores() == 1


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins no process to cores")
def test_a_run_that_is_pinned_to_a_core_has_one_thread(tiny_case) -> None:
    """Torch's and, through it, the MuJoCo engine's pool."""
    core = min(os.sched_getaffinity(0))
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    command = [sys.executable, str(REPOSITORY / "mimickit" / "run.py"), *tiny_case.arguments()]
    ran = subprocess.run(
        command,
        cwd=tiny_case.folder,
        env=environment,
        preexec_fn=lambda: os.sched_setaffinity(0, {core}),
        timeout=180.0,
        check=True,
    )
    assert ran.returncode == 0
    summary = json.loads((tiny_case.out_dir / "train_summary.json").read_text())
    assert summary["device_name"].endswith(" 1 threads")
