"""The doctor as a command: exit codes, tables, JSON, and a run on the real repository."""

import argparse
import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from ci.doctor import checks, command
from ci.doctor.configuration import CaseConfiguration, Setting
from ci.doctor.display import Display
from ci.doctor.finding import fix, look, ok
from ci.doctor.machine import Machine
from ci.errors import UsageError

REPOSITORY = Path(command.__file__).resolve().parents[2]
CASE = "deepmimic_g1_ppo_args"


def parse(*argv):
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    return parser.parse_args(argv)


@pytest.fixture
def doctor(tmp_path, monkeypatch):
    """Runs the doctor with the given checks; the exit code and what it printed."""

    def run(first=None, slow=None, **options):
        monkeypatch.setattr(command, "QUICK", {name: lambda m, f=f: f for name, f in (first or {}).items()})
        monkeypatch.setattr(command, "SLOW", {name: lambda m, f=f: f for name, f in (slow or {}).items()})
        stream = io.StringIO()
        machine = options.pop("machine", Machine(tmp_path))
        given = {"quick": False, "json_file": None, **options}
        return command.examine(machine, given["quick"], given["json_file"], Display(stream)), stream.getvalue()

    return run


def test_nothing_to_fix(doctor):
    code, text = doctor({"first": ok("fine"), "second": look("odd", "mind it")})
    assert code == 0
    lines = text.splitlines()
    assert lines[1:4] == ["ok    first   fine", "look  second  odd", "              -> mind it"]
    assert lines[-1] == "nothing needs fixing; look at: second"


def test_something_to_fix(doctor):
    code, text = doctor({"first": ok("fine")}, {"second": fix("broken", "mend it")})
    assert code == 1
    assert text.splitlines()[-1] == "fix this: second"


def test_quick_leaves_the_slow_checks_out_and_says_so(doctor):
    code, text = doctor({"first": ok("fine")}, {"second": fix("broken", "mend it")}, quick=True)
    assert code == 0
    assert "left out by --quick: second" in text.splitlines()


def test_a_check_that_cannot_be_made_is_something_to_fix(tmp_path):
    def unreadable(machine):
        raise PermissionError(13, "Permission denied", "constraints.txt")

    def bug(machine):
        raise AttributeError("a bug")

    (row,) = checks.run_checks(Machine(tmp_path), {"packages": unreadable})
    assert row.finding.state.value == "fix this"
    assert "PermissionError" in row.finding.found
    assert "constraints.txt" in row.finding.found
    with pytest.raises(AttributeError):
        list(checks.run_checks(Machine(tmp_path), {"packages": bug}))


def test_nothing_is_cut_off_in_a_pipe(doctor):
    long = "x" * 3000
    assert long in doctor({"first": fix(long, long[:2500])})[1].splitlines()[1]


def machine_with(tmp_path, **configurations):
    machine = Machine(tmp_path, arg_file="args/a.txt")
    machine.__dict__["configurations"] = {f"args/{name}.txt": each for name, each in configurations.items()}
    (tmp_path / "args").mkdir(exist_ok=True)
    for name in configurations:
        (tmp_path / "args" / f"{name}.txt").touch()
    return machine


def configuration(name, value, problem=""):
    return CaseConfiguration(f"args/{name}.txt", problem, {"env.pose": Setting(value, f"{name}.yaml:7")})


def test_a_case_is_shown_with_its_nearest(doctor, tmp_path):
    machine = machine_with(tmp_path, a=configuration("a", [0.5] * 200), b=configuration("b", None))
    code, text = doctor(machine=machine, json_file=tmp_path / "out" / "doctor.json")
    lines = [" ".join(line.split()) for line in text.splitlines()]
    shown = "[" + ", ".join(["0.5"] * 200) + "]"
    assert code == 0
    assert f"env.pose a.yaml:7 {shown}" in lines
    assert "nearest known-good case: args/b.txt, 1 setting(s) differ" in lines
    assert f"env.pose {shown} null a.yaml:7" in lines
    record = json.loads((tmp_path / "out" / "doctor.json").read_text())
    assert record["ok"] is True
    assert record["checks"][0]["name"] == "case"
    assert record["case"]["settings"]["env.pose"] == {"value": [0.5] * 200, "source": "a.yaml:7"}
    (difference,) = record["nearest"]["differences"]
    assert difference == {
        "key": "env.pose",
        "here": {"value": [0.5] * 200, "source": "a.yaml:7"},
        "there": {"value": None, "source": "b.yaml:7"},
    }


