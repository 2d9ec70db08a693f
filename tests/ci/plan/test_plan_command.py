"""``nox -s matrix``: the files it writes, what it prints, and what it refuses."""

import argparse
import dataclasses
import json
import time
from pathlib import Path

import pytest

from ci.cases import discover
from ci.errors import UsageError
from ci.host import Checkout
from ci.plan import command
from ci.plan.plan import read_plan
from ci.plan.planning import Target
from ci.plan.seconds import TABLE, read_table
from ci.profiles import PROFILES

REPOSITORY = Path(__file__).parents[3]
TARGET = Target("data/engines/mujoco_engine.yaml", "mujoco", "cpu", "cpu")


@pytest.fixture
def repository(tmp_path):
    """Six cases, the last of which has no agent; they take 1 to 5 s, and nobody has measured f."""
    add_cases(tmp_path, "abcde", "f")
    rows = "".join(f"smoke\t{name}_args\t{number}\t\n" for number, name in enumerate("abcde", start=1))
    write(tmp_path, TABLE, f"# made\nprofile\tcase\tseconds\tmemory_gb\n{rows}")
    return tmp_path


def write(repository, name, text):
    path = repository / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def add_cases(repository, trainable, others):
    write(repository, "data/envs/e.yaml", "env_name: e\n")
    for engine in ("mujoco", "newton"):
        write(repository, f"data/engines/{engine}_engine.yaml", f"engine_name: {engine}\n")
    write(repository, "data/agents/a.yaml", "agent_name: A\n")
    (repository / "args").mkdir(exist_ok=True)
    for names, agent in ((trainable, "--agent_config data/agents/a.yaml\n"), (others, "")):
        for name in names:
            (repository / "args" / f"{name}_args.txt").write_text(f"--env_config data/envs/e.yaml\n{agent}")


def run(repository, *arguments):
    parser = argparse.ArgumentParser(allow_abbrev=False)
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments), repository)


def rows_of(repository, folder="output/plan"):
    return json.loads((repository / folder / "matrix.json").read_text())["include"]


def test_the_plan_and_the_matrix_say_the_same(repository, capsys):
    assert run(repository, "--shards", "2", "--run-id", "tonight", "--rand-seed", "7") == 0
    plan = read_plan(repository / "output/plan/plan.json")
    assert (plan.profile, plan.seed, plan.nonce, plan.why) == ("smoke", 7, "tonight", "all")
    # e 5 | d 4, c 3; f, the median 3, to e: 8; b 2 to d: 9; a 1 to e: 9
    assert plan.shards == (("e_args", "f_args", "a_args"), ("d_args", "c_args", "b_args"))
    assert [(case.name, case.seconds, case.measured) for case in plan.cases[4:]] == [
        ("e_args", 5.0, True),
        ("f_args", 3.0, False),
    ]
    assert [case.case_type for case in plan.cases] == ["trainable"] * 5 + ["nontrainable"]
    assert all(case.stages == ("train", "test", "viz") for case in plan.cases)
    first, second = rows_of(repository)
    # 7500 s for one case at its limits and 4 * 9 s more are 125.6 minutes.
    assert first == {
        "shard": "1/2",
        "index": 1,
        "cases": "e_args.txt,f_args.txt,a_args.txt",
        "count": 3,
        "seconds": 9,
        "weight": 9,
        "deadline_seconds": 7560,
        "step_timeout_minutes": 136,
        "timeout_minutes": 166,
    }
    assert (second["shard"], second["cases"]) == ("2/2", "d_args.txt,c_args.txt,b_args.txt")
    printed = capsys.readouterr().out
    assert "1/2        3        9        7560       136      166  e_args f_args a_args\n" in printed
    assert "seconds: 5 from ci/case_seconds.tsv; the median for 1 that nobody has measured" in printed
    assert "the longest shard takes 9 s, 0 % above the shortest" in printed
    assert plan.id in printed


