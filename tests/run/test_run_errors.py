"""Bad input: exit code 2 (11 for a missing file of data), one paragraph that names the cause, and nothing written."""

import errno
import json
import math
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from mimickit.run import main

NO_CUDA = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")


TENSORS = [
    *[f"_{kind}_norm._{name}" for kind in ("obs", "a") for name in ("count", "mean", "std")],
    *[f"_model._{net}_layers.{i}.{name}" for net in ("actor", "critic") for i in (0, 2) for name in ("weight", "bias")],
    *[f"_model._action_dist.{name}" for name in ("_logstd_net", "_mean_net.weight", "_mean_net.bias")],
    *[f"_model._critic_out.{name}" for name in ("weight", "bias")],
]


class Trap:
    """Pickles into a call that leaves a file behind."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def frames(case, value: float = 0.0, num_dofs: int = 2) -> list[list[float]]:
    """Three frames; the middle one's last number is ``value``."""
    table = [[0.0, 0.0, 0.5, 0.0, 0.0, 0.0, *[0.0] * num_dofs] for _ in range(3)]
    table[1][-1] = value
    return table


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def edit_character(case, old: str, new: str) -> None:
    path = case.folder / "stander.xml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def dataset(case, text: str) -> None:
    (case.folder / "clips.yaml").write_text(text)
    case.env["motion_file"] = str(case.folder / "clips.yaml")


def model_file(case, state: Any) -> None:
    torch.save(state, case.folder / "model.pt")
    case.run["model_file"] = str(case.folder / "model.pt")


def file_in_the_way(case, out_dir: Path) -> None:
    (case.folder / "file").write_text("mine")
    case.run["out_dir"] = str(out_dir)


Edit = Callable[[Any], object]