def test_a_case_that_cannot_be_read_shows_the_parsers_error(doctor, tmp_path):
    broken = CaseConfiguration("args/a.txt", "data/envs/a.yaml:3: unknown key 'posee'; the nearest valid key is 'pose'")
    code, text = doctor(machine=machine_with(tmp_path, a=broken, b=configuration("b", 1)))
    assert code == 1
    assert f"fix this  case   {broken.problem}" in text.splitlines()
    assert "effective configuration" not in text


def test_a_case_that_lacks_what_can_be_made_is_shown_all_the_same(doctor, tmp_path):
    code, text = doctor(machine=machine_with(tmp_path, a=configuration("a", 1, "'motion_file' must name a file")))
    assert code == 0
    assert "look  case   'motion_file' must name a file" in text.splitlines()
    assert "args/a.txt: effective configuration" in text
    assert "there is no other case to compare with" in text


@pytest.mark.parametrize(
    ("given", "arg_file"),
    [
        ("a", "args/a.txt"),
        ("a.txt", "args/a.txt"),
        ("{repository}/args/a.txt", "args/a.txt"),
        ("/elsewhere/a.txt", "/elsewhere/a.txt"),
    ],
)
def test_the_arg_file_that_is_meant(tmp_path, given, arg_file):
    assert command._arg_file(tmp_path, given.format(repository=tmp_path)) == arg_file


def test_an_engine_file_that_is_none_is_a_wrong_command(tmp_path):
    (tmp_path / "data" / "engines").mkdir(parents=True)
    (tmp_path / "data" / "engines" / "newton_engine.yaml").write_text("engine_name: newton\n")
    with pytest.raises(UsageError, match="data/engines holds|data/engines/ holds newton_engine.yaml"):
        command.run(parse("--engine-config", "newtn_engine.yaml"), tmp_path)


def test_a_json_file_that_cannot_be_written_is_a_wrong_command(doctor, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--json"):
        doctor({"first": ok("fine")}, json_file=tmp_path / "file" / "doctor.json")


RUN = (
    "import argparse, sys; from pathlib import Path; from ci.doctor import command\n"
    "parser = argparse.ArgumentParser(); command.add_arguments(parser)\n"
    "code = command.run(parser.parse_args(sys.argv[1:]), Path.cwd())\n"
    "heavy = {'torch', 'newton', 'warp', 'mujoco'} & set(sys.modules)\n"
    "assert not heavy, heavy\n"
    "sys.exit(code)\n"
)


def start(tmp_path, *arguments):
    """The real command on the real repository; its output and its JSON."""
    json_file = tmp_path / "doctor.json"
    argv = [sys.executable, "-c", RUN, *arguments, "--json", str(json_file)]
    answer = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert answer.stderr == ""
    return answer, json.loads(json_file.read_text())


def test_a_real_case_on_the_real_machine(tmp_path):
    answer, record = start(tmp_path, CASE, "--engine-config", "mujoco_engine.yaml")
    states = {check["name"]: check["state"] for check in record["checks"]}
    for name in ("python", "cases", "characters", "ports", "torch", "drawing", "engine"):
        assert states[name] == "ok", (name, answer.stdout)
    assert (answer.returncode == 0) == record["ok"] == ("fix this" not in states.values())
    assert list(states) == ["case", *checks.QUICK, *checks.SLOW]
    settings = record["case"]["settings"]
    assert settings["engine.engine_name"]["value"] == "mujoco"
    assert settings["env.motion_file"]["source"].startswith("data/envs/deepmimic_g1_env.yaml:")
    assert record["nearest"]["arg_file"] != f"args/{CASE}.txt"
    assert f"args/{CASE}.txt: effective configuration" in answer.stdout


def test_a_misspelt_case_on_the_real_machine(tmp_path):
    answer, record = start(tmp_path, "deepmimic_g1_pp_args.txt", "--quick")
    assert answer.returncode == 1
    (case,) = [check for check in record["checks"] if check["name"] == "case"]
    assert case["state"] == "fix this"
    assert "the nearest existing file is args/deepmimic_g1_ppo_args.txt" in case["found"]
    assert (record["case"], record["nearest"]) == (None, None)
    assert sum(check["seconds"] for check in record["checks"]) < 20.0
