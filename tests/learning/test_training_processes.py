"""Two processes train one model."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from mimickit.learning.processes import Processes

WORKER = Path(__file__).with_name("process_worker.py")
REPOSITORY = Path(__file__).resolve().parents[2]


def free_port() -> int:
    """A TCP port that was free a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def seen() -> list[dict[str, Any]]:
    """What each of two processes saw."""
    port = str(free_port())
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "GLOO_SOCKET_IFNAME": "lo"}
    workers = [
        subprocess.Popen(
            [sys.executable, str(WORKER), str(rank), "2", port],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        answers = [worker.communicate(timeout=120) for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], [error for _, error in answers]
    return [json.loads(output) for output, _ in answers]


def test_sums_and_the_first_process(seen):
    assert [process["first"] for process in seen] == [True, False]
    assert [process["sum"] for process in seen] == [[3.0, 30.0]] * 2
    assert [process["mine"] for process in seen] == [[1.0, 10.0], [2.0, 20.0]]


def test_gradients_are_averaged_each_in_its_place(seen):
    # (1 + 3) / 2 times the first; the second is [1, 0, -1] and [2, 1, 0]; the third has none.
    expected = [[[2.0, 4.0], [6.0, 8.0]], [1.5, 0.5, -0.5], None]
    assert [process["gradients"] for process in seen] == [expected] * 2


def test_statistics_are_those_of_all_samples(seen):
    values = np.array([1.0, 2.0, 3.0, 4.0, 10.0, 20.0])
    mean, std = values.mean(), values.std()
    normalized = (values - mean) / std
    for process, share in zip(seen, (normalized[:4].reshape(2, 2), normalized[4:].reshape(1, 2)), strict=True):
        np.testing.assert_allclose(process["advantages"][0], share, rtol=1e-5)
        assert process["advantages"][1:] == pytest.approx([mean, std], rel=1e-6)
        assert process["normalizer"] == pytest.approx([6, mean, std], rel=1e-6)


def test_parameters_stay_equal_while_the_experience_differs(seen):
    first, second = seen
    assert first["start"] == second["start"]
    assert first["obs"] != second["obs"]
    assert first["trained"] == second["trained"] != first["start"]
    assert [first["refusal"], second["refusal"]] == [None, None]
    assert first["samples"] == second["samples"] == 2 * 2 * 4 * 16  # processes, iterations, environments, steps


@pytest.mark.parametrize(("name", "sides"), [("AMP", 2), ("ADD", 1), ("ASE", 2)])
def test_discriminators_and_encoders_and_their_scale_stay_equal(seen, name, sides):
    first, second = (process["styles"][name] for process in seen)
    assert first["disc_obs"] != second["disc_obs"]
    assert first["start"] == second["start"]
    assert first["trained"] == second["trained"] != first["start"]
    assert [first["refusal"], second["refusal"]] == [None, None]
    # Of processes, iterations, environments and steps; of the policy's samples, and for AMP and ASE as many demos.
    assert first["scaled_samples"] == second["scaled_samples"] == sides * 2 * 3 * 4 * 16


def test_without_averaged_gradients_they_would_differ(seen):
    first, second = seen
    assert first["not_averaged"] != second["not_averaged"]
    for process in seen:
        assert "differs between the training processes (1 of 2)" in process["not_averaged_refusal"]


def test_the_smallest_difference_is_found_and_named_by_all(seen):
    expected = "'_model._critic_out.bias' differs between the training processes (1 of 2)"
    assert [process["perturbed"] for process in seen] == [expected] * 2


def test_a_test_counts_the_episodes_of_all(seen):
    # 10 episodes in 8 environments are 2 in each; episodes of 20 steps, looked at every 10.
    assert seen[0]["test"] == seen[1]["test"]
    assert seen[0]["test"][0] == 16
    assert seen[0]["test"][2] == 8 * 40


def test_one_process_leaves_everything_as_it_is():
    alone = Processes(0, 1, torch.device("cpu"))
    values = torch.tensor([1.0, 2.0])
    assert alone.sum(values) is values
    parameter = nn.Parameter(torch.zeros(2))
    parameter.grad = torch.tensor([3.0, 4.0])
    alone.average_gradients([parameter])
    assert parameter.grad.tolist() == [3.0, 4.0]
    alone.require_equal(nn.Linear(1, 1))
