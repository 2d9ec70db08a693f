"""Whole runs of the matrix on a stub: what passes, what must not, and what is left on disk."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from ci.errors import UsageError

# The check that users run on our output, as published.
ACCEPTANCE = """
import csv,glob,os
root=sorted(glob.glob('output/train/case_e2e_all_*'))[-1]
rows=list(csv.DictReader(open(os.path.join(root,'best_by_case.tsv')),delimiter='\\t'))
ok=sum(1 for r in rows if str(r.get('final_ok')).strip()=='1')
print('all_pass',ok==len(rows))
"""

COLUMNS = (
    "case method case_type variant agent_config num_envs train_rc train_timeout train_ok test_rc test_ok viz_rc viz_ok "
    "final_ok note out_dir train_out_dir train_log test_log viz_log engine device seed commit samples samples_per_s "
    "mean_return mean_ep_len episodes frames train_seconds test_seconds viz_seconds "
    "long_rc long_ok long_log long_samples long_samples_per_s long_seconds failure repeats seconds memory_gb dirty "
    "device_name driver engine_version packages"
)


def acceptance(repository: Path) -> str:
    answer = subprocess.run(
        [sys.executable, "-c", ACCEPTANCE], cwd=repository, capture_output=True, text=True, check=True
    )
    return answer.stdout.strip()


def alive(pid: int) -> bool:
    """Whether a process still runs; one that ended and was not collected does not count."""
    status = Path(f"/proc/{pid}/stat")
    try:
        return status.read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def until(condition, seconds=10.0):
    """Wait for a condition; fails the test when it does not come true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)


def test_a_case_that_works_passes_and_every_table_says_so(matrix):
    outcome = matrix.run()
    assert outcome.code == 0
    row = outcome.row
    assert " ".join(row) == COLUMNS
    run = f"output/train/{outcome.root.name}/runs/deepmimic_humanoid_ppo_args/base_e64"
    expected = {
        "case": "deepmimic_humanoid_ppo_args",
        "method": "deepmimic",
        "case_type": "trainable",
        "variant": "base",
        "agent_config": "data/agents/ppo_agent.yaml",
        "num_envs": "64",
        "train_rc": "0",
        "train_timeout": "0",
        "train_ok": "1",
        "test_rc": "0",
        "test_ok": "1",
        "viz_rc": "0",
        "viz_ok": "1",
        "final_ok": "1",
        "note": "",
        "out_dir": run,
        "train_out_dir": f"{run}/train",
        "train_log": f"{run}/train.log",
        "test_log": f"{run}/test.log",
        "viz_log": f"{run}/viz.log",
        "engine": "mujoco",
        "device": "cpu",
        "device_name": "Stub",
        "driver": "",
        "engine_version": "3.17.0",
        "packages": "mujoco 3.17.0, torch 2.13.0",
        "dirty": "0",
        "failure": "",
        "repeats": "0",
        "long_rc": "",
        "long_ok": "",
        "seed": "1",
        "commit": "unknown",
        "samples": str(64 * 8 * 4),
        "samples_per_s": "1234.5",
        "mean_return": "5.25",
        "mean_ep_len": "20.5",
        "episodes": "10",
        "frames": "12",
    }
    assert {name: row[name] for name in expected} == expected
    assert all(float(row[f"{stage}_seconds"]) > 0.0 for stage in ("train", "test", "viz"))
    assert all((matrix.repository / row[name]).is_file() for name in ("train_log", "test_log", "viz_log"))
    manifest = (outcome.root / "case_manifest.tsv").read_text().splitlines()
    assert manifest[0] == "case method case_type mode agent_config env_config".replace(" ", "\t")
    assert manifest[1].split("\t")[:4] == ["deepmimic_humanoid_ppo_args", "deepmimic", "trainable", "train"]
    assert (outcome.root / "summary.md").read_text().startswith("# all_pass True: 1 of 1 cases passed")
    progress = json.loads((outcome.root / "progress.json").read_text())
    assert (progress["total"], progress["passed"], progress["failed"], progress["all_pass"]) == (1, 1, 0, True)
    assert outcome.printed.rstrip().endswith("all_pass True")
    assert acceptance(matrix.repository) == "all_pass True"
    assert not list(outcome.root.rglob("*.pending"))


