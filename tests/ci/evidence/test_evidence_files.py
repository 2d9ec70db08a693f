"""Single checks on files: logs, checkpoints, metrics, small file helpers."""

import dataclasses
import hashlib
import json

import pytest

from ci.evidence.checks import Asked, check_checkpoint, check_test, check_train
from ci.files import read_json_object, tail, write_json, write_text
from ci.records.tables import write_table

ASKED = Asked(engine="mujoco", devices=("cpu",), seed=1, num_envs=4, samples=100, episodes=2, model_file="a/model.pt")
SAME = {"engine": "mujoco", "seed": 1, "num_envs": 4}
TRAINED = {"samples": 100, "samples_per_s": 5.0, "wall_s": 20.0, "devices": ["cpu"]}
SUMMARY = {**SAME, **TRAINED, "interrupted": 0, "ended_by": "max_samples"}
METRICS = {**SAME, "mean_return": 1.23456, "mean_ep_len": 3.0, "episodes": 2, "device": "cpu"}
METRICS["model_file"] = "a/model.pt"
PRINTED = "Mean Return: 1.235\nMean Episode Length: 3.000\nEpisodes: 2\n"


@pytest.fixture
def trained(tmp_path):
    (tmp_path / "model.pt").write_bytes(b"x")
    (tmp_path / "log.txt").write_text("Iteration Loss\n0 1.5\n1 -2e-3\n")
    write_json(tmp_path / "train_summary.json", SUMMARY)
    return tmp_path


def failure(evidence):
    assert evidence.failure is not None
    return f"{evidence.failure.kind}: {evidence.failure.message}"


def test_a_good_training_passes_and_gives_its_numbers(trained):
    evidence = check_train(trained, trained / "log", ASKED)
    assert evidence.failure is None
    assert (evidence.facts["samples"], evidence.facts["samples_per_s"], evidence.facts["log_rows"]) == (100, 5.0, 2)
    assert evidence.facts["model_bytes"] == 1
    assert evidence.facts["model_sha256"] == hashlib.sha256(b"x").hexdigest()


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", "no_evidence: log.txt has no rows"),
        ("Iteration Loss\n", "no_evidence: log.txt has no rows"),
        ("Iteration Loss\n0 inf\n", "divergence: log.txt row 1, Loss is inf"),
        ("Iteration Loss\r\n0 1\r\n1 NaN\r\n", "divergence: log.txt row 2, Loss is NaN"),
        ("Iteration Loss\n0\n", "no_evidence: log.txt row 1 has 1 values for 2 columns"),
        ("Iteration Loss\n0 high\n", "no_evidence: log.txt row 1, Loss: 'high' is not a number"),
    ],
)
def test_a_log_without_finite_numbers_fails(trained, log, words):
    (trained / "log.txt").write_text(log)
    assert failure(check_train(trained, trained / "log", ASKED)) == words


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": 99}, "no_evidence: trained on 99 samples"),
        ({"samples": None}, "no_evidence: train_summary.json: samples must be a number"),
        ({"samples": True}, "no_evidence: train_summary.json: samples must be a number"),
        ({"engine": "newton"}, "no_evidence: train_summary.json: engine is 'newton', asked for 'mujoco'"),
        ({"seed": 2}, "no_evidence: train_summary.json: seed is 2"),
        ({"num_envs": 2}, "no_evidence: train_summary.json: num_envs is 2, asked for 4"),
        ({"num_envs": None}, "no_evidence: train_summary.json: num_envs is None, asked for 4"),
        ({"interrupted": 15}, "no_evidence: train_summary.json: interrupted is 15, asked for 0"),
        ({"interrupted": None}, "no_evidence: train_summary.json: interrupted is None, asked for 0"),
        ({"ended_by": "max_seconds"}, "no_evidence: train_summary.json: ended_by is 'max_seconds', asked for max_sa"),
        ({"ended_by": None}, "no_evidence: train_summary.json: ended_by is None, asked for max_samples"),
        ({"ended_by": ["max_samples"]}, "no_evidence: train_summary.json: ended_by is ['max_samples'], asked for"),
        ({"extra": {"rates": [1.0, float("inf")]}}, "divergence: train_summary.json: extra: rates[1] is inf"),
    ],
)
def test_a_summary_that_contradicts_what_was_asked_fails(trained, change, words):
    (trained / "train_summary.json").write_text(json.dumps({**SUMMARY, **change}))
    assert failure(check_train(trained, trained / "log", ASKED)).startswith(words)