BAD_INPUT: dict[str, tuple[Edit, list[str]]] = {
    # the command line
    "unknown argument": (lambda c: c.run.update(num_env="8"), ["'--num_env'", "'--num_envs'"]),
    "bad boolean": (lambda c: c.run.update(video="maybe"), ["'--video'", "true or false", "'maybe'"]),
    "bad number": (lambda c: c.run.update(num_envs="many"), ["'--num_envs'", "whole number", "'many'"]),
    "number out of range": (lambda c: c.run.update(num_envs="0"), ["'--num_envs'", "at least 1"]),
    "unknown mode": (lambda c: c.run.update(mode="run"), ["'--mode'", "train, test", "'run'"]),
    "no GPU": (lambda c: c.run.update(devices="cuda:0"), ["--devices cuda:0", "0 CUDA devices", "--devices cpu"]),
    "no such GPU": (lambda c: c.run.update(devices="cuda:99"), ["--devices cuda:99", "CUDA devices"]),
    "GPU number beyond eight bits": (lambda c: c.run.update(devices="cuda:256"), ["--devices cuda:256"]),
    "GPU number beyond 64 bits": (lambda c: c.run.update(devices=f"cuda:{10**20}"), [f"--devices cuda:{10**20}"]),
    "unknown device": (lambda c: c.run.update(devices="tpu"), ["'--devices'", "'tpu'"]),
    "test on two devices": (lambda c: c.run.update(mode="test", devices="cpu cpu"), ["--mode test", "one device"]),
    # configuration files
    "missing config": (
        lambda c: c.run.update(env_config=str(c.folder / "envy.yaml")),
        ["'--env_config'", "envy.yaml", "nearest existing file", "env.yaml"],
    ),
    "unknown key": (lambda c: c.env.update(episode_lenght=1), ["env.yaml:", "'episode_lenght'", "'episode_length'"]),
    "unknown nested key": (
        lambda c: c.agent["model"].update(actor_nett="x"),
        ["agent.yaml:", "'model.actor_nett'", "'model.actor_net'"],
    ),
    "bad boolean in a file": (lambda c: c.env.update(rand_reset="perhaps"), ["env.yaml:", "'rand_reset'", "'perhaps'"]),
    "bad number in a file": (lambda c: c.agent.update(discount="high"), ["agent.yaml:", "'discount'", "'high'"]),
    "missing key": (lambda c: c.agent.pop("discount"), ["agent.yaml", "'discount'", "missing"]),
    "unknown engine": (lambda c: c.engine.update(engine_name="mujocco"), ["engine.yaml:", "'mujocco'", "mujoco"]),
    "engine that is not there": (lambda c: c.engine.update(engine_name="isaac_gym"), ["'isaac_gym'", "mujoco, newton"]),
    # the clip
    "missing clip": (
        lambda c: c.env.update(motion_file=str(c.folder / "stnd.pkl")),
        ["'motion_file'", "stnd.pkl", "stand.pkl"],
    ),
    "clip of another character": (
        lambda c: c.write_clip(frames(c, num_dofs=5)),
        ["stand.pkl", "11 numbers (5 DoFs)", "needs 8 (6 + 2 DoFs)"],
    ),
    "NaN frames": (
        lambda c: c.write_clip(frames(c, math.nan)),
        ["stand.pkl", "1 numbers are not finite", "frame 1", "'right_hip'"],
    ),
    "infinite frames": (lambda c: c.write_clip(frames(c, math.inf)), ["stand.pkl", "not finite", "inf"]),
    "truncated clip": (lambda c: truncate(c.clip), ["stand.pkl", "truncated"]),
    "empty clip": (lambda c: c.clip.write_bytes(b""), ["stand.pkl", "0 bytes"]),
    "clip without fps": (
        lambda c: c.clip.write_bytes(pickle.dumps({"loop_mode": 0, "frames": frames(c)})),
        ["stand.pkl", "lacks fps"],
    ),
    "clip with code": (
        lambda c: c.clip.write_bytes(pickle.dumps({"loop_mode": 0, "fps": 30, "frames": Trap(c.folder / "marker")})),
        ["stand.pkl", "code", "not run"],
    ),
    "dataset with a missing clip": (
        lambda c: dataset(c, f"motions: [{{file: {c.clip}, weight: 1}}, {{file: {c.folder}/gone.pkl, weight: 1}}]"),
        ["gone.pkl", "no such motion clip"],
    ),
    "dataset without weights": (
        lambda c: dataset(c, f"motions: [{{file: {c.clip}}}]"),
        ["clips.yaml", "motion 1", "weight"],
    ),
    # the character
    "missing asset": (
        lambda c: c.env.update(char_file=str(c.folder / "standr.xml")),
        ["'char_file'", "standr.xml", "stander.xml"],
    ),
    "MJCF without limits": (
        lambda c: edit_character(c, ' range="-60 60"', ""),
        ["stander.xml", "'left_hip'", "no limits", "range="],
    ),
    "MJCF that is not XML": (lambda c: edit_character(c, "</worldbody>", ""), ["stander.xml", "XML"]),
    "unknown body": (lambda c: c.env.update(key_bodies=["tail"]), ["key_bodies", "'tail'", "torso, left_leg"]),
    "init_pose of another character": (
        lambda c: c.env.update(init_pose=[0] * 9),
        ["init_pose has 9 numbers", "needs 8"],
    ),
    "weights of another character": (
        lambda c: c.env.update(joint_err_w=[1.0]),
        ["joint_err_w has 1 weights", "2 joints"],
    ),
    # what a run starts from and writes to
    "missing model file": (
        lambda c: c.run.update(model_file=str(c.folder / "model.pt")),
        ["'--model_file'", "model.pt does not exist"],
    ),
    "model file of another shape": (
        lambda c: model_file(c, dict.fromkeys(TENSORS, torch.zeros(3))),
        ["model.pt", "'_obs_norm._count' is (3,), expected (1,)", "another character"],
    ),
    "model file with code": (
        lambda c: model_file(c, {"_obs_norm._mean": Trap(c.folder / "marker")}),
        ["model.pt", "code", "not run"],
    ),
    "output folder is a file": (
        lambda c: file_in_the_way(c, c.folder / "file"),
        ["--out_dir", "is a file, not a folder"],
    ),
    "output folder below a file": (
        lambda c: file_in_the_way(c, c.folder / "file" / "deep" / "out"),
        ["--out_dir", "is a file, not a folder"],
    ),
    "output folder with too long a name": (
        lambda c: c.run.update(out_dir=str(c.folder / ("x" * 300))),
        ["--out_dir", "File name too long"],
    ),
}


