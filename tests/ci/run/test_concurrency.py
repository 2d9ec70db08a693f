"""Several cases at once, and failures outside a case that get one more try."""

import argparse
import time
from pathlib import Path

import pytest

from ci.errors import UsageError
from ci.host import Gpu
from ci.run import e2e

CASE = "deepmimic_humanoid_ppo_args"


@pytest.fixture
def four(make_matrix, case_adder):
    matrix = make_matrix()
    for name in ("add_a_args", "amp_b_args", "ase_c_args", "lcp_d_args"):
        case_adder(matrix, name)
    return matrix


def spans(matrix) -> dict[str, list[tuple[float, float]]]:
    """When the stages of each case ran."""
    found: dict[str, list[tuple[float, float]]] = {}
    for line in (matrix.repository / "spans").read_text().splitlines():
        case, began, ended = line.split()
        found.setdefault(case, []).append((float(began), float(ended)))
    return found


def most_at_once(matrix) -> int:
    times = [(stage[0], 1) for stages in spans(matrix).values() for stage in stages]
    times += [(stage[1], -1) for stages in spans(matrix).values() for stage in stages]
    running = most = 0
    for _, change in sorted(times):
        running += change
        most = max(most, running)
    return most


@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_as_many_cases_run_at_once_as_asked_for(four, jobs, monkeypatch):
    monkeypatch.setattr("ci.run.e2e.usable_cores", lambda: (0, 0, 0, 0))
    outcome = four.run("--jobs", str(jobs), spans=four.repository / "spans", stage_takes=0.4)
    assert outcome.code == 0
    assert most_at_once(four) == jobs
    assert [row["final_ok"] for row in outcome.rows] == ["1"] * 4
    assert [row["case"] for row in outcome.rows] == ["add_a_args", "amp_b_args", "ase_c_args", "lcp_d_args"]


def test_memory_decides_who_runs_beside_whom(four, monkeypatch):
    """Each case takes 2 GB by its profile; a machine with 5 has room for two."""
    monkeypatch.setattr("ci.run.e2e.usable_cores", lambda: (0, 0, 0, 0))
    monkeypatch.setattr("ci.run.e2e.host_memory_gb", lambda: 5.0)
    assert four.run("--jobs", "4", spans=four.repository / "spans", stage_takes=0.4).code == 0
    assert most_at_once(four) == 2


def test_each_case_has_its_own_device(four, monkeypatch):
    monkeypatch.setattr("ci.run.e2e.usable_cores", lambda: (0, 0))
    given = ("--jobs", "2", "--devices-train", "cuda:0,cuda:1", "--one-device-each", "--profile", "nightly")
    outcome = four.run(*given, "--default-ladder", "32", stage_takes=0.3)
    assert outcome.code == 0
    devices = {tuple(call["options"]["devices"]) for call in four.calls()}
    assert devices == {("cuda:0",), ("cuda:1",)}
    assert {row["samples"] for row in outcome.rows} == {str(32 * 8 * 160)}
    assert "master_port" not in four.calls()[0]["options"]


@pytest.mark.parametrize(("arguments", "jobs"), [(("--one-device-each",), 2), ((), 1)])
def test_devices_that_are_shared_have_the_room_of_one(four, monkeypatch, arguments, jobs):
    """A case of profile nightly is taken to need 14 GB; these devices have 16 each."""
    found = (Gpu("V100", 16.0, "600.1"), Gpu("V100", 16.0, "600.1"))
    monkeypatch.setattr("ci.run.e2e.gpus", lambda: found)
    monkeypatch.setattr("ci.run.e2e.usable_cores", lambda: tuple(range(16)))
    given = ("--engine-config", "mujoco_engine.yaml", "--devices-train", "cuda:0,cuda:1", "--profile", "nightly")
    parser = argparse.ArgumentParser()
    e2e.add_arguments(parser)
    options, plan = e2e._asked_for(parser.parse_args([*given, *arguments]), four.repository)
    assert e2e._pool(options, plan, None)[0] == jobs


def test_each_case_has_cores_of_its_own(four, monkeypatch):
    monkeypatch.setattr("ci.run.e2e.usable_cores", lambda: (0, 1, 2))
    with pytest.raises(UsageError, match="--jobs 4: each case has cores of its own, and there are 3"):
        four.run("--jobs", "4")


def test_a_case_has_a_memory_of_its_own_beside_others_too(matrix, four, monkeypatch):
    monkeypatch.setattr("ci.run.e2e.usable_cores", lambda: (0, 1))
    given = ("--devices-train", "cuda:0", "--profile", "smoke")
    alone = four.run(*given, "--jobs", "1", "--root-out", "alone")
    beside = four.run(*given, "--jobs", "2", "--root-out", "beside")
    assert {row["memory_gb"] for row in alone.rows} == {"1.5"}
    assert {row["memory_gb"] for row in beside.rows} == {"1.5"}