@pytest.mark.parametrize(
    ("limits", "change", "words"),
    [
        ((None, 50.0), {"wall_s": 49.5}, None),
        ((None, 50.0), {"wall_s": 49.4}, "no_evidence: trained for 49.4 s, asked for 50"),
        ((None, 50.0), {"wall_s": None}, "no_evidence: train_summary.json: wall_s must be a number"),
        ((None, 50.0), {"wall_s": 60.0, "samples": 0}, "no_evidence: trained on no samples"),
        ((None, 50.0), {"wall_s": 60.0, "ended_by": "max_samples"}, "no_evidence: train_summary.json: ended_by"),
        ((200, 50.0), {"wall_s": 50.0}, None),
        ((200, 50.0), {"wall_s": 20.0}, "no_evidence: trained for 20 s, asked for 50"),
        (
            (200, 50.0),
            {"ended_by": "max_samples", "wall_s": 60.0},
            "no_evidence: trained on 100 samples, asked for 200",
        ),
        ((100, 50.0), {"ended_by": "max_samples", "wall_s": 2.0}, None),
        (
            (200, 50.0),
            {"ended_by": "signal"},
            "no_evidence: train_summary.json: ended_by is 'signal', asked for max_sa",
        ),
    ],
)
def test_a_training_is_held_to_the_limit_that_ended_it(trained, limits, change, words):
    (trained / "train_summary.json").write_text(json.dumps({**SUMMARY, "ended_by": "max_seconds", **change}))
    asked = dataclasses.replace(ASKED, samples=limits[0], max_seconds=limits[1])
    evidence = check_train(trained, trained / "log", asked)
    assert (evidence.failure is None) == (words is None)
    assert words is None or failure(evidence).startswith(words)


@pytest.mark.parametrize("name", ["model.pt", "log.txt", "train_summary.json"])
def test_a_missing_file_fails(trained, name):
    (trained / name).unlink()
    assert failure(check_train(trained, trained / "log", ASKED)) == f"no_evidence: {name} was not written"


def test_an_empty_model_fails(trained):
    (trained / "model.pt").write_bytes(b"")
    assert failure(check_train(trained, trained / "log", ASKED)) == "no_evidence: model.pt is empty"


@pytest.mark.parametrize(
    ("change", "printed", "words"),
    [
        ({}, PRINTED, None),
        ({}, "", "no_evidence: the log does not print 'Mean Return:'"),
        ({}, PRINTED.replace("1.235", "1.3"), "no_evidence: the log prints 'Mean Return: 1.3'"),
        ({}, PRINTED.replace("1.235", "nan"), "no_evidence: the log prints 'Mean Return: nan'"),
        ({"episodes": 1}, PRINTED, "no_evidence: tested 1 episodes, asked for 2"),
        ({"mean_ep_len": 0.0}, PRINTED, "no_evidence: mean_ep_len is 0"),
        ({"device": "cuda:0"}, PRINTED, "no_evidence: test_metrics.json: device is 'cuda:0'"),
        ({"num_envs": 5}, PRINTED, "no_evidence: test_metrics.json: num_envs is 5, asked for 4"),
        ({"model_file": "b/model.pt"}, PRINTED, "no_evidence: test_metrics.json: model_file is 'b/model.pt'"),
        ({"model_file": None}, PRINTED, "no_evidence: test_metrics.json: model_file is None, asked for 'a/model.pt'"),
        ({"mean_return": float("nan")}, PRINTED, "divergence: test_metrics.json: mean_return is nan"),
    ],
)
def test_a_test_must_write_and_print_the_same_finite_numbers(tmp_path, change, printed, words):
    (tmp_path / "test_metrics.json").write_text(json.dumps({**METRICS, **change}))
    (tmp_path / "test.log").write_text(printed)
    evidence = check_test(tmp_path, tmp_path / "test.log", ASKED)
    assert (evidence.failure is None) == (words is None)
    assert words is None or failure(evidence).startswith(words)