def test_the_stages_get_what_the_case_and_the_options_say(matrix):
    matrix.run("--train-iters", "3", "--test-episodes", "12", "--viz-episodes", "2", "--rand-seed", "7")
    train, test, viz = matrix.calls()
    assert [train["stage"], test["stage"], viz["stage"]] == ["train", "test", "viz"]
    assert train["options"]["max_samples"] == [str(64 * 8 * 3)]
    assert train["options"]["agent_config"] == ["data/agents/ppo_agent.yaml"]
    assert train["options"]["rand_seed"] == test["options"]["rand_seed"] == ["7"]
    assert (test["options"]["num_envs"], test["options"]["test_episodes"]) == (["12"], ["12"])
    assert (viz["options"]["num_envs"], viz["options"]["test_episodes"]) == (["1"], ["2"])
    assert viz["options"]["model_file"] == test["options"]["model_file"]
    assert train["environment"] == {"NCCL_P2P_DISABLE": "1", "MESA_GL_VERSION_OVERRIDE": None}
    assert viz["environment"] == {"NCCL_P2P_DISABLE": None, "MESA_GL_VERSION_OVERRIDE": "3.3"}


def test_samples_count_every_device_and_one_device_tests(matrix):
    outcome = matrix.run("--devices-train", "cuda:0,cuda:1", "--profile", "smoke")
    train, test, _ = matrix.calls()
    assert outcome.code == 0
    assert train["options"]["devices"] == ["cuda:0", "cuda:1"]
    assert train["options"]["max_samples"] == [str(64 * 8 * 4 * 2)]
    assert test["options"]["devices"] == ["cuda:0"]


@pytest.mark.parametrize(
    ("fault", "stage", "kind", "words"),
    [
        ("train_exit_1_after_success", "train", "unexpected", "exit code 1"),
        ("train_no_model", "train", "no_evidence", "model.pt was not written"),
        ("train_few_samples", "train", "no_evidence", "2047 samples, asked for 2048"),
        ("train_log_nan", "train", "divergence", "log.txt row 2, Loss is nan"),
        ("train_divergence", "train", "divergence", "actor loss is NaN at iteration 2"),
        ("train_traceback", "train", "unexpected", "RuntimeError: no such thing"),
        ("train_killed", "train", "signal", "SIGKILL"),
        ("model_nan", "train", "divergence", "non-finite numbers in _actor.weight"),
        ("test_writes_model", "train", "no_evidence", "model.pt is not what its training left"),
        ("test_nan", "test", "divergence", "mean_return is nan"),
        ("test_few_episodes", "test", "no_evidence", "9 episodes, asked for 10"),
        ("test_no_metrics", "test", "no_evidence", "test_metrics.json was not written"),
        ("test_prints_otherwise", "test", "no_evidence", "'Mean Return: 7.0'"),
        ("test_out_of_memory", "test", "out_of_memory", "no room for the test"),
        ("viz_black", "viz", "render", "12 of 12 frames are blank"),
        ("viz_frozen_from 0", "viz", "render", "of 11 pairs of frames between which the character moves, 0 differ"),
        ("viz_frozen_from 9", "viz", "render", "the video is frozen: of 11 pairs of frames between which the chara"),
        ("viz_rests_from 2", "viz", "render", "moves for 2 frames on end, at least 3 are needed"),
        ("viz_only_starts_anew", "viz", "render", "moves for 1 frames on end, at least 3 are needed"),
        ("viz_move_untold", "viz", "no_evidence", "frames.json does not say how far the character moved"),
        ("viz_short", "viz", "render", "2 frames"),
        ("viz_cut_video", "viz", "no_evidence", "video.mp4 cannot be decoded"),
        ("viz_out_of_view", "viz", "render", "in view in 0 of 2 measured frames"),
        ("viz_no_coverage", "viz", "no_evidence", "no finite coverage"),
        ("viz_error_but_exit_0", "viz", "render", "no EGL"),
    ],
)
def test_a_fault_is_red_named_and_final(matrix, fault, stage, kind, words):
    name, _, value = fault.partition(" ")
    outcome = matrix.run(**{name: value or 1})
    assert outcome.code == 1
    assert outcome.row["final_ok"] == "0"
    assert outcome.row[f"{stage}_ok"] == "0"
    assert len(outcome.attempts()) == 1
    failure = outcome.failure(stage)
    assert failure["kind"] == kind
    assert words in failure["message"]
    assert outcome.row["note"].startswith(f"{stage} failed ({kind}): ")
    assert "; remedy: " in outcome.row["note"]
    assert acceptance(matrix.repository) == "all_pass False"
    stages = ["train", "test", "viz"]
    later = stages[stages.index(stage) + 1 :]
    if fault not in ("model_nan", "test_writes_model"):  # the model is read beside the test
        assert [outcome.row[f"{name}_rc"] for name in later] == [""] * len(later)
    assert all(outcome.row[f"{name}_ok"] == "1" for name in stages[: stages.index(stage)])


