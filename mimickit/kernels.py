"""Compile Newton's kernels before they are needed: ``python -m mimickit.kernels --device cuda:0``.

Warp compiles a kernel when it is first launched, and keeps it by its source and the GPU's architecture. So this starts
the Newton engine with every character, takes a step and draws a frame; what a case launches later is then there. An
image has the CPU's kernels in it; a GPU's are made on a machine that has one.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import warp
from rich.console import Console
from rich.progress import track
from rich.table import Table

from mimickit.anim import load_character
from mimickit.config.document import read_yaml
from mimickit.config.engine_config import ENGINE_CONFIGS, EngineConfig
from mimickit.config.schema import build_kind
from mimickit.devices import check_device
from mimickit.engines import Prop, Scene, build_engine
from mimickit.errors import InputError, classify, tell
from mimickit.render import PropSpec, Recorder, SceneSpec

ENGINE_CONFIG = Path("data/engines/newton_engine.yaml")
ASSETS = Path("data/assets")
OBJECTS = "objects"  # below ASSETS: what stands beside a character
FREE = "ball"  # the one of them that flies
NUM_ENVS = 2
STEPS = 2  # on CUDA the first is captured into a graph, the second replays it


@dataclass(frozen=True)
class Compiled:
    """What one scene took: seconds, and files that are in the cache now and were not before."""

    name: str
    seconds: float
    files: int


def scenes(assets: Path = ASSETS) -> list[Scene]:
    """Each character alone, and the first of them among everything that a character may meet.

    Raises InputError when there is no character.
    """
    models = sorted(path for path in assets.glob("*/*.xml") if path.parent.name != OBJECTS)
    alone = [Scene(char_file=path, char_model=load_character(path)) for path in models]
    if not alone:
        raise InputError(f"{assets}: no character in it")
    props = tuple(
        Prop(path.stem, path, (2.0 + place, 0.0, 1.0), fixed=path.stem != FREE)
        for place, path in enumerate(sorted((assets / OBJECTS).glob("*.xml")))
    )
    return [*alone, replace(alone[0], props=props)]


def compile_scene(scene: Scene, config: EngineConfig, device: torch.device) -> Compiled:
    """Have everything compiled that simulating and drawing a scene needs."""
    before, started = _cached_files(), time.perf_counter()
    engine = build_engine(config, scene, NUM_ENVS, device)
    action = torch.zeros(NUM_ENVS, scene.char_model.num_dofs, device=device)
    for _ in range(STEPS):
        engine.step(action)
    props = tuple(PropSpec(prop.file, prop.pos, prop.rot) for prop in scene.props)
    seen = SceneSpec(scene.char_file, scene.char_model.body_names, show_reference=False, props=props)
    with Recorder(seen) as recorder:
        recorder.draw(engine.body_pos[0].cpu(), engine.body_rot[0].cpu())
    name = scene.char_file.stem + (" among objects" if scene.props else "")
    return Compiled(name, time.perf_counter() - started, len(_cached_files() - before))


def _cached_files() -> set[Path]:
    return {path for path in Path(warp.config.kernel_cache_dir).rglob("*") if path.is_file()}


def main(argv: Sequence[str]) -> int:
    """The command; returns the exit code, one of ``mimickit/errors.py``."""
    parser = argparse.ArgumentParser(prog="python -m mimickit.kernels", description=__doc__)
    parser.add_argument("--device", default="cpu", help="cpu, or cuda:0: that GPU's architecture (default: cpu)")
    options = parser.parse_args(argv)
    console = Console()
    try:
        device = check_device(options.device)
        warp.init()
        config = build_kind(ENGINE_CONFIGS, "engine_name", read_yaml(ENGINE_CONFIG))
        made = [
            compile_scene(scene, config, device)
            for scene in track(scenes(), "compiling", console=console, transient=True)
        ]
    except Exception as error:
        return tell(classify(error))[1]
    table = Table("scene", "seconds", "new files", box=None, pad_edge=False)
    for each in made:
        table.add_row(each.name, f"{each.seconds:.1f}", str(each.files))
    console.print(table)
    console.print(f"kernels for {device} in {warp.config.kernel_cache_dir}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
