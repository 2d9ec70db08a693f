"""Speed, kernels, checks and devices: what they make of what programs leave."""

import json
import os
from pathlib import Path

import pytest

from mimickit.bench import checks, devices, kernels, speed
from mimickit.bench.case_times import new_kernel_files
from mimickit.bench.one_case import main as one_case
from mimickit.bench.programs import Ended, ProgramError
from mimickit.bench.speed import CASES, SpeedCase
from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import load_case
from mimickit.errors import InputError
from mimickit.learning.logger import Logger

MUJOCO = "data/engines/mujoco_engine.yaml"


def verdicts(part):
    return {figure.name: figure.verdict for figure in part.figures}


def values(part):
    return {figure.name: figure.values for figure in part.figures}


# Speed.


def result(**changes):
    found = {"imports_s": 1.0, "engine_import_s": 0.5, "build_s": 2.0, "agent_s": 0.1, "first_iteration_s": 1.5}
    found |= {"collect_s": [0.5, 0.3], "update_s": [0.5, 0.2], "samples_per_iteration": 1000, "peak_memory_gb": 6.0}
    return {**found, "new_kernel_files": 0, "finite": True, **changes}


def test_cases_are_timed_in_turns(new_bench, new_part, after):
    asked = []

    def play(name, command, log):
        asked.append((Path(after(command, "--arg-file")).name, after(command, "--num-envs"), name[-1]))
        log.write_text(json.dumps(result(build_s=float(len(asked)))))
        return 0

    part = new_part()
    cases = (SpeedCase("a", 8, samples_per_s=1500.0, build_s=2.0), SpeedCase("b", 4))
    speed.measure(new_bench(play, repeats=2), part, cases)
    assert asked == [
        ("a_args.txt", "8", "1"),
        ("b_args.txt", "4", "1"),
        ("a_args.txt", "8", "2"),
        ("b_args.txt", "4", "2"),
    ]
    found = values(part)
    assert found["a 8, training"] == [1000.0, 2000.0, 1000.0, 2000.0]
    assert found["a 8, imports"] == [1.5, 1.5]
    assert found["a 8, environment build"] == [1.0, 3.0]
    assert found["b 4, environment build"] == [2.0, 4.0]
    assert found["b 4, GPU memory in use"] == [6.0, 6.0]
    assert verdicts(part)["a 8, training"] == "ok"
    assert verdicts(part)["a 8, environment build"] == "ok"
    assert verdicts(part)["b 4, training"] == ""
    assert not part.notes


@pytest.mark.parametrize(
    ("changes", "missed"),
    [
        ({}, set()),
        ({"collect_s": [0.9, 0.9]}, {"training"}),
        ({"build_s": 3.1}, {"environment build"}),
        ({"first_iteration_s": 2.1}, {"first iteration"}),
        ({"peak_memory_gb": 6.7}, {"GPU memory in use"}),
    ],
)
def test_each_bound_of_a_case_is_held(changes, missed):
    case = SpeedCase("a", 8, samples_per_s=1000.0, build_s=3.0, memory_gb=6.6)
    found = {figure.name for figure in speed.figures(case, [result(**changes)]) if figure.verdict == "MISSED"}
    assert found == {f"a 8, {name}" for name in missed}


def test_on_a_cpu_there_is_no_gpu_memory():
    names = [figure.name for figure in speed.figures(SpeedCase("a", 8), [result(peak_memory_gb=None)])]
    assert names
    assert not any("memory" in name for name in names)


def test_a_case_that_fails_leaves_the_others_alone(new_bench, new_part):
    def play(name, command, log):
        log.write_text("Traceback\nout of memory" if name.startswith("a") else json.dumps(result()))
        return 3 if name.startswith("a") else 0

    part = new_part()
    speed.measure(new_bench(play), part, (SpeedCase("a", 8), SpeedCase("b", 4)))
    assert part.failures == [{"what": "a 8 turn 1", "reason": "exit code 3", "tail": "Traceback\nout of memory"}]
    assert {name.split(",")[0] for name in values(part)} == {"b 4"}


def test_cold_kernels_and_broken_physics_are_told(new_bench, new_part):
    def play(name, command, log):
        log.write_text(json.dumps(result(new_kernel_files=4) if name.startswith("a") else result(finite=False)))
        return 0

    part = new_part()
    speed.measure(new_bench(play), part, (SpeedCase("a", 8), SpeedCase("b", 4)))
    assert part.notes[0].startswith("a 8: 4 files came into warp's kernel cache")
    assert [failure["what"] for failure in part.failures] == ["b 4"]


