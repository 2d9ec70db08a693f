"""Physics backends behind one interface.

A backend is one module with a class, and one line here. It is imported only when it is chosen, so a backend that is
not installed costs nothing until someone asks for it.
"""

import importlib
from dataclasses import dataclass

import torch

from mimickit.config.engine_config import EngineConfig
from mimickit.engines.engine import Engine, Prop, Scene
from mimickit.errors import InputError


@dataclass(frozen=True)
class Backend:
    """Where a backend's class is, what to install when its import fails, what to know of its first run and of a CPU."""

    module: str
    class_name: str
    install: str
    first_run: str = ""
    on_cpu: str = ""


BACKENDS = {
    "newton": Backend(
        "mimickit.engines.newton_engine",
        "NewtonEngine",
        install="pip install newton warp-lang mujoco mujoco-warp",
        first_run="the first run on a machine compiles Newton's kernels, which takes a minute or two",
        on_cpu="on a CPU, --engine_config data/engines/mujoco_engine.yaml is about 20 times as fast",
    ),
    "mujoco": Backend("mimickit.engines.mujoco_engine", "MujocoEngine", install="pip install mujoco"),
}


def build_engine(config: EngineConfig, scene: Scene, num_envs: int, device: torch.device) -> Engine:
    """The engine that ``config.engine_name`` names, with ``num_envs`` copies of the scene.

    Raises:
        InputError: the backend is not part of this version, or not installed.
    """
    name = config.engine_name
    if name not in BACKENDS:
        raise InputError(
            f"engine_name '{name}': this version has no such backend; it has {', '.join(sorted(BACKENDS))} "
            "(choose one with --engine_config data/engines/mujoco_engine.yaml or newton_engine.yaml)"
        )
    backend = BACKENDS[name]
    try:
        module = importlib.import_module(backend.module)
    except ModuleNotFoundError as error:
        raise InputError(f"engine_name '{name}' needs the package '{error.name}': {backend.install}") from error
    return getattr(module, backend.class_name)(config, scene, num_envs, device)


__all__ = ["BACKENDS", "Backend", "Engine", "Prop", "Scene", "build_engine"]
