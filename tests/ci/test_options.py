"""What a command line means, with and without a GPU."""

import argparse
import dataclasses
import json

import pytest

from ci import __main__ as command
from ci.cases import Case
from ci.errors import UsageError
from ci.host import Gpu
from ci.ladder import rungs
from ci.options import Planned, add_arguments, options_as_json, options_from_json, parse, resolve
from ci.profiles import PROFILES


@pytest.fixture
def gpus(monkeypatch):
    def have(*names):
        monkeypatch.setattr("ci.options.gpus", lambda: tuple(Gpu(name, 80.0, "600.1") for name in names))

    have()
    return have


def chosen(options):
    return (options.engine_name, options.devices_train, options.profile.name)


def test_without_a_gpu_it_is_mujoco_on_the_cpu_and_small(matrix, gpus):
    options = parse([], matrix.repository)
    assert chosen(options) == ("mujoco", ("cpu",), "smoke")
    assert options.profile.default_ladder == (64, 32, 16)
    assert options.why.startswith("no GPU found; engine mujoco (data/engines/mujoco_engine.yaml) on cpu, profile smoke")


def test_with_a_gpu_it_is_newton_on_it(matrix, gpus):
    gpus("NVIDIA H100")
    options = parse([], matrix.repository)
    assert chosen(options) == ("newton", ("cuda:0",), "pr")
    assert options.profile.default_ladder == (512, 256, 128, 64, 32)
    assert "found NVIDIA H100" in options.why


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--engine-config", "data/engines/mujoco_engine.yaml"], ("mujoco", ("cpu",), "smoke")),
        (["--engine-config", "newton_engine.yaml"], ("newton", ("cuda:0",), "pr")),
        (["--devices-train", "cpu"], ("mujoco", ("cpu",), "smoke")),
        (["--devices-train", "cuda:1,cuda:2", "--profile", "nightly"], ("newton", ("cuda:1", "cuda:2"), "nightly")),
    ],
)
def test_what_is_given_decides_what_is_not(matrix, gpus, arguments, expected):
    gpus("NVIDIA H100")
    assert chosen(parse(arguments, matrix.repository)) == expected


def test_an_option_beats_its_profile(matrix, gpus):
    given = ["--profile", "pr", "--default-ladder", "8,4", "--train-timeout", "12.5", "--test-episodes", "3"]
    profile = parse(given, matrix.repository).profile
    assert (profile.default_ladder, profile.train_timeout, profile.test_episodes) == ((8, 4), 12.5, 3)
    assert profile.train_iters == 4


def test_every_option_of_the_specification_is_accepted_and_kept(matrix, gpus):
    given = (
        "a.txt --cases b.txt,c.txt --engine-config mujoco_engine.yaml --devices-train cuda:0,cuda:1 "
        "--devices-nontrainable cuda:1 --include-nontrainable --root-out mine --profile pr --shard 2/3 "
        "--default-ladder 5,4 --pi-plus-ladder 3,2 --amp-pi-plus-ladder 2,1 --train-iters 6 --train-timeout 7 "
        "--test-timeout 8 --viz-timeout 9 --test-episodes 10 --viz-episodes 2 --nontrainable-num-envs 3 "
        "--nontrainable-max-samples 64 --require-deps numpy,pillow --jobs 3 --deadline 100 --rand-seed 4 "
        "--one-device-each"
    )
    options = parse(given.split(), matrix.repository)
    assert options.names == ("a.txt", "b.txt", "c.txt")
    assert (options.root_out, options.shard, options.require_deps) == ("mine", (2, 3), ("numpy", "pillow"))
    assert (options.jobs, options.deadline, options.seed, options.one_device_each) == (3, 100.0, 4, True)
    assert (options.devices_nontrainable, options.include_nontrainable) == (("cuda:1",), True)
    profile = options.profile
    assert (profile.default_ladder, profile.pi_plus_ladder, profile.amp_pi_plus_ladder) == ((5, 4), (3, 2), (2, 1))
    assert (profile.train_timeout, profile.test_timeout, profile.viz_timeout) == (7.0, 8.0, 9.0)
    assert (profile.train_iters, profile.test_episodes, profile.viz_episodes) == (6, 10, 2)
    assert (profile.nontrainable_num_envs, profile.nontrainable_max_samples) == (3, 64)
    assert not parse(["--trainable-only"], matrix.repository).include_nontrainable


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--default-ladder", "32,64"], "a ladder goes down"),
        (["--default-ladder", "32,0"], "above 0"),
        (["--shard", "4/3"], "I/N with 1 <= I <= N"),
        (["--train-timeout", "nan"], "expected a number above 0"),
        (["--train-iters", "-1"], "expected a whole number"),
        (["--cases", ","], "expected one or more names"),
        (["--prof", "pr"], "unrecognized arguments: --prof"),
        (["--profile", "big"], "invalid choice: 'big'"),
        (["--include-nontrainable", "--trainable-only"], "not allowed with"),
    ],
)
def test_a_bad_value_ends_with_code_2_and_says_why(arguments, words, capsys):
    with pytest.raises(SystemExit) as ended:
        command.main(["e2e", *arguments])
    assert ended.value.code == 2
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", "..", ""])
def test_a_root_is_one_folder_under_output(capsys, name):
    with pytest.raises(SystemExit):
        command.main(["e2e", "--root-out", name])
    assert "one folder name" in capsys.readouterr().err


