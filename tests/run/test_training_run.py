"""Training runs as a person starts them: files, determinism, several processes, signals, failures."""

import hashlib
import json
import math
import os
import signal
import time
from pathlib import Path

import pytest
import torch

from mimickit.learning.logger import read_log
from mimickit.run import main
from tests.run.programs import TIMEOUT, finish, log_without_time, start


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_training_run_s_files(tiny_case, capsys):
    assert main(tiny_case.arguments(max_samples="200", save_int_models="true")) == 0
    out_dir = tiny_case.out_dir
    # 8 environments and 8 steps are 64 samples: 4 iterations, and outputs after the first, the third and the last.
    assert {path.name for path in out_dir.iterdir()} == {
        "config.yaml",
        "log.txt",
        "model.pt",
        "status.json",
        "train_state.pt",
        "train_summary.json",
        *[f"model_{samples:012d}.pt" for samples in (64, 192, 256)],
    }
    log = read_log(out_dir / "log.txt")
    assert list(log)[:9] == [
        "Iteration",
        "Wall_Time",
        "Samples",
        "Test_Return",
        "Test_Episode_Length",
        "Test_Episodes",
        "Train_Return",
        "Train_Episode_Length",
        "Train_Episodes",
    ]
    assert log["Iteration"] == [0, 2, 3]
    assert log["Samples"] == [64, 192, 256]
    assert log["Test_Episodes"] == [8, 8, 8]
    assert all(math.isfinite(value) for column in log.values() for value in column)
    summary = json.loads((out_dir / "train_summary.json").read_text())
    expected = {"samples": 256, "iterations": 4, "num_envs": 8, "num_processes": 1, "seed": 7, "engine": "mujoco"}
    assert {key: summary[key] for key in expected} == expected
    assert summary["devices"] == ["cpu"]
    assert (summary["interrupted"], summary["ended_by"]) == (0, "max_samples")
    assert summary["samples_per_s"] > 0
    assert summary["mean_return"] == pytest.approx(log["Test_Return"][-1], rel=1e-5)
    status = json.loads((out_dir / "status.json").read_text())
    assert (status["stage"], status["samples"], status["max_samples"]) == ("train", 256, 200)
    assert digest(out_dir / "model.pt") == digest(out_dir / "model_000000000256.pt")
    last = capsys.readouterr().out.splitlines()[-3:]
    assert [line.split(":")[0] for line in last] == ["Mean Return", "Mean Episode Length", "Episodes"]


def test_a_trained_model_is_tested(tiny_case, capsys):
    assert main(tiny_case.arguments()) == 0
    model, error = tiny_case.out_dir / "model.pt", tiny_case.out_dir / "error.json"
    trained = digest(model)
    error.write_text("of an earlier run")
    capsys.readouterr()
    assert main(tiny_case.arguments(mode="test", model_file=str(model), test_episodes="20", max_samples=None)) == 0
    metrics = json.loads((tiny_case.out_dir / "test_metrics.json").read_text())
    assert metrics["episodes"] == 24  # three in each of 8 environments
    assert metrics["mean_ep_len"] == 9.0  # 0.3 s at 30 Hz: the box stands
    assert (metrics["engine"], metrics["device"], metrics["seed"]) == ("mujoco", "cpu", 7)
    assert metrics["model_file"] == str(model)
    status = json.loads((tiny_case.out_dir / "status.json").read_text())
    assert (status["stage"], status["episodes"], status["eta_s"]) == ("test", 24, 0.0)
    assert status["mean_return"] == pytest.approx(metrics["mean_return"])
    printed = dict(line.split(": ") for line in capsys.readouterr().out.splitlines()[-3:])
    assert list(printed) == ["Mean Return", "Mean Episode Length", "Episodes"]
    assert float(printed["Mean Return"]) == pytest.approx(metrics["mean_return"], rel=1e-5)
    # The training's files stay, what could be mistaken for this run's does not.
    assert digest(model) == trained
    assert (tiny_case.out_dir / "train_summary.json").exists()
    assert not error.exists()


def test_a_test_without_a_model_says_so(tiny_case):
    assert main(tiny_case.arguments(mode="test", test_episodes="8", max_samples=None)) == 0
    assert json.loads((tiny_case.out_dir / "test_metrics.json").read_text())["model_file"] is None


def test_training_goes_on_from_the_model_in_its_own_folder(tiny_case):
    assert main(tiny_case.arguments()) == 0
    model = str(tiny_case.out_dir / "model.pt")
    assert main(tiny_case.arguments(model_file=model)) == 0
    assert torch.load(model, weights_only=True)["_obs_norm._count"].item() == 2 * 128


def test_a_failed_run_leaves_no_earlier_result(tiny_case):
    assert main(tiny_case.arguments()) == 0
    tiny_case.agent["critic_optimizer"]["learning_rate"] = 1e30
    assert main(tiny_case.arguments()) == 6
    assert not {path.name for path in tiny_case.out_dir.iterdir()} & {"model.pt", "train_summary.json"}


