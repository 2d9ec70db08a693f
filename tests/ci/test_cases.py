"""Reading arg files and choosing cases."""

import pytest

from ci.cases import discover, method_of, read_engine_name, read_steps_per_iter, select
from ci.errors import UsageError


@pytest.mark.parametrize(
    ("name", "method"),
    [
        ("deepmimic_pi_plus_ppo_args", "deepmimic"),
        ("view_motion_humanoid_sword_shield_args", "view_motion"),
        ("dof_test_humanoid_args", "dof_test"),
        ("lcp_g1_ppo_args", "lcp"),
    ],
)
def test_the_method_is_the_start_of_the_name(name, method):
    assert method_of(name) == method


@pytest.fixture
def cases(make_matrix, case_adder):
    matrix = make_matrix()
    for name in ("amp_g1_args", "amp_go2_args", "ase_humanoid_args", "deepmimic_g1_ppo_args"):
        case_adder(matrix, name)
    case_adder(matrix, "view_motion_g1_args", agent=None)
    matrix.write("args/view_motion_go2_args.txt", "--mode test\n--env_config data/envs/amp_g1_args_env.yaml\n")
    return discover(matrix.repository)


def names(cases):
    return [case.name.removesuffix("_args") for case in cases]


def test_every_arg_file_is_a_case(cases):
    assert names(cases)[:3] == ["amp_g1", "amp_go2", "ase_humanoid"]
    assert names(cases)[3:] == ["deepmimic_g1_ppo", "view_motion_g1", "view_motion_go2"]
    assert [case.case_type for case in cases[3:]] == ["trainable", "nontrainable", "nontrainable"]
    assert [case.mode for case in cases[3:]] == ["train", "train", "test"]
    assert not any(case.problem for case in cases)


def test_cases_are_chosen_by_file_stem_or_path_each_once(cases):
    asked = ["ase_humanoid_args", "args/amp_g1_args.txt", "amp_g1_args.txt"]
    assert names(select(cases, asked)) == ["amp_g1", "ase_humanoid"]


def test_a_profile_may_have_patterns_which_names_outweigh(cases):
    assert names(select(cases, patterns=("amp_*", "*_go2_args"))) == ["amp_g1", "amp_go2", "view_motion_go2"]
    assert names(select(cases, ["ase_humanoid_args"], patterns=("amp_*",))) == ["ase_humanoid"]
    with pytest.raises(UsageError, match="no case is selected: args/ holds 6"):
        select(cases, patterns=("lcp_*",))


def test_trainable_only_leaves_the_others_out(cases):
    assert names(select(cases, include_nontrainable=False)) == names(cases)[:4]


@pytest.mark.parametrize(
    ("choice", "words"),
    [
        ({"names": ["amp_g2_args.txt"]}, "amp_g2_args; did you mean amp_g"),
        ({"names": ["view_motion_g1_args"], "include_nontrainable": False}, "no case is selected"),
    ],
)
def test_an_unknown_or_empty_choice_is_an_error(cases, choice, words):
    with pytest.raises(UsageError, match=words):
        select(cases, **choice)


def test_no_arg_files_at_all_is_an_error():
    with pytest.raises(UsageError, match="args/ holds 0"):
        select([])


def test_a_case_that_cannot_be_read_is_listed_with_its_problem(matrix):
    matrix.write("args/odd_args.txt", "odd\n")
    matrix.write("args/empty_args.txt", "# nothing\n")
    problems = {case.name: case.problem for case in discover(matrix.repository)}
    assert problems["odd_args"].endswith("args/odd_args.txt:1: a line must begin with a --key, not 'odd'")
    assert problems["empty_args"] == "args/empty_args.txt names no env_config"
    assert problems["deepmimic_humanoid_ppo_args"] == ""


@pytest.mark.parametrize("text", ["steps_per_iter: 0\n", "steps_per_iter: many\n", "[1]\n", "a: [\n", "a: 1\n"])
def test_an_agent_file_without_a_usable_iteration_is_an_error(matrix, text):
    matrix.write("data/agents/bad.yaml", text)
    with pytest.raises(ValueError, match=r"data/agents/bad\.yaml"):
        read_steps_per_iter(matrix.repository, "data/agents/bad.yaml")


def test_an_engine_file_that_is_not_there_is_an_error_that_lists_what_is(matrix):
    assert read_engine_name(matrix.repository, "data/engines/newton_engine.yaml") == "newton"
    with pytest.raises(UsageError, match="holds mujoco_engine.yaml, newton_engine.yaml"):
        read_engine_name(matrix.repository, "data/engines/brax_engine.yaml")
