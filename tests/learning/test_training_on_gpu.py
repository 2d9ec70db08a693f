"""Training on a GPU: its graphs do what the operations do, in place, and nothing waits for the device."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import load_case
from mimickit.envs import Share, build_env
from mimickit.learning.actor_critic import ActorCriticAgent
from mimickit.learning.agents import build_agent
from mimickit.learning.processes import Processes
from mimickit.run_records import provenance

pytestmark = pytest.mark.gpu
GPU = torch.device("cuda:0")
NUM_ENVS = 256
CASES = (
    "deepmimic_humanoid_ppo",
    "amp_humanoid",
    "ase_humanoid",
    "add_humanoid",
    "deepmimic_humanoid_awr",
    "lcp_g1_ppo",
)


def make_agent(case_name: str, graphs: bool) -> ActorCriticAgent:
    run = parse_run_arguments(
        f"--arg_file args/{case_name}_args.txt --num_envs {NUM_ENVS} --devices cuda:0 "
        "--engine_config data/engines/newton_engine.yaml".split()
    )
    case = load_case(run)
    engine = dataclasses.replace(case.engine, cuda_graph=graphs)
    torch.manual_seed(3)
    agent = build_agent(
        case.agent, build_env(case.env, engine, Share(NUM_ENVS, GPU, seed=0)), Processes(0, 1, GPU), seed=1
    )
    agent.begin_training()
    return agent


def rollout_tensors(agent: ActorCriticAgent) -> dict[str, Tensor]:
    rollout = agent.collect()
    return {name: value.clone() for name, value in vars(rollout).items() if isinstance(value, Tensor)}


@pytest.mark.parametrize("case_name", CASES)
def test_a_rollout_of_graphs_is_the_rollout_of_operations(case_name: str) -> None:
    """To rounding while the characters fly, and random numbers throughout; contacts then make any two runs drift apart,
    two of operations as well."""
    first, second, captured = (make_agent(case_name, graphs) for graphs in (False, False, True))
    operations, again, graphs = (rollout_tensors(agent) for agent in (first, second, captured))

    assert captured._step_graphs is not None
    assert captured._step_graphs._graphs is not None
    for mine, other in ((captured.generator, first.generator), (captured.env.generator, first.env.generator)):
        assert mine.get_offset() == other.get_offset()
    for name in ("obs", "norm_action", "reward"):
        # The first steps are taken by operations, the next few by graphs, before a difference can have grown.
        for step in range(6):
            spread = (operations[name][step] - again[name][step]).abs().mean()
            assert (operations[name][step] - graphs[name][step]).abs().mean() <= 3.0 * spread + 1e-3, (name, step)


@pytest.mark.parametrize("case_name", CASES)
def test_gradient_steps_of_graphs_are_those_of_operations(case_name: str) -> None:
    """Three updates from the same experience: the first by operations in both, then in one by graphs, of which the last
    has its data copied to where the capture's lay."""
    plain, graphed = make_agent(case_name, graphs=False), make_agent(case_name, graphs=True)
    experience = plain.collect()
    graphed.collect()
    state = {name: value.clone() for name, value in vars(experience).items() if isinstance(value, Tensor)}
    for name in ("disc_obs", "rollout_latents"):
        if isinstance(getattr(plain, name, None), Tensor):
            getattr(graphed, name).copy_(getattr(plain, name))
    graphed.generator.set_state(plain.generator.get_state())
    graphed.env.generator.set_state(plain.env.generator.get_state())
    for agent in (plain, graphed):
        for _ in range(3):
            for name, value in state.items():
                getattr(agent.rollout, name).copy_(value)
            agent.update(agent.rollout)

    assert all(steps._graph is not None for steps in graphed._gradient_steps.values())
    moved = 0.0
    start = make_agent(case_name, graphs=False).state_dict()
    for name, weight in plain.state_dict().items():
        difference = (weight - graphed.state_dict()[name]).abs().max()
        moved = max(moved, float((weight - start[name]).abs().max()))
        assert difference <= 1e-5 + 1e-3 * float((weight - start[name]).abs().max()), name
    assert moved > 1e-4, "nothing was learned, so nothing was compared"


def test_the_memory_of_a_training_is_told() -> None:
    agent = make_agent("deepmimic_humanoid_ppo", graphs=True)
    agent.iterate()
    case: Any = SimpleNamespace(engine=SimpleNamespace(engine_name="newton"))
    told = provenance(case, agent.env, seed=1, devices=["cuda:0"])["gpu_memory_peak_gb"]
    free, total = torch.cuda.mem_get_info(GPU)
    assert 0.1 < told < (total - free) / 1e9
    assert agent.env.engine.peak_device_memory > NUM_ENVS * 1000


def test_a_rollout_waits_for_nothing_and_allocates_nothing() -> None:
    agent = make_agent("amp_humanoid", graphs=True)
    for _ in range(2):
        agent.iterate()
    torch.cuda.synchronize()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    torch.cuda.set_sync_debug_mode("error")
    try:
        agent.collect()
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert torch.cuda.memory_stats()["allocation.all.allocated"] == before


def test_an_update_waits_for_nothing() -> None:
    agent = make_agent("amp_humanoid", graphs=True)
    for _ in range(2):
        agent.iterate()
    rollout = agent.collect()
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        agent.update(rollout)
    finally:
        torch.cuda.set_sync_debug_mode("default")