def test_a_character_that_falls_and_then_lies_still_is_filmed_well(matrix):
    outcome = matrix.run(viz_rests_from=3, viz_frozen_from=3)
    assert outcome.code == 0
    assert outcome.attempts()[0]["stages"][2]["facts"]["frames_moving"] == 3


def test_a_run_on_another_device_than_asked_is_red(matrix):
    outcome = matrix.run("--devices-train", "cuda:0", "--profile", "smoke", train_on_cpu=1)
    assert outcome.code == 1
    assert "devices is ['cpu'], asked for ['cuda:0']" in outcome.failure("train")["message"]


@pytest.mark.parametrize("fault", ["train_oom_above", "train_capacity_above", "train_oom_text_above"])
def test_too_large_steps_down_the_ladder_until_it_fits(matrix, fault):
    outcome = matrix.run(**{fault: 20})
    assert outcome.code == 0
    attempts = outcome.attempts()
    assert [attempt["num_envs"] for attempt in attempts] == [64, 32, 16]
    kind = "capacity" if "capacity" in fault else "out_of_memory"
    assert [attempt["stages"][0]["failure"] and attempt["stages"][0]["failure"]["kind"] for attempt in attempts] == [
        kind,
        kind,
        None,
    ]
    assert outcome.row["num_envs"] == "16"
    assert outcome.row["samples"] == str(16 * 8 * 4)
    assert outcome.row["note"].startswith(f"passed after {kind} with 64 environments")


def test_a_ladder_that_ends_is_red(matrix):
    outcome = matrix.run("--default-ladder", "6,4", train_oom_above=2)
    assert outcome.code == 1
    assert [attempt["num_envs"] for attempt in outcome.attempts()] == [6, 4]
    assert outcome.row["note"].startswith("no rung of the ladder fits: train failed (out_of_memory)")


def test_a_missing_clip_fails_the_case_with_the_reason(matrix):
    outcome = matrix.run(data_missing=1)
    assert outcome.code == 1
    assert outcome.row["note"].startswith("data failed (missing_data): data/motions/humanoid/humanoid_walk.pkl is")
    assert outcome.attempts() == []
    assert "humanoid_walk.pkl is missing" in (outcome.root / f"runs/{outcome.row['case']}/data.log").read_text()


def test_a_bug_in_the_data_step_is_called_one(matrix):
    outcome = matrix.run(data_bug=1)
    assert outcome.code == 1
    assert outcome.row["note"].startswith("data failed (unexpected): exit code 1: RuntimeError: no such recipe")