def test_a_device_that_is_not_there_is_named(four):
    with pytest.raises(UsageError, match="there is no cuda:7 here, only cpu, cuda:0, cuda:1"):
        four.run("--devices-train", "cuda:7", "--profile", "smoke")
    assert not (four.repository / "output").exists()


def test_one_failing_case_leaves_its_neighbours_alone(four):
    outcome = four.run("--jobs", "2", test_nan_in="amp_b_args")
    assert outcome.code == 1
    assert {row["case"]: row["final_ok"] for row in outcome.rows}.pop("amp_b_args") == "0"
    assert [row["final_ok"] for row in outcome.rows] == ["1", "0", "1", "1"]


def test_a_bug_of_the_matrix_fails_its_case_and_no_other(four, monkeypatch):
    from ci.run import runner

    real = runner.rungs

    def broken(case, *others):
        if case.name == "amp_b_args":
            raise RuntimeError("no such thing")
        return real(case, *others)

    monkeypatch.setattr("ci.run.runner.rungs", broken)
    outcome = four.run("--jobs", "2")
    assert outcome.code == 1
    assert [row["failure"] for row in outcome.rows] == ["", "unexpected", "", ""]
    assert "RuntimeError: no such thing" in outcome.printed


def test_a_process_group_that_fails_gets_a_second_try_on_another_port(matrix):
    ports = matrix.repository / "ports"
    given = ("--devices-train", "cuda:0,cuda:1", "--profile", "smoke")
    outcome = matrix.run(*given, train_port_taken=1, ports=ports)
    assert outcome.code == 0
    first, second = ports.read_text().split()
    assert first != second
    assert outcome.row["repeats"] == "1"
    assert outcome.row["note"] == "train was repeated after process_group"
    (attempt,) = outcome.attempts()
    (repeated,) = attempt["repeated"]
    assert repeated["failure"]["kind"] == "process_group"
    assert Path(matrix.repository / repeated["log"]).name == "train.earlier1.log"
    assert f"port {first} is in use" in (matrix.repository / repeated["log"]).read_text()


def test_a_second_failure_is_final(matrix):
    ports = matrix.repository / "ports"
    outcome = matrix.run("--devices-train", "cuda:0,cuda:1", "--profile", "smoke", train_port_taken=9, ports=ports)
    assert outcome.code == 1
    assert len(ports.read_text().split()) == 2
    assert (outcome.row["repeats"], outcome.row["failure"]) == ("1", "process_group")


def test_whatever_is_started_holds_the_lock_of_the_root(matrix, monkeypatch):
    from ci.run import runner, sweep

    kept = []
    real_context, real_running = sweep.Context, runner.running

    def running(**given):
        kept.append(given["keep"])
        return real_running(**given)

    with (matrix.repository / "lock").open("w") as lock:
        monkeypatch.setattr("ci.run.sweep.Context", lambda **given: real_context(**{**given, "lock": lock.fileno()}))
        monkeypatch.setattr("ci.run.runner.running", running)
        assert matrix.run().code == 0
        assert kept == [(lock.fileno(),)] * 5  # data, train, checkpoint, test, viz


def test_nothing_else_is_tried_again(matrix):
    outcome = matrix.run(test_nan=1)
    assert outcome.row["repeats"] == "0"
    assert [call["stage"] for call in matrix.calls()] == ["train", "test"]


def test_the_longest_case_starts_first(four, monkeypatch):
    seconds = {"add_a_args": 5.0, "amp_b_args": 50.0, "ase_c_args": 20.0, "lcp_d_args": 1.0}
    rows = "".join(f"smoke\t{name}\t{taken}\t\n" for name, taken in seconds.items())
    four.write("ci/case_seconds.tsv", f"# measured\nprofile\tcase\tseconds\tmemory_gb\n{rows}")
    four.run()
    order = list(dict.fromkeys(Path(call["options"]["arg_file"][0]).stem for call in four.calls()))
    assert order == ["amp_b_args", "ase_c_args", "add_a_args", "lcp_d_args"]


def test_shards_together_are_the_whole(four):
    started = time.monotonic()
    rows = []
    for index in (1, 2, 3):
        outcome = four.run("--shard", f"{index}/3", "--root-out", f"part{index}")
        assert outcome.code == 0
        rows += [row["case"] for row in outcome.rows]
    assert sorted(rows) == ["add_a_args", "amp_b_args", "ase_c_args", "lcp_d_args"]
    assert time.monotonic() - started < 120
