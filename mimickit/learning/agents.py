"""The learning methods by name: one module with a class each, and one line here."""

import importlib

from mimickit.config.agent_config import AgentConfig
from mimickit.envs.char_env import CharEnv
from mimickit.learning.agent import Agent
from mimickit.learning.processes import Processes

AGENTS = {
    "ADD": ("mimickit.learning.add", "ADDAgent"),
    "AMP": ("mimickit.learning.amp", "AMPAgent"),
    "ASE": ("mimickit.learning.ase", "ASEAgent"),
    "AWR": ("mimickit.learning.awr", "AWRAgent"),
    "LCP": ("mimickit.learning.lcp", "LCPAgent"),
    "PPO": ("mimickit.learning.ppo", "PPOAgent"),
    "SMP": ("mimickit.learning.smp", "SMPAgent"),
    "policy_free": ("mimickit.learning.policy_free", "PolicyFreeAgent"),
}


def build_agent(config: AgentConfig, env: CharEnv, processes: Processes, seed: int) -> Agent:
    """The agent that ``config.agent_name`` names, on the environment's device."""
    module, class_name = AGENTS[config.agent_name]
    return getattr(importlib.import_module(module), class_name)(config, env, processes, seed)
