"""Whatever lasts stays in its place through rollouts, updates, tests and restarts, so that a graph could know it."""

import dataclasses

import pytest
import torch

from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import load_case
from mimickit.envs import Share, build_env
from mimickit.learning.agents import build_agent
from mimickit.learning.processes import Processes
from mimickit.learning.step_graphs import moved_tensors, tensors_of
from mimickit.learning.test_loop import run_test

CPU = torch.device("cpu")
CASES = (
    ("deepmimic_humanoid_ppo", "mujoco"),
    ("deepmimic_humanoid_ppo", "newton"),
    ("amp_humanoid", "mujoco"),
    ("ase_humanoid", "mujoco"),
    ("add_humanoid", "mujoco"),
    ("amp_location_humanoid", "mujoco"),
    ("deepmimic_humanoid_awr", "mujoco"),
    ("lcp_g1_ppo", "mujoco"),
)


@pytest.mark.parametrize(("case_name", "engine"), CASES)
def test_places_stay(case_name: str, engine: str) -> None:
    run = parse_run_arguments(
        f"--arg_file args/{case_name}_args.txt --num_envs 2 --devices cpu "
        f"--engine_config data/engines/{engine}_engine.yaml".split()
    )
    case = load_case(run)
    agent_config = dataclasses.replace(case.agent, steps_per_iter=4)
    env = build_env(case.env, case.engine, Share(2, CPU, seed=0))
    agent = build_agent(agent_config, env, Processes(0, 1, CPU), seed=1)
    agent.begin_training()
    agent.collect()
    owners = {"env": env, "agent": agent}
    before = tensors_of(owners)
    assert {"env.obs", "env.engine.dof_pos", "agent.rollout.reward", "agent.train_returns._totals"} <= set(before)

    agent.update(agent.rollout)
    agent.iterate()
    run_test(agent, 2)
    agent.restart_episodes()
    agent.iterate()

    assert moved_tensors(before, tensors_of(owners)) == []
    env.close()
