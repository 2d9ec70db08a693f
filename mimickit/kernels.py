"""Compile Newton's kernels before they are needed: ``python -m mimickit.kernels``.

Warp compiles a kernel when it is first launched, and keeps it by its source and the GPU's architecture. So this starts
the Newton engine with the scene of every environment in ``data/envs``, takes a step and draws a frame; what a case
launches later is then there. An
image has the CPU's kernels in it; a GPU's are made on a machine that has one. Several processes share the scenes: one
after the other they take minutes.
"""

import argparse
import multiprocessing
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import warp
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mimickit.anim import load_character
from mimickit.config.case import engine_settings, load_env
from mimickit.config.document import read_yaml
from mimickit.config.engine_config import ENGINE_CONFIGS, EngineConfig
from mimickit.config.schema import build_kind
from mimickit.devices import check_device, usable_cores
from mimickit.engines import Engine, Scene, build_engine
from mimickit.engines.thrown_balls import make_scene  # with the balls registered
from mimickit.errors import InputError, classify, tell
from mimickit.render import PropSpec, Recorder, SceneSpec
from mimickit.warp_settings import apply_warp_settings

ENGINE_CONFIG = Path("data/engines/newton_engine.yaml")
ENVS = Path("data/envs")
NUM_ENVS = 2
STEPS = 2


@dataclass(frozen=True)
class Compiled:
    """What kernels are compiled with: the scene of an environment, in the engine with its settings."""

    engine: EngineConfig
    scene: Scene

    @property
    def key(self) -> tuple[Any, ...]:
        """Two of the same are stepped and drawn by the same kernels."""
        scene = self.scene
        props = tuple(sorted((prop.file, prop.fixed) for prop in scene.props))
        return self.engine, scene.char_file, scene.self_collision, scene.fixed_root_pose is not None, props


def compiled_for(env: Path, engine: Path = ENGINE_CONFIG) -> Compiled:
    """What the environment file ``env`` needs with the engine file ``engine``."""
    config = load_env(env)
    settings = engine_settings(read_yaml(engine), read_yaml(env))
    scene = make_scene(config, load_character(config.char_file))
    return Compiled(build_kind(ENGINE_CONFIGS, "engine_name", settings), scene)


def scenes(envs: Path = ENVS) -> dict[str, Compiled]:
    """Of all environment files in ``envs`` those that differ, by the name of the first of each.

    Raises InputError when there is none.
    """
    files = sorted(envs.glob("*.yaml"))
    if not files:
        raise InputError(f"{envs}: no environment in it")
    found: dict[tuple[Any, ...], tuple[str, Compiled]] = {}
    for file in files:
        each = compiled_for(file)
        found.setdefault(each.key, (file.stem, each))
    return dict(found.values())


def compile_scene(name: str, device_name: str, drawing: bool) -> float:
    """Have everything compiled that simulating one of ``scenes`` needs, and ``drawing`` it; seconds. Leaves warp's
    settings changed, so it is for a process of ``compile_all``."""
    started = time.perf_counter()
    apply_warp_settings()
    device = check_device(device_name)
    compiled = scenes()[name]
    scene = compiled.scene
    engine = build_engine(compiled.engine, scene, NUM_ENVS, device)
    action = torch.zeros(NUM_ENVS, scene.char_model.num_dofs, device=device)
    for _ in range(STEPS):
        engine.step(action)
    if drawing:
        _draw(scene, engine)
    return time.perf_counter() - started


def _draw(scene: Scene, engine: Engine) -> None:
    props = tuple(PropSpec(prop.file, prop.pos, prop.rot) for prop in scene.props)
    seen = SceneSpec(scene.char_file, scene.char_model.body_names, show_reference=False, props=props)
    with Recorder(seen) as recorder:
        recorder.draw(engine.body_pos[0].cpu(), engine.body_rot[0].cpu())


def compile_all(device: str, drawing: bool, jobs: int, console: Console) -> dict[str, float]:
    """Every scene, shared by ``jobs`` processes: seconds by name."""
    names = list(scenes())
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        work = {pool.submit(compile_scene, name, device, drawing): name for name in names}
        done = track(as_completed(work), "compiling", total=len(work), console=console, transient=True)
        return {work[each]: each.result() for each in done}


def _cached_files() -> set[Path]:
    return {path for path in Path(warp.config.kernel_cache_dir).rglob("*") if path.is_file()}


def main(argv: Sequence[str]) -> int:
    """The command; returns the exit code, one of ``mimickit/errors.py``."""
    parser = argparse.ArgumentParser(prog="python -m mimickit.kernels", description=__doc__)
    parser.add_argument("--device", default="cuda:0", help="cuda:0: that GPU's architecture (default); or cpu")
    parser.add_argument("--jobs", type=int, default=usable_cores(), help="scenes at once (default: as many as cores)")
    parser.add_argument("--physics-only", action="store_true", help="leave out drawing, on a machine without OpenGL")
    options = parser.parse_args(argv)
    if options.jobs < 1:
        parser.error(f"--jobs {options.jobs}: at least 1")
    console = Console()
    try:
        check_device(options.device, "--device")
        apply_warp_settings()
        warp.init()
        before, started = _cached_files(), time.perf_counter()
        seconds = compile_all(options.device, not options.physics_only, options.jobs, console)
    except Exception as error:
        return tell(classify(error))[1]
    table = Table("scene", "seconds", box=None, pad_edge=False)
    for name in sorted(seconds):
        table.add_row(name, f"{seconds[name]:.1f}")
    console.print(table)
    new = len(_cached_files() - before)
    took = time.perf_counter() - started
    console.print(
        f"{new} new files for {options.device} in {warp.config.kernel_cache_dir}, {took:.0f} s", soft_wrap=True
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