def test_the_cases_are_there_with_their_bounds():
    for case in CASES:
        load_case(parse_run_arguments(["--arg_file", f"args/{case.case}_args.txt"]))
    assert {case.name: case.samples_per_s for case in CASES if case.samples_per_s} == {
        "deepmimic_humanoid_ppo 4096": 170_000,
        "deepmimic_humanoid_ppo 8192": 250_000,
        "amp_humanoid 4096": 160_000,
        "deepmimic_smpl_ppo 4096": 90_000,
    }


def test_one_case_for_real_on_the_cpu(programs):
    words = ["--arg-file", "args/deepmimic_humanoid_ppo_args.txt", "--num-envs", "4", "--device", "cpu"]
    times = ["--engine-config", MUJOCO, "--warm-up", "0", "--iterations", "2"]
    command = [*speed.python("-m", "mimickit.bench.one_case"), *words, *times]
    found = programs.run("one case", command, 60.0).result()
    assert found["samples_per_iteration"] == 4 * 32
    assert len(found["collect_s"]) == len(found["update_s"]) == 2
    seconds = [found[key] for key in ("imports_s", "engine_import_s", "build_s", "agent_s", "first_iteration_s")]
    assert all(0.0 < value < 60.0 for value in (*seconds, *found["collect_s"], *found["update_s"]))
    assert (found["peak_memory_gb"], found["new_kernel_files"], found["finite"]) == (None, 0, True)
    rates = speed.figures(SpeedCase("deepmimic_humanoid_ppo", 4), [found])
    assert rates[0].name == "deepmimic_humanoid_ppo 4, training"
    assert 1.0 < rates[0].median < 1e6


def test_one_case_tells_its_errors(capsys):
    words = ["--num-envs", "2", "--device", "cpu", "--engine-config", MUJOCO]
    assert one_case(["--arg-file", "args/absent_args.txt", *words]) == InputError.exit_code
    assert one_case(["--arg-file", "args/view_motion_humanoid_args.txt", *words]) == InputError.exit_code
    assert "no training to time" in capsys.readouterr().err


def test_only_kernels_of_this_process_are_new(tmp_path, monkeypatch):
    import warp

    for name, stamp in (("old", 940.0), ("new", 1060.0)):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (stamp, stamp))
    monkeypatch.setattr(warp.config, "kernel_cache_dir", str(tmp_path))
    assert new_kernel_files(since=1000.0) == 1


# Kernels.


@pytest.mark.parametrize(("compiled", "more", "missed"), [(150, 0, 0), (150, 2, 1), (0, 0, 1)])
def test_nothing_is_compiled_after_compiling(new_bench, new_part, compiled, more, missed):
    def play(name, command, log):
        cache = bench.folder / "kernel_cache" / "1.0"
        if name == "one iteration of deepmimic_go2_ppo":
            for number in range(more):
                (cache / f"{number}.cubin").touch()
        elif name == "compile kernels":
            cache.mkdir(parents=True)
            log.write_text(f"scene  seconds\nball  3.1\n{compiled} new files for cuda:0 in {cache}, 95 s\n")
        return 0

    part, bench = new_part(), new_bench(play)
    kernels.measure(bench, part)
    assert bench.environment == {"WARP_CACHE_PATH": str((bench.folder / "kernel_cache").resolve())}
    assert values(part)["files compiled"] == [float(compiled)]
    assert len(part.figures) == 2 + len(kernels.CASES)
    assert list(verdicts(part).values()).count("MISSED") == missed
    assert part.details["compiled_by_a_training"]["deepmimic_go2_ppo"] == [f"{number}.cubin" for number in range(more)]


def test_another_cache_than_the_empty_one_is_a_failure(new_bench, new_part):
    def play(name, command, log):
        log.write_text("150 new files for cuda:0 in /somewhere, 95 s\n")
        return 0

    with pytest.raises(ProgramError, match="compiled into /somewhere, not into the empty"):
        kernels.measure(new_bench(play), new_part())


def test_there_is_a_case_of_every_character():
    cases = [load_case(parse_run_arguments(["--arg_file", f"args/{case}_args.txt"])) for case in kernels.CASES]
    characters = {Path(case.env.char_file).resolve() for case in cases}
    assert {case.env.env_name for case in cases} == {"deepmimic", "static_objects", "char_dof_test"}
    files = {path.resolve() for path in Path("data/assets").glob("*/*.xml") if path.parent.name != "objects"}
    assert characters == files