def test_lines_are_never_cut_off_in_a_pipe(repository, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    run(repository, "--shards", "1")
    line = capsys.readouterr().out.splitlines()[1]
    assert line.endswith("e_args d_args c_args f_args b_args a_args")


def test_each_case_has_a_row_unless_shards_are_asked_for(repository):
    run(repository)
    assert [row["cases"] for row in rows_of(repository)] == [f"{name}_args.txt" for name in "edcfba"]
    run(
        repository,
        "--shards",
        "200",
        "--out",
        "elsewhere",
        "--trainable-only",
        "a_args",
        "--cases",
        "b_args.txt,f_args",
    )
    assert [row["shard"] for row in rows_of(repository, "elsewhere")] == ["1/2", "2/2"]


def test_a_run_has_an_id_of_its_own_and_a_plan_without_command_has_none(repository):
    nonces = set()
    for _ in range(2):
        run(repository, "--shards", "2")
        nonces.add(read_plan(repository / "output/plan/plan.json").nonce)
    assert len(nonces) == 2
    assert all(len(nonce) == 16 for nonce in nonces)
    cases = discover(repository)
    plans = [
        command.plan_run(repository, order, PROFILES["smoke"], 3, TARGET, seed=1) for order in (cases, cases[::-1])
    ]
    assert plans[0] == plans[1]
    assert plans[0].id == plans[1].id
    assert plans[0].nonce == ""


def test_the_plan_says_which_code_and_which_stages(repository, monkeypatch):
    monkeypatch.setattr("ci.plan.planning.checkout", lambda _: Checkout("abc", True, "def"))
    plan = command.plan_run(repository, discover(repository), PROFILES["longcycle"], 1, TARGET, seed=3, why="because")
    assert (plan.commit, plan.dirty, plan.seed, plan.why) == ("abc", True, 3, "because")
    stages = {case.name: case.stages for case in plan.cases}
    assert stages["a_args"] == ("train", "long", "test", "viz")
    assert stages["f_args"] == ("train", "test", "viz")  # without an agent nothing learns, however long


def test_github_gets_the_matrix_on_one_line_after_what_is_there(repository, monkeypatch):
    path = repository / "github"
    path.write_text("earlier=1\n")
    monkeypatch.setenv("GITHUB_OUTPUT", str(path))
    run(repository, "--shards", "3")
    earlier, matrix, count, device = path.read_text().splitlines()
    assert (earlier, count, device) == ("earlier=1", "count=3", "device=cpu")
    name, value = matrix.split("=", 1)
    assert name == "matrix"
    assert json.loads(value) == {"include": rows_of(repository)}


def test_earlier_runs_beat_the_table(repository):
    write(repository, "r/best_by_case.tsv", "case\tfinal_ok\tseconds\na_args\t1\t100\n")
    run(repository, "--shards", "1", "--seconds-from", str(repository / "r"), "--seconds-from", str(repository / "r"))
    plan = read_plan(repository / "output/plan/plan.json")
    assert plan.shards[0][0] == "e_args"  # the table's others are 100 times as slow there
    assert plan.case("a_args").seconds == 100.0
    assert plan.case("e_args").seconds == 500.0


def test_a_profile_without_figures_has_the_limits_of_slow_cases(repository, capsys):
    run(repository, "--shards", "6", "--profile", "pr")
    assert {row["deadline_seconds"] for row in rows_of(repository)} == {7500}
    head, *lines = capsys.readouterr().out.splitlines()
    column = head.split().index("weight")
    weights = [row["weight"] for row in rows_of(repository)]
    assert [int(line.split()[column]) for line in lines[: len(weights)]] == weights
    run(repository, "--shards", "3", "--profile", "pr", "--jobs", "1")
    assert {row["deadline_seconds"] for row in rows_of(repository)} == {15000}
    run(repository, "--shards", "3", "--profile", "pr", "--jobs", "2")
    assert {row["deadline_seconds"] for row in rows_of(repository)} == {7500}


def test_a_change_that_cannot_be_told_plans_every_case(repository):
    run(repository, "--shards", "1", "--changed-from", "main")  # no git checkout
    plan = read_plan(repository / "output/plan/plan.json")
    assert len(plan.cases) == 6
    assert plan.why.startswith("all: it cannot be told what changed since main")


def test_a_change_plans_the_cases_it_touches(repository, monkeypatch):
    monkeypatch.setattr("ci.plan.changes.changed_paths", lambda *_: ("args/b_args.txt", "args/f_args.txt"))
    run(repository, "--changed-from", "main")
    plan = read_plan(repository / "output/plan/plan.json")
    assert plan.why == "2 of 6 read what changed: args/b_args.txt, args/f_args.txt"
    assert plan.shards == (("f_args",), ("b_args",))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["g_args"], "no such case in args/"),
        (["--trainable-only", "f_args"], "no case is selected"),
        (["--seconds-from", "nowhere"], "what earlier runs took cannot be read: .*nowhere"),
        (["--record-seconds", "nowhere"], r"nowhere/run\.json does not exist\. Name its profile with --profile"),
        (["--record-seconds", "nowhere", "--profile", "pr"], "nowhere does not exist"),
        (["--out", "args/a_args.txt/below"], "the plan cannot be written"),
    ],
)
def test_a_wrong_command_writes_nothing(repository, arguments, words):
    with pytest.raises(UsageError, match=words):
        run(repository, *arguments)
    assert not (repository / "output").exists()