def test_options_come_back_from_json_as_they_were(matrix, gpus):
    given = ["a.txt", "--shard", "2/3", "--profile", "longcycle", "--long-max-samples", "9", "--default-ladder", "3,2"]
    options = parse(given, matrix.repository)
    content = json.loads(json.dumps(options_as_json(options)))
    assert options_from_json(content) == options
    assert (options.profile.long_max_samples, options.profile.long_budget_hours) == (9, None)
    for change in ({"colour": "red"}, {"profile": {}}, {"profile": 3}):
        with pytest.raises(ValueError, match="not those of this version"):
            options_from_json({**content, **change})


def test_a_plan_decides_all_that_decides_results(matrix, gpus):
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    nightly = dataclasses.replace(PROFILES["nightly"], test_episodes=3)

    def planned(*arguments, device="cuda", nontrainable="cuda"):
        plan = Planned(nightly, 7, "data/engines/newton_engine.yaml", device, nontrainable)
        return resolve(parser.parse_args(arguments), matrix.repository, plan)

    with pytest.raises(UsageError, match="the plan is for a GPU, and there is none here"):
        planned()
    gpus("NVIDIA H100", "NVIDIA H100")
    options = planned()
    assert chosen(options) == ("newton", ("cuda:0",), "nightly")
    assert (options.seed, options.profile.test_episodes) == (7, 3)
    assert planned(device="cpu", nontrainable="cpu").devices_train == ("cpu",)
    assert planned("--profile", "nightly", "--rand-seed", "7", "--engine-config", "newton_engine.yaml").seed == 7
    assert planned("--devices-train", "cuda:1,cuda:0", "--jobs", "3").devices_train == ("cuda:1", "cuda:0")
    for arguments, words in (
        (["--profile", "pr"], "--profile pr contradicts the plan, which says nightly"),
        (["--rand-seed", "0"], "--rand-seed 0 contradicts the plan, which says 7"),
        (["--engine-config", "mujoco_engine.yaml"], "contradicts the plan, which says data/engines/newton_engine.yaml"),
        (["--devices-train", "cpu"], "the plan is for cuda and cuda, these devices are cpu and cpu"),
        (["--devices-nontrainable", "cpu"], "the plan is for cuda and cuda, these devices are cuda and cpu"),
        (["--test-episodes", "1"], "--test-episodes cannot be given beside --plan"),
        (["--default-ladder", "1"], "--default-ladder cannot be given beside --plan"),
    ):
        with pytest.raises(UsageError, match=words):
            planned(*arguments)


def test_devices_of_two_kinds_are_refused(matrix, gpus):
    with pytest.raises(UsageError, match="cpu,cuda:0: devices of one kind"):
        parse(["--devices-train", "cpu,cuda:0"], matrix.repository)


def test_a_device_is_named_once(matrix, gpus):
    with pytest.raises(UsageError, match="cuda:0,cuda:0: a device is named twice"):
        parse(["--devices-train", "cuda:0,cuda:0"], matrix.repository)


@pytest.mark.parametrize("arguments", [["--devices-train", "all"], ["--one-device-each"]])
def test_all_devices_are_those_that_are_there(matrix, gpus, arguments):
    gpus("NVIDIA H100", "NVIDIA H100", "NVIDIA H100")
    assert parse(arguments, matrix.repository).devices_train == ("cuda:0", "cuda:1", "cuda:2")
    gpus()
    with pytest.raises(UsageError, match="there is no GPU here"):
        parse(["--devices-train", "all"], matrix.repository)


def test_seed_0_is_a_seed(matrix, gpus):
    assert parse(["--rand-seed", "0"], matrix.repository).seed == 0


def test_an_unknown_case_ends_with_code_2(monkeypatch, matrix, gpus, capsys):
    monkeypatch.setattr(command, "REPOSITORY", matrix.repository)
    assert command.main(["e2e", "deepmimic_humanoid_args.txt"]) == 2
    assert "did you mean deepmimic_humanoid_ppo_args" in capsys.readouterr().err
    assert command.main(["e2e", "--list"]) == 0
    assert capsys.readouterr().out.startswith("deepmimic_humanoid_ppo_args  trainable  data/envs/")


@pytest.mark.parametrize(
    ("name", "method", "first"), [("amp_pi_plus_args", "amp", 38), ("add_pi_plus_args", "add", 40), ("x_args", "x", 64)]
)
def test_pi_plus_has_ladders_of_its_own(matrix, gpus, name, method, first):
    matrix.write("data/agents/a.yaml", "steps_per_iter: 32\n")
    case = Case(name, f"args/{name}.txt", method, "trainable", "train", "data/agents/a.yaml", "data/envs/e.yaml")
    tries = rungs(case, parse([], matrix.repository).profile, 1, matrix.repository)
    assert (tries[0].num_envs, tries[0].max_samples) == (first, first * 32 * 4)