def test_a_compilation_that_says_nothing_is_a_failure(new_bench, new_part):
    with pytest.raises(ProgramError, match="did not say how many"):
        kernels.measure(new_bench(lambda *_: 0), new_part())


# Checks.

JUNIT = """<testsuites><testsuite>
<testcase classname="tests.a" name="good"><properties><property name="figure"
value="{&quot;name&quot;: &quot;walker&quot;, &quot;unit&quot;: &quot;rad&quot;, &quot;values&quot;: [1e-6],
&quot;at_least&quot;: null, &quot;at_most&quot;: 1e-3}"/></properties></testcase>
<testcase classname="tests.a" name="better"/>
<testcase classname="tests.a" name="bad"><failure message="no">why</failure></testcase>
<testcase classname="tests.a" name="broken"><error message="no">why</error></testcase>
<testcase classname="tests.a" name="left"><skipped message="needs two GPUs"/></testcase>
</testsuite></testsuites>"""


def play_pytest(text, code):
    def play(name, command, log):
        (option,) = [word for word in command if word.startswith("--junitxml=")]
        if text:
            path = Path(option.partition("=")[2])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return code

    return play


def test_tests_are_counted_and_the_skipped_listed(new_bench, new_part):
    part = new_part()
    checks.measure(new_bench(play_pytest(JUNIT, 1)), part)
    assert values(part) == {"tests on the GPU, passed": [2.0], "tests on the GPU, failed": [2.0], "walker": [1e-6]}
    assert verdicts(part) == {"tests on the GPU, passed": "ok", "tests on the GPU, failed": "MISSED", "walker": "ok"}
    assert [failure["what"] for failure in part.failures] == ["tests.a.bad", "tests.a.broken", "pytest -m gpu"]
    assert part.not_run == [{"what": "1 tests on the GPU", "reason": "skipped: needs two GPUs"}]


@pytest.mark.parametrize(
    ("text", "code", "ok"),
    [
        ('<testsuite><testcase classname="a" name="b"/></testsuite>', 0, True),
        ('<testsuite><testcase classname="a" name="b"/></testsuite>', 2, False),
        ("<testsuite/>", 5, False),
        ("<testsuite/>", 0, False),
        ("", 4, False),
    ],
)
def test_no_tests_or_another_exit_code_is_no_pass(new_bench, new_part, text, code, ok):
    part = new_part()
    checks.measure(new_bench(play_pytest(text, code)), part)
    assert part.ok == ok


def test_only_files_with_tests_of_a_gpu_are_given_to_pytest(tmp_path):
    (tmp_path / "a").mkdir()
    for name, text in {"test_b.py": f"@{checks.MARK}\n", "test_c.py": "import pytest", "help.py": checks.MARK}.items():
        (tmp_path / "a" / name).write_text(text)
    assert checks.marked_files(tmp_path) == [tmp_path / "a" / "test_b.py"]
    (tmp_path / "a" / "test_b.py").unlink()
    with pytest.raises(ProgramError, match=f"no file below .* has a {checks.MARK}"):
        checks.marked_files(tmp_path)


def test_the_tests_of_the_engine_on_a_gpu_are_among_them(new_bench, new_part):
    bench = new_bench(play_pytest(JUNIT, 1))
    checks.measure(bench, new_part())
    (command,) = bench.programs.commands
    files = [word for word in command.split() if word.startswith("tests")]
    assert "tests/engines/test_newton_on_gpu.py" in files
    assert all(checks.MARK in Path(file).read_text() for file in files)


# Devices.


@pytest.mark.parametrize(
    ("there", "asked", "counts", "missing"),
    [
        (1, (), [], [2, 4]),
        (2, (), [2], [4]),
        (3, (), [2, 3], [4]),
        (4, (), [2, 4], []),
        (8, (), [2, 4, 8], []),
        (4, (4, 8), [4], [8]),
    ],
)
def test_how_many_devices_are_taken_together(there, asked, counts, missing):
    assert devices.choose_counts(there, asked) == (counts, missing)


def test_one_device_is_no_number_of_several():
    with pytest.raises(InputError, match="--devices-count 1: at least 2"):
        devices.choose_counts(4, (2, 1))


