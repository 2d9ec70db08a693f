"""Environments: what a character sees, is rewarded for, and when an episode ends.

An environment is one module with a class, and one line in ``ENVS``.
"""

import importlib

from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import CharEnvConfig
from mimickit.envs.char_env import CharEnv, Share

ENVS = {
    "add": ("mimickit.envs.add_env", "ADDEnv"),
    "amp": ("mimickit.envs.amp_env", "AMPEnv"),
    "ase": ("mimickit.envs.ase_env", "ASEEnv"),
    "char_dof_test": ("mimickit.envs.dof_test_env", "DofTestEnv"),
    "deepmimic": ("mimickit.envs.deepmimic_env", "DeepMimicEnv"),
    "smp": ("mimickit.envs.amp_env", "AMPEnv"),
    "static_objects": ("mimickit.envs.static_objects_env", "StaticObjectsEnv"),
    "task_location": ("mimickit.envs.task_location_env", "TaskLocationEnv"),
    "task_steering": ("mimickit.envs.task_steering_env", "TaskSteeringEnv"),
    "task_dodgeball": ("mimickit.envs.task_dodgeball_env", "TaskDodgeballEnv"),
    "view_motion": ("mimickit.envs.view_motion_env", "ViewMotionEnv"),
}


def build_env(env_config: CharEnvConfig, engine_config: EngineConfig, share: Share) -> CharEnv:
    """The environment that ``env_config.env_name`` names, with its engine."""
    module, class_name = ENVS[env_config.env_name]
    env_class = getattr(importlib.import_module(module), class_name)
    return env_class(env_config, engine_config, share)


__all__ = ["ENVS", "CharEnv", "Share", "build_env"]
