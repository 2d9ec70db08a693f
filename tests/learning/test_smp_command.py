"""The command that trains a motion prior."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from mimickit.anim.clip import Clip, LoopMode, save_clip
from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import load_case, load_env
from mimickit.config.prior_config import load_prior_config
from mimickit.errors import InputError
from mimickit.learning.checkpoint import load_state
from mimickit.learning.logger import read_log
from mimickit.learning.smp_prior import training
from mimickit.learning.smp_prior.__main__ import main
from mimickit.learning.smp_prior.prior import MotionPrior
from mimickit.learning.smp_prior.training import WindowSource

ROOT = Path(__file__).parents[2]
SMALL = {
    "num_layers": 1,
    "num_heads": 2,
    "head_size": 8,
    "num_diffusion_steps": 10,
    "min_std": 0.2,
    "batch_size": 4,
    "learning_rate": 1e-3,
    "iterations": 130,
    "ema_decay": 0.995,
    "ema_every": 10,
    "ema_start": 50,
}


@pytest.fixture(autouse=True)
def few_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "STATISTICS_WINDOWS", 50)


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The arg file of the committed SMP case with a clip and a small prior made for the test, run from the root."""
    monkeypatch.chdir(ROOT)
    env = (ROOT / "data" / "envs" / "smp_humanoid_env.yaml").read_text()
    pose = load_env(ROOT / "data" / "envs" / "smp_humanoid_env.yaml").init_pose
    frames = np.tile(np.array(pose), (61, 1))
    frames[:, 0] = np.arange(61) / 60
    frames[:, -1] = 0.3 * np.sin(np.arange(61) / 10)
    save_clip(tmp_path / "clip.pkl", Clip("clip", LoopMode.WRAP, 60.0, frames))
    agent = (ROOT / "data" / "agents" / "smp_humanoid_agent.yaml").read_text()
    changes = {
        "env.yaml": env.replace("data/motions/humanoid/humanoid_spinkick.pkl", f"{tmp_path}/clip.pkl"),
        "agent.yaml": agent.replace("data/priors/prior_single_clip.yaml", f"{tmp_path}/prior.yaml").replace(
            "data/models/smp_priors/humanoid_spinkick.pt", f"{tmp_path}/models/kick.pt"
        ),
        "prior.yaml": "".join(f"{key}: {value}\n" for key, value in SMALL.items()),
        "args.txt": "--engine_config data/engines/newton_engine.yaml\n"
        f"--env_config {tmp_path}/env.yaml\n--agent_config {tmp_path}/agent.yaml\n",
    }
    for name, text in changes.items():
        (tmp_path / name).write_text(text)
    return tmp_path / "args.txt"


@pytest.fixture
def command(case: Path) -> Callable[..., int]:
    def run(*words: str) -> int:
        return main(["--arg_file", str(case), "--devices", "cpu", *words])

    return run


