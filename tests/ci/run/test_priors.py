"""Motion priors of SMP cases: trained for the run where there is none, and never left where a real one belongs."""

import json

import pytest
import yaml

CASE = "smp_humanoid_args"
PRIOR = "data/models/smp_priors/walk.pt"
AGENT = f"""\
agent_name: SMP
# The prior.
smp_prior_model: {PRIOR}  # a comment
smp_prior_cfg: data/priors/prior.yaml
steps_per_iter: 8
"""


@pytest.fixture
def smp_matrix(make_matrix, case_adder):
    matrix = make_matrix()
    case_adder(matrix, CASE, agent="smp")
    matrix.write("data/agents/smp_agent.yaml", AGENT)
    return matrix


def test_a_prior_that_is_there_is_used(smp_matrix):
    smp_matrix.write(PRIOR, "trained by somebody")
    outcome = smp_matrix.run()
    assert outcome.code == 0
    assert [call["stage"] for call in smp_matrix.calls()] == ["train", "test", "viz"]
    assert outcome.row["agent_config"] == "data/agents/smp_agent.yaml"
    assert outcome.row["note"] == ""


def test_a_missing_prior_is_trained_for_this_run_alone(smp_matrix):
    outcome = smp_matrix.run()
    assert outcome.code == 0
    prior, *stages = smp_matrix.calls()
    assert prior["stage"] == "prior"
    folder = f"runs/{CASE}/prior"
    out_file = outcome.root / folder / "prior.pt"
    assert prior["options"] == {
        "arg_file": [f"args/{CASE}.txt"],
        "out_file": [str(out_file)],
        "iterations": ["300"],
        "batch_size": ["64"],
        "learning_rate": ["0.001"],
        "devices": ["cpu"],
        "rand_seed": ["1"],
    }
    assert not (smp_matrix.repository / PRIOR).exists()
    row = outcome.row
    assert row["agent_config"].endswith(f"{folder}/smp_agent.yaml")
    assert row["note"] == "with a motion prior of 300 iterations, made for this run"
    for call in stages:
        assert call["options"]["agent_config"] == [row["agent_config"]]
    text = (smp_matrix.repository / row["agent_config"]).read_text()
    changed = yaml.safe_load(text)
    assert smp_matrix.repository / changed.pop("smp_prior_model") == out_file
    expected = yaml.safe_load(AGENT)
    del expected["smp_prior_model"]
    assert changed == expected
    record = json.loads((outcome.root / "runs" / CASE / "attempts.json").read_text())
    assert record["prior"]["ok"]
    assert record["prior"]["rc"] == 0


def test_a_prior_that_cannot_be_trained_fails_the_case(smp_matrix):
    outcome = smp_matrix.run(prior_fails=1)
    assert outcome.code == 1
    assert [call["stage"] for call in smp_matrix.calls()] == ["prior"]
    assert outcome.row["final_ok"] == "0"
    assert "prior" in outcome.row["note"]
    assert "nothing that moves" in outcome.printed
    record = json.loads((outcome.root / "runs" / CASE / "attempts.json").read_text())
    assert record["prior"]["failure"]["kind"] == "input"


def test_a_prior_that_was_not_written_fails_the_case(smp_matrix):
    outcome = smp_matrix.run(prior_not_written=1)
    assert outcome.code == 1
    assert [call["stage"] for call in smp_matrix.calls()] == ["prior"]
    record = json.loads((outcome.root / "runs" / CASE / "attempts.json").read_text())
    assert record["prior"]["failure"]["kind"] == "no_evidence"


def test_an_agent_file_that_hides_the_key_is_named(smp_matrix):
    smp_matrix.write(
        "data/agents/smp_agent.yaml", f"{{agent_name: SMP, smp_prior_model: {PRIOR}, steps_per_iter: 8}}\n"
    )
    outcome = smp_matrix.run()
    assert outcome.code == 1
    assert "smp_agent.yaml has 0 lines that begin with 'smp_prior_model:'" in outcome.row["note"]


def test_other_cases_need_none(matrix):
    outcome = matrix.run()
    assert outcome.code == 0
    record = json.loads((outcome.root / "runs" / "deepmimic_humanoid_ppo_args" / "attempts.json").read_text())
    assert record["prior"] is None
