"""Writing and reading model files, and what is said of a bad one."""

import io
import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from mimickit.errors import InputError
from mimickit.learning import checkpoint
from mimickit.learning.checkpoint import load_model, load_state, save_model

REPOSITORY = Path(__file__).resolve().parents[2]


def network(seed: int = 0) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(3, 2)


class Trap:
    """Pickles into a call that leaves a file behind."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def test_an_agent_s_model_file_comes_back_equal(make_agent, tmp_path):
    agent, other = make_agent(seed=1), make_agent(seed=2)
    agent.begin_training()
    agent.iterate()
    save_model(agent, tmp_path / "model.pt")
    load_model(other, tmp_path / "model.pt")
    state, copied = agent.state_dict(), other.state_dict()
    assert list(state) == list(copied)
    assert all(torch.equal(state[name], copied[name]) for name in state)
    obs = torch.randn(5, 2)
    assert torch.equal(agent.best_action(obs), other.best_action(obs))


def test_the_file_is_a_plain_flat_dict_of_cpu_tensors(tmp_path):
    save_model(network(), tmp_path / "model.pt")
    state = torch.load(tmp_path / "model.pt", weights_only=True)
    assert type(state) is dict
    assert {name: tuple(tensor.shape) for name, tensor in state.items()} == {"weight": (2, 3), "bias": (2,)}


def test_the_same_model_gives_the_same_bytes(tmp_path):
    for name in ("a.pt", "b.pt"):
        save_model(network(), tmp_path / name)
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    save_model(network(), path)
    before = path.read_bytes()

    def fail_halfway(state, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail_halfway)
    with pytest.raises(OSError, match="No space"):
        save_model(network(1), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["model.pt"]


def test_the_old_file_stays_until_the_new_one_is_whole(tmp_path, monkeypatch):
    path = tmp_path / "model.pt"
    save_model(network(), path)
    before = path.read_bytes()
    replace = os.replace
    seen = []

    def watch(source, target):
        seen.append((path.read_bytes() == before, load_state(source).keys()))
        replace(source, target)

    monkeypatch.setattr(os, "replace", watch)
    save_model(network(1), path)
    assert seen == [(True, {"weight": 0, "bias": 0}.keys())]
    assert path.read_bytes() != before


GOOD = {"weight": torch.ones(2, 3), "bias": torch.ones(2)}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (GOOD | {"weight": torch.ones(2, 4)}, ["'weight' is (2, 4), expected (2, 3)"]),
        ({"weight": GOOD["weight"]}, ["lacks 'bias'"]),
        (GOOD | {"gain": torch.ones(1)}, ["unknown 'gain'"]),
        (GOOD | {"bias": torch.tensor([1.0, float("nan")])}, ["'bias' is not finite"]),
        (GOOD | {"bias": torch.tensor([1.0, float("inf")])}, ["'bias' is not finite"]),
        ({f"x{i}": torch.ones(1) for i in range(5)}, ["lacks 'weight'", "and 3 more"]),
        ({}, ["no flat state_dict"]),
        ({"model": GOOD}, ["no flat state_dict"]),
        ([torch.ones(1)], ["no flat state_dict"]),
        (torch.ones(1), ["no flat state_dict"]),
    ],
)
def test_a_file_that_does_not_fit_is_refused_whole(tmp_path, state, words):
    path = tmp_path / "other.pt"
    torch.save(state, path)
    module = network()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(InputError) as caught:
        load_model(module, path)
    assert all(word in str(caught.value) for word in [str(path), *words])
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


def good_bytes() -> bytes:
    buffer = io.BytesIO()
    torch.save(GOOD, buffer)
    return buffer.getvalue()


def legacy_bytes() -> bytes:
    buffer = io.BytesIO()
    torch.save(GOOD, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


@pytest.mark.parametrize("whole", [good_bytes(), legacy_bytes()], ids=["zip", "legacy"])
def test_a_truncated_file_is_refused_wherever_it_ends(tmp_path, whole):
    path = tmp_path / "model.pt"
    for length in range(0, len(whole), max(1, len(whole) // 60)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"model\.pt") as caught:
            load_state(path)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"\x00" * 64, b"not a model", b"\x80\x04.", b"\x80\x04K\x01.", b"PK\x03\x04" + b"x" * 50]
)
def test_another_kind_of_file_is_refused(tmp_path, content):
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    with pytest.raises(InputError, match="model.pt"):
        load_state(path)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such model file"):
        load_state(tmp_path / "none.pt")
    with pytest.raises(InputError, match=str(tmp_path)):
        load_state(tmp_path)


@pytest.mark.parametrize(
    ("save", "run"),
    [
        (lambda value, path: path.write_bytes(pickle.dumps(value)), lambda path: pickle.loads(path.read_bytes())),
        (torch.save, lambda path: torch.load(path, weights_only=False)),
    ],
    ids=["pickle", "torch"],
)
def test_code_in_a_file_is_not_run(tmp_path, save, run):
    marker, path = tmp_path / "marker", tmp_path / "trap.pt"
    save({"weight": Trap(marker)}, path)
    with pytest.raises(InputError, match=r"trap\.pt.* names code, which is not run") as caught:
        load_state(path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()
    run(path)
    assert marker.exists()  # the trap works


@pytest.mark.parametrize(
    ("state", "code", "answer"),
    [
        (GOOD, 0, {"tensors": 2, "parameters": 8, "finite": True, "bad": []}),
        (
            GOOD | {"bias": torch.tensor([0.0, float("nan")])},
            1,
            {"tensors": 2, "parameters": 8, "finite": False, "bad": ["bias"]},
        ),
    ],
)
def test_command_describes_a_file(tmp_path, capsys, state, code, answer):
    torch.save(state, tmp_path / "model.pt")
    assert checkpoint.main([str(tmp_path / "model.pt")]) == code
    assert json.loads(capsys.readouterr().out) == answer


def test_command_refuses_a_bad_file_and_wrong_arguments(tmp_path, capsys):
    (tmp_path / "model.pt").write_bytes(good_bytes()[:100])
    assert checkpoint.main([str(tmp_path / "model.pt")]) == 1
    assert "model.pt" in json.loads(capsys.readouterr().out)["error"]
    assert checkpoint.main([]) == 2
    assert "usage" in capsys.readouterr().err


def test_command_as_a_process(tmp_path):
    save_model(network(), tmp_path / "model.pt")
    codes = {}
    for name in ("model.pt", "none.pt"):
        command = [sys.executable, "-m", "mimickit.learning.checkpoint", str(tmp_path / name)]
        ended = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
        codes[name] = (ended.returncode, list(json.loads(ended.stdout)), ended.stderr)
    assert codes == {"model.pt": (0, ["tensors", "parameters", "finite", "bad"], ""), "none.pt": (1, ["error"], "")}
