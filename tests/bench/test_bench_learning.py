"""The verdict on whole trainings, from what they leave."""

import json
from pathlib import Path

import pytest

from mimickit.bench import learning
from mimickit.bench.learning import TRAININGS, Run, Training
from mimickit.bench.part import OURS
from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import load_case
from mimickit.errors import InputError
from mimickit.learning.logger import Logger

CASE = ("deepmimic_humanoid_ppo", "deepmimic_humanoid_env", "deepmimic_humanoid_ppo_agent")
SHORT = Training("short", *CASE, 1000, 50, reaches=("mean_return", 100.0), deadline=60.0, seconds=20.0)


def leave(out_dir: Path, returns=(5.0, 110.0), **changes) -> None:
    """What a training writes: its log, and at its end the summary."""
    out_dir.mkdir(parents=True)
    logger = Logger("txt", out_dir)
    for number, value in enumerate(returns):
        row = {"Iteration": number, "Wall_Time": 0.001, "Samples": 500 * (1 + number), "Test_Return": value}
        logger.write({**row, "Test_Episode_Length": 30.5, "Critic_Loss": 0.1}, 0)
    logger.close()
    if changes.pop("ends", True):
        summary = {"samples": 1000, "ended_by": "max_samples", "mean_return": returns[-1], "mean_ep_len": 30.5}
        summary |= {"samples_per_s": 5000.0, "command": ["run.py", "--x"], **changes}
        (out_dir / "train_summary.json").write_text(json.dumps(summary))


def verdicts(part):
    return {figure.name: figure.verdict for figure in part.figures}


@pytest.mark.parametrize(("last", "verdict"), [(110.0, "ok"), (100.0, "ok"), (99.9, "MISSED")])
def test_the_last_test_decides(new_bench, new_part, after, last, verdict):
    def play(name, command, log):
        leave(Path(after(command, "--out_dir")), (5.0, last))
        return 0

    part = new_part()
    learning.measure(new_bench(play, seeds=(3,)), part, (SHORT,))
    assert verdicts(part) == {
        "short seed 3, test return at 0M samples": verdict,
        "short seed 3, whole command": "ok",
        "short seed 3, training without tests": "",
    }
    assert part.curves["short seed 3"] == {
        "Samples": [500.0, 1000.0],
        "Wall_Time": [0.001, 0.001],
        "Test_Return": [5.0, last],
        "Test_Episode_Length": [30.5, 30.5],
    }
    assert not part.failures


def test_the_length_decides_where_there_is_no_return(new_bench, new_part, after):
    def play(name, command, log):
        leave(Path(after(command, "--out_dir")), mean_ep_len=254.9)
        return 0

    part = new_part()
    training = Training("style", *CASE, 1000, 50, reaches=("mean_ep_len", 255.0), deadline=60.0)
    learning.measure(new_bench(play), part, (training,))
    assert verdicts(part)["style seed 1, test episode length at 0M samples"] == "MISSED"
    assert verdicts(part)["style seed 1, whole command"] == ""


@pytest.mark.parametrize(
    ("changes", "code", "reason"),
    [
        ({"ended_by": "signal", "samples": 500}, 0, "ended by signal at 500 samples"),
        ({"ended_by": "max_seconds"}, 0, "ended by max_seconds at 1,000 samples"),
        ({"ended_by": "max_samples", "samples": 999}, 0, "ended by max_samples at 999 samples"),
        ({"ends": False}, 0, "left no train_summary.json"),
        ({"ends": False}, 6, "exit code 6: divergence: a loss is NaN"),
        ({}, 143, "exit code 143"),
    ],
)
def test_a_training_that_ends_early_is_a_failure_and_its_curve_is_kept(
    new_bench, new_part, after, changes, code, reason
):
    def play(name, command, log):
        out_dir = Path(after(command, "--out_dir"))
        leave(out_dir, **dict(changes))
        if code == 6:
            (out_dir / "error.json").write_text('{"kind": "divergence", "message": "a loss is NaN\\nmore"}')
        log.write_text("the end\n")
        return code

    part = new_part()
    learning.measure(new_bench(play), part, (SHORT,))
    assert part.failures == [{"what": "short seed 1", "reason": reason, "tail": "the end"}]
    assert not part.figures
    assert part.curves["short seed 1"]["Samples"] == [500.0, 1000.0]
    assert not part.ok


