"""What lasts from step to step stays in its place, by which a CUDA graph knows it, in every published environment."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from mimickit.config.case import load_env
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.envs import Share, build_env
from mimickit.envs.char_env import CharEnv
from mimickit.envs.terminations import Done
from mimickit.learning.step_graphs import moved_tensors, tensors_of

ROOT = Path(__file__).parents[2]
FILES = sorted(path.name for path in (ROOT / "data" / "envs").glob("*.yaml"))


@pytest.fixture
def env(
    request: pytest.FixtureRequest, engine_config: MujocoEngineConfig, monkeypatch: pytest.MonkeyPatch
) -> Iterator[CharEnv]:
    """Two environments of a file, or a skip where its clips have not been built."""
    monkeypatch.chdir(ROOT)
    config = load_env(Path("data/envs") / request.param)
    motion = getattr(config, "motion_file", None)
    if motion is not None and not (ROOT / "data" / "motions" / "humanoid").is_dir():
        pytest.skip(f"{motion} is not there: python -m mimickit.data build")
    made = build_env(config, engine_config, Share(2, torch.device("cpu"), seed=0))
    yield made
    made.close()


@pytest.mark.parametrize("env", FILES, indirect=True)
def test_steps_and_resets_write_in_place(env: CharEnv) -> None:
    env.reset()
    before = tensors_of({"env": env})
    assert {"env.obs", "env.reward", "env.done", "env.step_count", "env.engine.dof_pos"} <= set(before)
    for step in range(4):
        env.step(0.5 * (env.action_low + env.action_high).expand(2, -1))
        if step == 2:
            env.done[1] = Done.TIME
        env.reset_done()
    env.reset()
    assert moved_tensors(before, tensors_of({"env": env})) == []