def test_a_hang_is_ended_at_its_deadline_with_its_children(matrix, tmp_path, monkeypatch):
    monkeypatch.setattr("ci.run.process.GRACE_SECONDS", 0.3)
    pids = tmp_path / "pids"
    outcome = matrix.run("--train-timeout", "1.5", train_hang=pids)
    assert outcome.code == 1
    assert outcome.row["train_timeout"] == "1"
    assert outcome.row["train_rc"] == "-9"
    assert outcome.failure("train")["kind"] == "timeout"
    assert len(outcome.attempts()) == 1
    leader, child = map(int, pids.read_text().split())
    until(lambda: not alive(leader) and not alive(child))


def test_what_a_stage_leaves_behind_is_ended(matrix, tmp_path):
    pid = tmp_path / "pid"
    assert matrix.run(train_leaves_child=pid).code == 0
    until(lambda: not alive(int(pid.read_text())))


def test_junit_has_a_suite_per_case_and_a_test_per_stage(matrix, case_adder):
    case_adder(matrix, "amp_humanoid_args", agent="missing_steps")
    matrix.write("data/agents/missing_steps_agent.yaml", "agent_name: AMP\n")
    outcome = matrix.run(test_nan=1)
    assert outcome.code == 1
    suites = {suite.get("name"): suite for suite in ElementTree.parse(outcome.root / "junit.xml").getroot()}
    assert sorted(suites) == ["amp_humanoid_args", "deepmimic_humanoid_ppo_args"]
    stub = suites["deepmimic_humanoid_ppo_args"]
    assert (stub.get("tests"), stub.get("failures"), stub.get("errors"), stub.get("skipped")) == ("3", "1", "1", "0")
    tests = {test.get("name"): test for test in stub.findall("testcase")}
    assert list(tests) == ["train", "test", "viz"]
    assert list(tests["train"]) == []
    assert tests["test"].find("failure").get("type") == "divergence"
    assert "mean_return is nan" in tests["test"].find("failure").get("message")
    assert "Mean Return: nan" in tests["test"].find("failure").text
    assert tests["viz"].find("error").get("type") == "not_run"
    broken = suites["amp_humanoid_args"]
    assert (broken.get("tests"), broken.get("errors")) == ("3", "3")
    assert "steps_per_iter" in broken.find("testcase").find("error").get("message")


def test_one_bad_case_does_not_stop_the_others(matrix, case_adder):
    case_adder(matrix, "add_humanoid_args", agent=None)
    broken = "--env_config data/envs/nowhere.yaml\n--agent_config data/agents/no.yaml\n"
    matrix.write("args/add_humanoid_args.txt", broken)
    outcome = matrix.run()
    assert outcome.code == 1
    assert [(row["case"], row["final_ok"]) for row in outcome.rows] == [
        ("add_humanoid_args", "0"),
        ("deepmimic_humanoid_ppo_args", "1"),
    ]
    assert "data/agents/no.yaml and data/envs/nowhere.yaml, which does not exist" in outcome.rows[0]["note"]
    summary = (outcome.root / "summary.md").read_text()
    assert summary.startswith("# all_pass False: 1 of 2 cases passed")
    assert summary.index("add_humanoid_args") < summary.index("deepmimic_humanoid_ppo_args")


def test_cases_without_an_agent_get_a_bootstrap_training(matrix, case_adder):
    case_adder(matrix, "view_motion_g1_args", agent=None)
    outcome = matrix.run("view_motion_g1_args.txt", "--nontrainable-max-samples", "96", "--devices-nontrainable", "cpu")
    assert outcome.code == 0
    assert (outcome.row["case_type"], outcome.row["method"]) == ("nontrainable", "view_motion")
    assert (outcome.row["num_envs"], outcome.row["samples"], outcome.row["agent_config"]) == ("1", "96", "")
    assert matrix.calls()[0]["options"]["mode"] == ["train"]
    assert "agent_config" not in matrix.calls()[0]["options"]