def test_print_config_writes_nothing(tiny_case, capsys):
    assert main(tiny_case.arguments(print_config="true")) == 0
    assert "fc_2layers_128units" in capsys.readouterr().out
    assert not tiny_case.out_dir.exists()


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tiny_case):
    runs = {"first": "7", "again": "7", "other": "8"}
    processes = {}
    for name, seed in runs.items():
        os.environ["PYTHONHASHSEED"] = str(len(name))
        processes[name] = start(tiny_case, out_dir=str(tiny_case.folder / name), rand_seed=seed)
    os.environ.pop("PYTHONHASHSEED")
    assert [finish(process)[::2] for process in processes.values()] == [(0, "")] * 3
    models = {name: digest(tiny_case.folder / name / "model.pt") for name in runs}
    logs = {name: log_without_time(tiny_case.folder / name) for name in runs}
    assert models["first"] == models["again"] != models["other"]
    assert logs["first"] == logs["again"] != logs["other"]


def test_two_processes_train_one_model(tiny_case):
    code, _, err = finish(start(tiny_case, devices="cpu cpu", max_samples="256"))
    assert (code, err) == (0, "")
    summary = json.loads((tiny_case.out_dir / "train_summary.json").read_text())
    assert (summary["samples"], summary["iterations"], summary["num_processes"]) == (256, 2, 2)
    assert log_without_time(tiny_case.out_dir)["Samples"] == [128, 256]
    state = torch.load(tiny_case.out_dir / "model.pt", weights_only=True)
    assert state["_obs_norm._count"].tolist() == [256]  # of both processes


def test_an_input_error_in_a_training_process_is_told_as_one(tiny_case):
    tiny_case.env["key_bodies"] = ["tail"]
    code, _, err = finish(start(tiny_case, devices="cpu cpu"))
    assert code == 2
    assert err.startswith("error (input): key_bodies: 'tail' is not a body of")
    assert "Traceback" not in err
    assert not tiny_case.out_dir.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("devices", ["cpu", "cpu cpu"])
def test_a_signal_ends_it_after_the_iteration_with_everything_written(tiny_case, devices, number):
    tiny_case.agent["normalizer_samples"] = 1_000_000_000  # so that it counts every sample
    process = start(tiny_case, devices=devices, max_samples="1000000000")
    log = tiny_case.out_dir / "log.txt"
    deadline = time.monotonic() + TIMEOUT
    while not (log.exists() and log.read_text().count("\n") >= 3):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(number)
    code, out, err = finish(process)
    assert (code, err) == (128 + number, "")
    summary = json.loads((tiny_case.out_dir / "train_summary.json").read_text())
    assert summary["interrupted"] in (number, signal.SIGTERM)  # processes are told of Ctrl-C by TERM
    assert summary["ended_by"] == "signal"
    assert summary["samples"] == log_without_time(tiny_case.out_dir)["Samples"][-1] > 0
    state = torch.load(tiny_case.out_dir / "model.pt", weights_only=True)
    assert state["_obs_norm._count"].item() == summary["samples"]
    assert out.splitlines()[-1].startswith("Episodes: ")
    assert not (tiny_case.out_dir / "error.json").exists()


@pytest.mark.parametrize(
    ("optimizer", "words"),
    [("critic_optimizer", "_model._critic_"), ("actor_optimizer", "_model._actor_")],
)
def test_divergence_has_its_own_code_and_record(tiny_case, capfd, monkeypatch, optimizer, words):
    monkeypatch.chdir(tiny_case.folder)
    tiny_case.agent[optimizer]["learning_rate"] = 1e30
    assert main(tiny_case.arguments()) == 6
    err = capfd.readouterr().err
    assert err.startswith("error (divergence): iteration 0: ")
    assert words in err
    record = json.loads((tiny_case.out_dir / "error.json").read_text())
    assert (record["kind"], record["exit_code"], record["stage"]) == ("divergence", 6, "train")
    assert record["message"] in err
    assert not (tiny_case.out_dir / "model.pt").exists()
    assert not (tiny_case.folder / "MUJOCO_LOG.TXT").exists()


def test_a_new_training_sets_the_old_results_aside_and_a_failing_one_keeps_them(tiny_case):
    assert finish(start(tiny_case))[0] == 0
    first = (tiny_case.out_dir / "model.pt").read_bytes()
    assert finish(start(tiny_case, model_file=str(tiny_case.out_dir / "model.pt"), devices="cuda:99"))[0] == 2
    assert (tiny_case.out_dir / "model.pt").read_bytes() == first

    tiny_case.agent["actor_optimizer"]["learning_rate"] = 1e30
    assert finish(start(tiny_case))[0] == 6

    assert not (tiny_case.out_dir / "train_summary.json").exists()
    assert (tiny_case.out_dir / "model.pt.previous").read_bytes() == first