def contents(folder: Path) -> dict[str, bytes | None]:
    return {str(path): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


# Of these the file is what is wrong: the rows above whose class is missing_data.
MISSING = ("missing clip", "missing asset", "dataset with a missing clip")


def check_refusal(
    case, capfd: pytest.CaptureFixture[str], words: list[str], code: int = 2, kind: str = "input"
) -> None:
    """The run ends with the code and one paragraph that has ``words``; no file appeared or changed."""
    arguments = case.arguments()
    before = contents(case.folder)
    assert main(arguments) == code
    message = capfd.readouterr().err
    assert message.startswith(f"error ({kind}): ")
    assert message.endswith("\n")
    assert "\n\n" not in message
    assert "Traceback" not in message
    assert [word for word in words if word not in message] == [], message
    assert contents(case.folder) == before


@pytest.mark.parametrize(
    ("name", "edit", "words"),
    [pytest.param(name, *row, id=name, marks=NO_CUDA if name == "no GPU" else ()) for name, row in BAD_INPUT.items()],
)
def test_bad_input(tiny_case, capfd, monkeypatch, name, edit, words):
    monkeypatch.chdir(tiny_case.folder)
    edit(tiny_case)
    check_refusal(tiny_case, capfd, words, *((11, "missing_data") if name in MISSING else ()))


def test_an_earlier_run_s_files_survive_bad_input(tiny_case, capfd):
    tiny_case.out_dir.mkdir()
    (tiny_case.out_dir / "model.pt").write_bytes(b"precious")
    tiny_case.write_clip(frames(tiny_case, math.nan))
    check_refusal(tiny_case, capfd, ["not finite"])


@pytest.mark.parametrize(("kind", "package"), [("tb", "tensorboard"), ("wandb", "wandb")])
def test_a_logger_that_is_not_installed(tiny_case, capfd, monkeypatch, kind, package):
    monkeypatch.setitem(sys.modules, package, None)
    tiny_case.run["logger"] = kind
    check_refusal(tiny_case, capfd, [f"--logger {kind}", f"pip install {package}"])


def test_the_traps_work(tmp_path):
    pickle.loads(pickle.dumps(Trap(tmp_path / "marker")))
    assert (tmp_path / "marker").exists()


def test_the_same_case_without_the_mistakes_runs(tiny_case, capfd):
    assert main(tiny_case.arguments()) == 0
    assert capfd.readouterr().err == ""
    assert (tiny_case.out_dir / "model.pt").exists()


@pytest.mark.parametrize("line", ["", "--num_envs 8"])
def test_no_case_is_named(capfd, line):
    assert main(line.split()) == 2
    assert "no case is named" in capfd.readouterr().err


def test_an_unexpected_failure_shows_its_traceback(tiny_case, capfd, monkeypatch):
    monkeypatch.setattr("mimickit.run.load_case", lambda run: 1 / 0)
    assert main(tiny_case.arguments()) == 1
    assert "ZeroDivisionError" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "kind", "exit_code", "remedy"),
    [
        (MemoryError(), "out_of_memory", 3, "--num_envs"),
        (RuntimeError("CUDA error: out of memory"), "out_of_memory", 3, "--num_envs"),
        (OSError(errno.ENOSPC, "No space left on device"), "disk_full", 8, "--out_dir"),
        (RuntimeError("CUDA error: unspecified launch failure"), "driver", 9, "nvidia-smi"),
        (ImportError("libcudart.so.12: cannot open shared object file"), "import_error", 12, "pip install"),
    ],
)
def test_failures_of_libraries_have_their_own_code(tiny_case, capfd, monkeypatch, error, kind, exit_code, remedy):
    def fail(run):
        raise error

    tiny_case.out_dir.mkdir()
    monkeypatch.setattr("mimickit.run.load_case", fail)
    assert main(tiny_case.arguments()) == exit_code
    message = capfd.readouterr().err
    assert f"error ({kind}): " in message
    assert remedy in message
    record = json.loads((tiny_case.out_dir / "error.json").read_text())
    assert (record["kind"], record["exit_code"], record["stage"]) == (kind, exit_code, "train")