def test_on_one_gpu_nothing_is_run_and_all_of_it_listed(new_bench, new_part):
    part = new_part()
    bench = new_bench(lambda *_: pytest.fail("started"), devices=("cuda:0",))
    for step in devices.STEPS.values():
        step(bench, part)
    assert [each["what"] for each in part.not_run] == [
        "2 devices against one",
        "4 devices against one",
        "same return on 1 and 2 devices",
        "one of 2 processes killed",
        "one of 2 torchrun groups killed",
    ]
    assert {each["reason"] for each in part.not_run} == {"1 GPU here"}


def test_ratios_are_within_turns_and_have_their_bounds():
    found = devices.ratio_figures({1: [100.0, 200.0], 2: [190.0, 360.0], 3: [1.0, 2.0], 4: [340.0, 700.0]})
    shown = {figure.name: (figure.values, figure.verdict) for figure in found if figure.unit == "x"}
    assert shown == {
        "2 devices over one": ([1.9, 1.8], "ok"),
        "3 devices over one": ([0.01, 0.01], ""),
        "4 devices over one": ([3.4, 3.5], "MISSED"),
    }
    assert [figure.name for figure in devices.ratio_figures({1: [100.0], 2: []})] == ["1 devices, training"]


def curve(folder, returns, samples=None):
    folder.mkdir(parents=True)
    logger = Logger("txt", folder)
    for number, value in enumerate(returns):
        row = {"Iteration": number, "Wall_Time": 0.1, "Samples": (samples or 1_000_000) * (number + 1)}
        logger.write({**row, "Test_Return": value, "Test_Episode_Length": 9.0}, 0)
    logger.close()
    (folder / "train_summary.json").write_text('{"samples_per_s": 100000.0}')


def trainings_that_give(returns_of_two, samples_of_two=1_000_000):
    def play(name, command, log):
        words = list(map(str, command))
        count = words.index("--out_dir") - words.index("--devices") - 1
        together = name.startswith("same return")
        assert words[words.index("--num_envs") + 1] == str(4096 // count if together else 4096)
        two = together and count == 2
        folder = Path(words[words.index("--out_dir") + 1])
        curve(folder, returns_of_two if two else [5.0, 10.0, 20.0, 30.0, 40.0, 50.0], samples_of_two if two else None)
        if not together:
            (folder / "train_summary.json").write_text(json.dumps({"samples_per_s": 1e5 * count * 0.95}))
        return 0

    return play


def test_two_devices_faster_and_the_same(new_bench, new_part):
    part = new_part()
    bench = new_bench(trainings_that_give([99.0, 11.4, 20.0, 30.0, 40.0, 42.0]))
    devices.ratios(bench, part)
    devices.same_return(bench, part)
    assert not part.failures
    found = verdicts(part)
    assert found["2 devices over one"] == "ok"
    assert [found[name] for name in found if "difference" in name] == ["ok", "ok", "ok", "ok", "MISSED"]
    assert values(part)["return of 2 devices against 1 at 2.0M samples, difference"] == [pytest.approx(14.0)]
    assert set(part.curves) == {"1 x 4096 environments", "2 x 2048 environments"}
    assert part.not_run == [{"what": "4 devices against one", "reason": "2 GPUs here"}]


@pytest.mark.parametrize(
    ("returns", "samples", "reason"),
    [([1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2_000_000, "different samples"), ([5.0, 10.0], None, "different samples")],
)
def test_curves_that_cannot_be_compared_are_a_failure(new_bench, new_part, returns, samples, reason):
    part = new_part()
    devices.same_return(new_bench(trainings_that_give(returns, samples)), part)
    assert reason in part.failures[0]["reason"]


def test_too_few_checkpoints_are_a_failure(new_part):
    columns = {"Samples": [1.0, 2.0], "Test_Return": [1.0, 2.0]}
    part = new_part()
    devices.compare_returns(part, columns, columns)
    assert part.failures[0]["reason"] == "1 checkpoints, expected 5"


def test_the_checkpoints_of_the_real_training_are_enough():
    iterations = -(-devices.SAME_SAMPLES // (devices.NUM_ENVS * devices.ROLLOUT))
    assert len(set(range(0, iterations, devices.SAME_ROWS)) | {iterations - 1}) - 1 == devices.CHECKPOINTS


def test_what_is_compared_is_what_the_program_said(tmp_path):
    log = tmp_path / "log"
    log.write_text("12 new files for cuda:0 in /a folder/cache, 3.5 s\n")
    assert kernels.what_was_compiled(Ended("k", log, 0, 1.0, False)) == (12, Path("/a folder/cache"))