def test_it_trains_what_the_case_names(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--rand_seed", "3") == 0
    told = capsys.readouterr().out
    path = tmp_path / "models" / "kick.pt"
    assert f"motion prior of {tmp_path}/clip.pkl, device cpu, seed 3" in told
    assert "iteration 130 of 130  loss " in told
    assert f"trained 130 iterations: {path}" in told
    spec = WindowSource(load_env(tmp_path / "env.yaml"), 1 / 30, torch.device("cpu")).spec
    prior = MotionPrior.load(path, spec)
    assert (prior.iterations, prior.config) == (130, load_prior_config(tmp_path / "prior.yaml"))
    log = read_log(tmp_path / "models" / "kick_log.txt")
    assert log["Iteration"] == [100.0, 130.0]
    assert 0.0 < log["Loss"][1] < log["Loss"][0] < 1.5


def test_the_command_line_beats_the_settings(command: Callable[..., int], tmp_path: Path) -> None:
    out = tmp_path / "other" / "prior.pt"
    words = ("--iterations", "7", "--batch_size", "3", "--learning_rate", "2e-3", "--out_file", str(out))
    assert command(*words) == 0
    spec = WindowSource(load_env(tmp_path / "env.yaml"), 1 / 30, torch.device("cpu")).spec
    prior = MotionPrior.load(out, spec)
    # What a prior was meant to be trained for stays known.
    assert (prior.iterations, prior.config.iterations) == (7, 130)
    assert (prior.config.batch_size, prior.config.learning_rate) == (3, 2e-3)
    assert not (tmp_path / "models").exists()


def test_an_earlier_prior_is_set_aside(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "models" / "kick.pt"
    assert command("--iterations", "3", "--rand_seed", "1") == 0
    first, first_log = model.read_bytes(), (tmp_path / "models" / "kick_log.txt").read_bytes()
    assert "the earlier" not in capsys.readouterr().out
    assert command("--iterations", "3", "--rand_seed", "2") == 0
    assert (tmp_path / "models" / "kick.pt.previous").read_bytes() == first
    assert (tmp_path / "models" / "kick_log.txt.previous").read_bytes() == first_log
    assert model.read_bytes() != first
    assert f"the earlier kick.pt is now {model}.previous" in capsys.readouterr().out


def test_a_run_without_its_prior_ends_before_anything_is_built(case: Path, tmp_path: Path) -> None:
    run = parse_run_arguments(["--arg_file", str(case)])
    with pytest.raises(InputError) as caught:
        load_case(run)
    before = (tmp_path / "agent.yaml").read_text().split("smp_prior_model:")[0]
    line = 1 + before.count("\n")
    message = str(caught.value)
    assert f"{tmp_path}/agent.yaml:{line}: 'smp_prior_model' must name a file" in message
    assert f"`python -m mimickit.learning.smp_prior --arg_file {case}` trains it" in message
    assert load_case(run, to_be_made=("smp_prior_model",)).agent.agent_name == "SMP"


def test_a_seed_gives_one_file(command: Callable[..., int], tmp_path: Path) -> None:
    for name, seed in (("a", "3"), ("b", "3"), ("c", "4"), ("d", None)):
        words = ("--rand_seed", seed) if seed else ()
        assert command("--iterations", "4", "--out_file", str(tmp_path / f"{name}.pt"), *words) == 0
    same, again, other, anew = ((tmp_path / f"{name}.pt").read_bytes() for name in "abcd")
    assert same == again
    assert len({same, other, anew}) == 3


def refusal(capsys: pytest.CaptureFixture[str], code: int) -> str:
    told = capsys.readouterr()
    assert (code, told.out) == (2, "")
    return told.err


def test_what_does_not_fit_is_refused_before_anything_is_written(
    command: Callable[..., int], case: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "folder").mkdir()
    assert "folder is a folder" in refusal(capsys, command("--out_file", str(tmp_path / "folder")))
    assert "this machine has" in refusal(capsys, main(["--arg_file", str(case), "--devices", "cuda:99"]))
    assert "does not exist" in refusal(capsys, main(["--arg_file", str(tmp_path / "none.txt")]))
    (tmp_path / "ppo.txt").write_text(
        "--engine_config data/engines/newton_engine.yaml\n"
        f"--env_config {tmp_path}/env.yaml\n--agent_config data/agents/deepmimic_humanoid_ppo_agent.yaml\n"
    )
    assert "this case's agent is 'PPO'" in refusal(capsys, main(["--arg_file", str(tmp_path / "ppo.txt")]))
    env = Path("data/envs/deepmimic_humanoid_env.yaml").read_text()
    (tmp_path / "env.yaml").write_text(
        env.replace("data/motions/humanoid/humanoid_spinkick.pkl", f"{tmp_path}/clip.pkl")
    )
    assert "env_name 'deepmimic' has no windows" in refusal(capsys, command())
    assert not (tmp_path / "models").exists()


def test_settings_that_are_wrong_name_their_file(
    command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "prior.yaml").write_text((tmp_path / "prior.yaml").read_text().replace("130", "0"))
    assert "prior.yaml:8: 'iterations' must be at least 1, not 0" in refusal(capsys, command())
    (tmp_path / "prior.yaml").unlink()
    assert "prior.yaml does not exist" in refusal(capsys, command())


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--iterations", "0"), "argument --iterations: '0' is not a whole number of at least 1"),
        (("--batch_size", "-3"), "'-3' is not a whole number"),
        (("--learning_rate", "0"), "argument --learning_rate: '0' is not a number greater than 0"),
        (("--learning_rate", "nan"), "'nan' is not a number greater than 0"),
        (("--rand_seed", "4294967296"), "'4294967296' is not a whole number between 0 and 4294967295"),
        (("--iteration", "5"), "unrecognized arguments"),
    ],
)
def test_wrong_words_end_with_the_usage(
    command: Callable[..., int], capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    with pytest.raises(SystemExit) as caught:
        command(*words)
    assert caught.value.code == 2
    assert told in capsys.readouterr().err


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    told = capsys.readouterr().out
    assert all(word in told for word in ("--arg_file args/smp_humanoid_args.txt", "smp_prior_model", "exit codes"))


def test_term_ends_the_training_with_the_model_written(case: Path, tmp_path: Path) -> None:
    out = tmp_path / "prior.pt"
    words = [sys.executable, "-m", "mimickit.learning.smp_prior", "--arg_file", str(case), "--devices", "cpu"]
    words += ["--iterations", "1000000", "--out_file", str(out)]
    running = subprocess.Popen(
        words, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    try:
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("prior  iteration"):
                break
        running.send_signal(signal.SIGTERM)
        rest, _ = running.communicate(timeout=60)
    finally:
        running.kill()
    assert running.returncode == 128 + signal.SIGTERM
    assert f": {out}" in rest
    assert "network.frame_in.weight" in load_state(out)
