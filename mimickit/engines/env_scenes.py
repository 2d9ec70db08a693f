"""What an engine simulates for an environment, known from the environment's configuration alone.

Apart from the environments, so that kernels can be compiled for all of them wherever their code has changed.
"""

from functools import singledispatch

import torch

from mimickit.anim import CharModel
from mimickit.anim.rotations import quat_from_exp_map
from mimickit.config.env_config import CharEnvConfig, DofTestEnvConfig, StaticObjectsEnvConfig
from mimickit.engines.engine import Prop, Scene


@singledispatch
def make_scene(config: CharEnvConfig, char_model: CharModel) -> Scene:
    """The character alone; what stands beside it, and whether it is held, is registered below, and in
    `mimickit.engines.thrown_balls`, by the kind of config."""
    return Scene(config.char_file, char_model)


@make_scene.register
def _held(config: DofTestEnvConfig, char_model: CharModel) -> Scene:
    """The root is held at the initial pose, and bodies pass through each other."""
    pose = torch.zeros(6)
    pose[: min(6, len(config.init_pose))] = torch.tensor(config.init_pose[:6])
    held = (*pose[:3].tolist(), *quat_from_exp_map(pose[3:]).tolist())
    return Scene(config.char_file, char_model, self_collision=False, fixed_root_pose=held)


@make_scene.register
def _among_objects(config: StaticObjectsEnvConfig, char_model: CharModel) -> Scene:
    # Named by number, since two objects may come from one file.
    props = tuple(Prop(f"object_{i}", each.file, each.pos) for i, each in enumerate(config.objects))
    return Scene(config.char_file, char_model, props=props)
