"""The nearest known-good case and the differences to it, on hand-made cases."""

import os

import pytest

from ci.doctor.configuration import CaseConfiguration, Setting, differences, known_good, nearest_good


def case(name, problem="", **values):
    """A case whose keys are written with __ for the dot; a value stands on the line of its place in the call."""
    settings = {
        key.replace("__", "."): Setting(value, f"{name}.txt:{line}") for line, (key, value) in enumerate(values.items())
    }
    return CaseConfiguration(f"args/{name}.txt", problem, settings)


HERE = case("here", run__arg_file="args/here.txt", run__num_envs=64, engine__sim_freq=240, env__pose=[0, 1])


def keys(found):
    return [each.key for each in found]


def test_names_of_files_are_no_differences():
    names = {f"run__{key}": f"here/{key}" for key in ("arg_file", "out_dir", "engine_config", "env_config")}
    others = {key: value.replace("here", "there") for key, value in names.items()}
    here = case("here", **names, run__agent_config="a", env__engine={"sim_freq": 1}, run__model_file="a")
    there = case("there", **others, run__agent_config="b", env__engine={}, run__model_file="b")
    assert keys(differences(here, there)) == ["run.model_file"]


def test_values_are_compared_by_what_they_are():
    here = case("here", env__a=1, env__b=True, env__c=[0.5, 1], env__d=None, env__e="1")
    there = case("there", env__a=1.0, env__b=1, env__c=[0.5, 1.0], env__d=0, env__e=1)
    assert keys(differences(here, there)) == ["env.b", "env.d", "env.e"]


def test_a_key_of_one_side_is_a_difference_and_null_is_a_value():
    here = case("here", run__x=None, agent__mine=1)
    there = case("there", run__x=None, env__theirs=None)
    found = differences(here, there)
    assert keys(found) == ["env.theirs", "agent.mine"]
    assert (found[0].here, found[0].there.value, found[1].there) == (None, None, None)


@pytest.mark.parametrize(
    ("here", "there", "where"),
    [
        (Setting(1, "a.yaml:3"), Setting(2, "b.yaml:4"), "a.yaml:3"),
        (Setting(1, "default"), Setting(2, "b.yaml:4"), "there b.yaml:4"),
        (None, Setting(2, "b.yaml:4"), "there b.yaml:4"),
        (Setting(1, "default"), None, "default"),
        (None, Setting(2, "default"), "default"),
    ],
)
def test_the_place_of_a_difference_is_where_a_file_says_so(here, there, where):
    sides = [CaseConfiguration("args/x.txt", "", {"env.x": side} if side else {}) for side in (here, there)]
    (found,) = differences(*sides)
    assert found.where == where


def test_the_nearest_case_differs_in_the_fewest_values():
    far = case("far", run__num_envs=1, engine__sim_freq=1, env__pose=[0, 1])
    near = case("near", run__num_envs=64, engine__sim_freq=240, env__pose=[1, 1])
    broken = CaseConfiguration("args/broken.txt", "cannot be read")
    everyone = [far, near, broken, HERE]
    names = ("far", "near", "broken", "here")
    found = nearest_good(HERE, everyone, names, "why")
    assert (found.arg_file, keys(found.differences), found.basis) == ("args/near.txt", ["env.pose"], "why")
    assert nearest_good(HERE, everyone, ("far",), "").arg_file == "args/far.txt"
    assert nearest_good(HERE, everyone, ("here", "broken"), "") is None


def test_of_equally_near_cases_the_first_by_name():
    twins = [case(name, run__num_envs=1, engine__sim_freq=240, env__pose=[0, 1]) for name in ("b", "a")]
    assert nearest_good(HERE, twins, ("a", "b"), "").arg_file == "args/a.txt"


COLUMNS = "case\ttrain_rc\tfinal_ok\n"


@pytest.fixture
def run_of(tmp_path):
    """Writes the table of a run that ended ``age`` seconds ago."""

    def write(name, age, text):
        table = tmp_path / "output" / "train" / name / "best_by_case.tsv"
        table.parent.mkdir(parents=True)
        table.write_text(text)
        os.utime(table, (10**9 - age, 10**9 - age))

    return write


def test_without_a_run_every_committed_case_is_good(tmp_path):
    names, why = known_good(tmp_path, ["a", "b"])
    assert names == ("a", "b")
    assert why == "known good: all 2 cases of args/, since none has passed here yet"


def test_the_newest_result_of_a_case_counts(tmp_path, run_of):
    run_of("z_oldest", 30, COLUMNS + "a\t0\t1\nb\t0\t1\nc\t1\t0\ngone\t0\t1\n")
    run_of("a_newest", 10, COLUMNS + "a\t1\t0\nb\t\t0\nc\t0\t1\n")  # a fails now; b was not reached; c passes now
    run_of("unreadable", 5, "\x00 no table")
    names, why = known_good(tmp_path, ["a", "b", "c"])
    assert names == ("b", "c")
    assert why == "known good: the 2 cases whose newest result in output/train/ passed"


def test_runs_in_which_nothing_passed_say_nothing(tmp_path, run_of):
    run_of("red", 1, COLUMNS + "a\t1\t0\n")
    assert known_good(tmp_path, ["a", "b"])[0] == ("a", "b")