def test_pi_plus_tries_the_high_utilisation_agent_first_then_its_own(matrix, case_adder):
    case_adder(matrix, "amp_pi_plus_args", agent="pi")
    matrix.write("data/agents/pi_agent_hiutil.yaml", "agent_name: AMP\nsteps_per_iter: 2\n")
    outcome = matrix.run("amp_pi_plus_args", "--amp-pi-plus-ladder", "6,4", train_oom_above=5)
    assert outcome.code == 0
    tried = [(attempt["variant"], attempt["num_envs"]) for attempt in outcome.attempts("amp_pi_plus_args")]
    assert tried == [("hiutil", 6), ("hiutil", 4)]
    assert outcome.row["agent_config"] == "data/agents/pi_agent_hiutil.yaml"
    assert outcome.row["samples"] == str(4 * 2 * 4)


def test_an_existing_root_is_not_written_into(matrix):
    assert matrix.run("--root-out", "mine").code == 0
    with pytest.raises(UsageError, match="mine exists already"):
        matrix.run("--root-out", "mine")


def test_nothing_is_written_when_nothing_is_selected(matrix):
    for arguments, words in [
        (("deepmimic_humanoid_pppo_args.txt",), "did you mean deepmimic_humanoid_ppo_args"),
        (("--shard", "2/2"), "no case is selected"),
    ]:
        with pytest.raises(UsageError, match=words):
            matrix.run(*arguments)
    assert not (matrix.repository / "output").exists()


def test_a_missing_package_is_red_before_anything_starts(matrix):
    with pytest.raises(UsageError, match="not installed: no-such-package"):
        matrix.run("--require-deps", "numpy,no-such-package")
    assert not (matrix.repository / "output").exists()


RUNNER = """
import argparse, sys
from pathlib import Path
from ci.run import e2e
from ci.run import process
from ci.run.stages import Programs
process.GRACE_SECONDS = 0.3
repository, stub, *arguments = Path(sys.argv[1]), *sys.argv[2:]
roles = ("run", "data", "prior", "checkpoint")
role = {name: (sys.executable, stub, name, str(repository / "faults")) for name in roles}
parser = argparse.ArgumentParser()
e2e.add_arguments(parser)
sys.exit(e2e.run(parser.parse_args(arguments), repository, Programs(**role)))
"""
GIVEN = ("--engine-config", "mujoco_engine.yaml", "--devices-train", "cpu", "--require-deps", "numpy", "--jobs", "1")


def start_runner(matrix) -> subprocess.Popen[bytes]:
    """The matrix in a process of its own."""
    stub = str(Path(__file__).parents[1] / "stub_trainer.py")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    return subprocess.Popen([sys.executable, "-c", RUNNER, str(matrix.repository), stub, *GIVEN], env=environment)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_ending_the_matrix_ends_its_processes_and_is_red(matrix, case_adder, tmp_path, name):
    case_adder(matrix, "zzz_never_reached_args")
    pids = tmp_path / "pids"
    matrix.write("faults", f"train_hang {pids}\n")
    runner = start_runner(matrix)
    try:
        until(pids.exists)
        runner.send_signal(signal.Signals[name])
        assert runner.wait(timeout=15) == 128 + signal.Signals[name]
    finally:
        runner.kill()
    until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))
    assert acceptance(matrix.repository) == "all_pass False"
    (root,) = (matrix.repository / "output" / "train").glob("*")
    rows = (root / "best_by_case.tsv").read_text().splitlines()[1:]
    assert [row.split("\t")[14].split(":")[0] for row in rows] == ["case failed (stopped)", "not run yet"]
    assert json.loads((root / "progress.json").read_text())["doing"] == f"ended by {name}"


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child that its parent died")
def test_killing_the_matrix_ends_its_stage(matrix, tmp_path):
    pids = tmp_path / "pids"
    matrix.write("faults", f"train_sleep {pids}\n")
    runner = start_runner(matrix)
    try:
        until(pids.exists)
    finally:
        runner.kill()
        runner.wait()
    until(lambda: not alive(int(pids.read_text())))
    assert acceptance(matrix.repository) == "all_pass False"