def test_more_rows_than_github_starts_are_refused(repository):
    add_cases(repository, [f"x{number:03}" for number in range(251)], [])
    with pytest.raises(UsageError, match="257 rows are more than the 256 that GitHub starts: --shards 256 or fewer"):
        run(repository)
    assert run(repository, "--shards", "256") == 0
    assert len(rows_of(repository)) == 256


def test_an_unreadable_table_is_a_usage_error(repository):
    write(repository, TABLE, "profile\tcase\tseconds\tmemory_gb\nsmoke\ta_args\tmany\t\n")
    with pytest.raises(UsageError, match=r"case_seconds\.tsv:2: seconds must be a number"):
        run(repository)


def test_a_case_that_no_job_has_time_for_is_a_wrong_command(repository):
    with pytest.raises(UsageError, match="one case of profile longcycle may take .* minutes, a job ends after"):
        run(repository, "--profile", "longcycle", "--long-budget-hours", "200", "a_args")
    assert not (repository / "output").exists()


def test_recording_takes_the_profile_from_the_run(repository, capsys):
    rows = "case\tfinal_ok\tseconds\tmemory_gb\na_args\t1\t70\t3.5\nb_args\t0\t1\t\nold_args\t1\t5\t\n"
    write(repository, "r/best_by_case.tsv", rows)
    write(repository, "r/run.json", '{"profile": "pr"}')
    assert run(repository, "--record-seconds", str(repository / "r")) == 0
    assert not (repository / "output").exists()
    table = read_table(repository / TABLE)
    assert [(name, dataclasses.astuple(case)) for name, case in table["pr"].items()] == [("a_args", (70.0, 3.5))]
    assert len(table["smoke"]) == 5
    assert "1 case(s) of profile pr" in capsys.readouterr().out
    write(repository, "r/run.json", '{"profile": "mine"}')
    with pytest.raises(UsageError, match="is of profile mine, which there is not"):
        run(repository, "--record-seconds", str(repository / "r"))
    write(repository, "r/best_by_case.tsv", "case\tfinal_ok\tseconds\na_args\t0\t70\n")
    with pytest.raises(UsageError, match="nothing to record"):
        run(repository, "--record-seconds", str(repository / "r"), "--profile", "pr")


def test_ten_thousand_cases_are_planned_in_under_two_seconds(tmp_path, capsys):
    add_cases(tmp_path, [f"x{number:05}" for number in range(10_000)], [])
    cases = discover(tmp_path)
    assert fastest(lambda: command.plan_run(tmp_path, cases, PROFILES["smoke"], 256, TARGET)) < 1.0
    plan = command.plan_run(tmp_path, cases, PROFILES["smoke"], 256, TARGET)
    assert (len(plan.cases), len(plan.shards)) == (10_000, 256)
    assert fastest(lambda: run(tmp_path, "--shards", "256")) < 2.0  # and reads the arg files
    capsys.readouterr()
    assert run(tmp_path, "--shards", "256") == 0
    assert len(capsys.readouterr().out.splitlines()) == 256 + 5


def fastest(function):
    """Seconds of the processor, the least of three times: what else runs on this core makes a time longer only."""
    seconds = []
    for _ in range(3):
        started = time.process_time()
        function()
        seconds.append(time.process_time() - started)
    return min(seconds)


def test_the_real_plan_in_three_shards_is_even_and_the_same_every_time():
    plans = [command.plan_run(REPOSITORY, discover(REPOSITORY), PROFILES["smoke"], 3, TARGET) for _ in range(2)]
    assert plans[0].shards == plans[1].shards
    seconds = {case.name: case.seconds for case in plans[0].cases}
    assert all(case.measured for case in plans[0].cases)
    loads = [sum(seconds[name] for name in names) for names in plans[0].shards]
    assert max(loads) <= 1.25 * min(loads)