def test_one_training_on_each_gpu(new_bench, new_part, after):
    where = []

    def play(name, command, log):
        where.append((name, after(command, "--devices")))
        leave(Path(after(command, "--out_dir")))
        return 0

    part = new_part()
    learning.measure(new_bench(play, seeds=(1, 2)), part, (SHORT, SHORT.__class__(**{**vars(SHORT), "name": "other"})))
    assert sorted(name for name, _ in where) == ["other seed 1", "other seed 2", "short seed 1", "short seed 2"]
    assert {device for _, device in where} <= {"cuda:0", "cuda:1"}
    assert len(part.curves) == 4
    assert any("2 trainings at a time" in note for note in part.notes)


@pytest.mark.parametrize("training", TRAININGS, ids=[training.name for training in TRAININGS])
def test_real_trainings_are_the_cases_with_more_rows(tmp_path, training):
    run = Run(training, 7, OURS, tmp_path / "run")
    words = [word.replace("DEVICE", "cpu") for word in learning.command(run)[2:]]
    case = load_case(parse_run_arguments(words))
    plain = load_case(parse_run_arguments(["--arg_file", f"args/{training.case}_args.txt"]))
    changed = {key for key, value in vars(case.agent).items() if value != vars(plain.agent)[key]}
    assert changed == {"iters_per_output"}
    assert (case.env, case.engine, case.run.num_envs) == (plain.env, plain.engine, 4096)
    assert (case.run.rand_seed, case.run.max_samples, case.run.save_state) == (7, training.max_samples, False)
    iterations = -(-training.max_samples // (4096 * case.agent.steps_per_iter))
    assert 10 <= iterations // training.rows + 1 <= 25


def test_an_archive_takes_the_place_of_our_clips(tmp_path):
    archive = tmp_path / "an archive"
    for name in ("assets/humanoid/humanoid.xml", "motions/humanoid/humanoid_spinkick.pkl"):
        (archive / name).parent.mkdir(parents=True)
        (archive / name).touch()
    words = learning.command(Run(TRAININGS[0], 7, str(archive), tmp_path / "run"))[2:]
    case = load_case(parse_run_arguments([word.replace("DEVICE", "cpu") for word in words]))
    plain = load_case(parse_run_arguments(["--arg_file", f"args/{TRAININGS[0].case}_args.txt"]))
    changed = {key: value for key, value in vars(case.env).items() if value != vars(plain.env)[key]}
    assert changed == {
        "char_file": archive / "assets/humanoid/humanoid.xml",
        "motion_file": archive / "motions/humanoid/humanoid_spinkick.pkl",
    }
    with pytest.raises(InputError, match=r"has no assets/go2/go2\.xml"):
        learning.command(Run(TRAININGS[2], 7, str(archive), tmp_path / "go2"))


def test_an_archive_that_lacks_a_clip_is_an_error_before_anything_starts(new_bench, new_part, tmp_path):
    started = []
    bench = new_bench(lambda *words: started.append(words) or 0, data=(OURS, str(tmp_path)))
    with pytest.raises(InputError, match="--data"):
        learning.measure(bench, new_part())
    assert not started


def test_curves_are_named_after_what_was_trained(new_bench, new_part, after, tmp_path):
    def play(name, command, log):
        leave(Path(after(command, "--out_dir")))
        return 0

    learning.measure(new_bench(play, curves=tmp_path / "curves", seeds=(4,)), new_part(), (SHORT,))
    (file,) = (tmp_path / "curves").iterdir()
    assert file.name == "short_h100_seed4.txt"
    assert file.read_text().startswith("Iteration")


@pytest.mark.parametrize("text", ["steps: 1\n", "iters_per_output: 1\niters_per_output: 2\n"])
def test_a_line_that_is_not_there_once_is_not_changed(tmp_path, text):
    (tmp_path / "agent.yaml").write_text(text)
    with pytest.raises(InputError, match="expected one"):
        learning.with_value(tmp_path / "agent.yaml", "iters_per_output", 5, tmp_path / "copy.yaml")