@pytest.mark.parametrize(
    ("code", "output", "words"),
    [
        (0, '{"tensors": 2, "parameters": 9, "finite": true, "bad": []}', None),
        (1, '{"tensors": 2, "parameters": 9, "finite": false, "bad": ["a.weight"]}', "divergence: model.pt holds"),
        (0, '{"tensors": 2, "parameters": 9, "finite": false, "bad": ["a.weight"]}', "divergence: model.pt holds"),
        (1, '{"tensors": 2, "parameters": 9, "finite": true, "bad": []}', "no_evidence: the checkpoint reader ended"),
        (0, '{"tensors": 0, "parameters": 0, "finite": true, "bad": []}', "no_evidence: model.pt holds no parameters"),
        (1, '{"error": "no tensors in it"}', "no_evidence: model.pt does not load: no tensors in it"),
        (1, "not a checkpoint", "no_evidence: model.pt does not load (exit code 1): not a checkpoint"),
        (-9, "", "no_evidence: model.pt does not load (exit code -9)"),
    ],
)
def test_a_checkpoint_must_load_and_be_finite(tmp_path, code, output, words):
    facts = write_model(tmp_path / "model.pt")
    evidence = check_checkpoint(code, output, tmp_path / "model.pt", facts)
    assert (evidence.failure is None) == (words is None)
    assert words is None or failure(evidence).startswith(words)
    assert words is not None or evidence.facts == {"tensors": 2, "parameters": 9, **facts}


@pytest.mark.parametrize(
    "facts", [{}, {"model_bytes": 5}, {"model_sha256": hashlib.sha256(b"other").hexdigest(), "model_bytes": 5}]
)
def test_a_checkpoint_must_be_the_one_that_was_trained(tmp_path, facts):
    write_model(tmp_path / "model.pt")
    output = '{"tensors": 2, "parameters": 9, "finite": true, "bad": []}'
    evidence = check_checkpoint(0, output, tmp_path / "model.pt", facts)
    assert failure(evidence).startswith("no_evidence: model.pt is not what its training left")


def test_a_checkpoint_that_is_gone_by_now_fails(tmp_path):
    output = '{"tensors": 2, "parameters": 9, "finite": true, "bad": []}'
    evidence = check_checkpoint(0, output, tmp_path / "model.pt", {})
    assert failure(evidence) == "no_evidence: model.pt was not written"


def write_model(path):
    path.write_bytes(b"model")
    return {"model_bytes": 5, "model_sha256": hashlib.sha256(b"model").hexdigest()}


def test_a_log_tail_is_its_last_lines_as_a_terminal_would_show_them(tmp_path):
    log = tmp_path / "log"
    assert tail(log, 3) == []
    log.write_bytes(b"one\ntwo\r\n10%\r90%\rdone\n\xff\nlast\n\n")
    assert tail(log, 4) == ["two", "done", "\ufffd", "last"]
    log.write_bytes(b"x" * 100000 + b"\nend\n")
    assert tail(log, 1) == ["end"]


def test_a_log_tail_begins_where_it_is_told_to(tmp_path):
    log = tmp_path / "log"
    log.write_text("of an earlier part\n")
    start = log.stat().st_size
    assert tail(log, 5, start=start) == []
    with log.open("a") as handle:
        handle.write("of this part\n")
    assert tail(log, 5, start=start) == ["of this part"]
    assert tail(log, 5) == ["of an earlier part", "of this part"]
    assert tail(log, 5, limit_bytes=5, start=start) == ["part"]


def test_files_are_replaced_whole(tmp_path):
    path = tmp_path / "deep" / "a.json"
    write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"a": float("nan")})
    assert read_json_object(path) == {"a": 1}
    assert [file.name for file in path.parent.iterdir()] == ["a.json"]
    write_text(path, "[1]")
    with pytest.raises(ValueError, match="a.json holds a list"):
        read_json_object(path)


def test_a_table_keeps_one_line_per_row_whatever_is_in_a_cell(tmp_path):
    write_table(tmp_path / "t.tsv", ("a", "b", "c", "d"), [('say "x"\n\tnow', None, True, 0.1234567891)])
    assert (tmp_path / "t.tsv").read_text() == "a\tb\tc\td\nsay 'x' now\t\t1\t0.123457\n"
