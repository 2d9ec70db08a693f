"""Small DeepMimic environments of the committed humanoid on MuJoCo, with clips made for the test."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import mujoco
import numpy as np
import pytest
import torch
from scipy.spatial.transform import Rotation, Slerp

from mimickit.anim.clip import Clip, LoopMode, load_clip, save_clip
from mimickit.config.case import load_env
from mimickit.config.engine_config import MujocoEngineConfig
from mimickit.envs import Share, build_env
from mimickit.envs.deepmimic_env import DeepMimicEnv

ROOT = Path(__file__).parents[2]
SPEED = 0.6  # m/s, of the clip's root along x
TURN = 0.5  # rad/s, of its exponential map's z


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def engine_config() -> MujocoEngineConfig:
    return MujocoEngineConfig(
        engine_name="mujoco", control_mode="pos", control_freq=30, sim_freq=240, env_spacing=5.0, num_threads=1
    )


@pytest.fixture(scope="session")
def facts() -> Mapping[str, Any]:
    """The published configuration values."""
    path = os.environ.get("MIMICKIT_FACTS")
    if not path:
        pytest.skip("MIMICKIT_FACTS does not name the file of published values")
    loaded: Mapping[str, Any] = json.loads(Path(path).read_text())
    return loaded


@pytest.fixture
def make_clip(tmp_path: Path) -> Callable[..., Path]:
    """A clip file for ``init_pose``: its root glides along x and turns, one DoF swings; it lasts ``length`` s."""

    def make(init_pose: tuple[float, ...], length: float = 1.0, loop_mode: LoopMode = LoopMode.WRAP) -> Path:
        fps = 60.0
        frames = np.tile(np.array(init_pose, dtype=float), (round(length * fps) + 1, 1))
        times = np.arange(len(frames)) / fps
        frames[:, 0] += SPEED * times
        frames[:, 5] += TURN * times
        frames[:, -1] += 0.2 * np.sin(2.0 * np.pi * times)
        path = tmp_path / "made.pkl"
        save_clip(path, Clip("made", loop_mode, fps, frames))
        return path

    return make


@contextlib.contextmanager
def humanoid_environments(
    make_clip: Callable[..., Path], engine_config: MujocoEngineConfig
) -> Iterator[Callable[..., DeepMimicEnv]]:
    """What makes the committed humanoid environment of a ``kind`` on a made clip; closes all that it made."""
    made: list[DeepMimicEnv] = []

    def make(
        num_envs: int = 1,
        seed: int = 0,
        length: float = 1.0,
        loop_mode: LoopMode = LoopMode.WRAP,
        kind: str = "deepmimic",
        engine: MujocoEngineConfig = engine_config,
        **changes: Any,
    ) -> DeepMimicEnv:
        config = load_env(ROOT / "data" / "envs" / f"{kind}_humanoid_env.yaml")
        clip = make_clip(config.init_pose, length, loop_mode)
        places = {"char_file": ROOT / config.char_file, "motion_file": clip}
        config = dataclasses.replace(config, **{**places, **changes})
        env = build_env(config, engine, Share(num_envs, torch.device("cpu"), seed))
        assert isinstance(env, DeepMimicEnv)
        made.append(env)
        return env

    try:
        yield make
    finally:
        for env in made:
            env.close()


@pytest.fixture
def make_env(
    make_clip: Callable[..., Path], engine_config: MujocoEngineConfig
) -> Iterator[Callable[..., DeepMimicEnv]]:
    """The committed humanoid environment of a ``kind`` on a gliding clip; ``changes`` replace settings."""
    with humanoid_environments(make_clip, engine_config) as make:
        yield make


@pytest.fixture
def lively_clip(tmp_path: Path) -> Callable[..., Path]:
    """A clip file around ``init_pose``, of 60 frames a second, in which nothing rests.

    The root is 0.5 m above its default height, tilts, turns left and glides at 0.8 m/s along x; every DoF swings.
    """

    def make(init_pose: tuple[float, ...], length: float = 1.0, loop_mode: LoopMode = LoopMode.WRAP) -> Path:
        fps = 60.0
        times = np.arange(round(length * fps) + 1) / fps
        frames = np.tile(np.array(init_pose, dtype=float), (len(times), 1))
        wave = 2.0 * np.pi * times
        frames[:, 0] = 0.8 * times
        frames[:, 1] = 0.3 * np.sin(wave + 0.4)
        frames[:, 2] += 0.5 + 0.05 * np.sin(2.0 * wave)
        frames[:, 3:6] = np.stack((0.4 * np.sin(wave), 0.3 * np.cos(wave), 0.3 + 1.5 * times), axis=-1)
        dofs = np.arange(frames.shape[1] - 6)
        frames[:, 6:] += 0.25 * np.sin(np.outer(wave, 1 + dofs % 2) + dofs)
        path = tmp_path / f"lively_{loop_mode.name}_{length}.pkl"
        save_clip(path, Clip("lively", loop_mode, fps, frames))
        return path

    return make


@pytest.fixture
def make_style_env(
    lively_clip: Callable[..., Path], engine_config: MujocoEngineConfig
) -> Iterator[Callable[..., DeepMimicEnv]]:
    """The committed humanoid environment of a ``kind`` (add, amp, ase), which comes first, on a lively clip."""
    with humanoid_environments(lively_clip, engine_config) as make:
        yield lambda kind, *given, **named: make(*given, kind=kind, **named)


@dataclasses.dataclass(frozen=True)
class StateByHand:
    """One character at one time: world frame, but for the joints' rotations and their velocities."""

    root_pos: np.ndarray
    root_rot: Rotation
    root_vel: np.ndarray
    root_ang_vel: np.ndarray
    joint_rot: Rotation
    dof_vel: np.ndarray
    body_pos: np.ndarray


def tan_norm(rotation: Rotation) -> np.ndarray:
    return np.concatenate([rotation.apply([1, 0, 0]), rotation.apply([0, 0, 1])], axis=-1)


class MotionByHand:
    """States and windows of one environment worked out with scipy, on the tree as MuJoCo reads it from the MJCF.

    Nothing of the package's rotations, kinematics or motion library takes part.
    """

    def __init__(self, env: DeepMimicEnv):
        self._env = env
        self._clips = [load_clip(name) for name in env.motions.names]
        model = mujoco.MjModel.from_xml_path(str(env.config.char_file))
        first = 2  # bodies 0 and 1 are the world and the root
        self._parents = model.body_parentid[first:] - 1
        self._offsets = model.body_pos[first:]
        self._frames = [Rotation.from_quat(model.body_quat[i][[1, 2, 3, 0]]) for i in range(first, model.nbody)]
        # Per body: its hinges' axes; three of them make a spherical joint, whose DoFs are an exponential map.
        self._axes = [model.jnt_axis[model.jnt_bodyid == i] for i in range(first, model.nbody)]
        self._names = [model.body(i).name for i in range(1, model.nbody)]

    def joints(self, dofs: np.ndarray) -> Rotation:
        vectors, start = [], 0
        for axes in self._axes:
            own = dofs[start : start + len(axes)]
            vectors.append(own @ axes if len(axes) else np.zeros(3))
            start += len(axes)
        assert start == len(dofs)
        return Rotation.from_rotvec(np.array(vectors))

    def dofs(self, joint_rot: Rotation) -> np.ndarray:
        """Components of rotation vectors along each joint's axes."""
        return np.concatenate([axes @ joint_rot[i].as_rotvec() for i, axes in enumerate(self._axes)])

    def bodies(self, root_pos: np.ndarray, root_rot: Rotation, joint_rot: Rotation) -> np.ndarray:
        positions, rotations = [np.asarray(root_pos)], [root_rot]
        for i, parent in enumerate(self._parents):
            positions.append(positions[parent] + rotations[parent].apply(self._offsets[i]))
            rotations.append(rotations[parent] * self._frames[i] * joint_rot[i])
        return np.array(positions)

    def of_clip(self, index: int, time: float) -> StateByHand:
        """Environment ``index``'s clip at a time between two of its frames; velocities lead to the next frame."""
        clip = self._clips[int(self._env.motion_ids[index])]
        frames, fps, shift = clip.frames, clip.fps, np.zeros(3)
        if clip.loop_mode is LoopMode.WRAP:
            turns = np.floor(time / clip.length)
            time -= turns * clip.length
            shift[:2] = turns * (frames[-1] - frames[0])[:2]
        position = min(max(time * fps, 0.0), len(frames) - 1.0)
        low = min(int(position), len(frames) - 2)
        ends, blend = frames[low : low + 2], position - low
        roots = Rotation.from_rotvec(ends[:, 3:6])
        before, after = self.joints(ends[0, 6:]), self.joints(ends[1, 6:])
        root_pos = ends[0, :3] + blend * (ends[1, :3] - ends[0, :3]) + shift
        root_rot = Slerp([0, 1], roots)(blend)
        joint_rot = before * Rotation.from_rotvec(blend * (before.inv() * after).as_rotvec())
        return StateByHand(
            root_pos,
            root_rot,
            (ends[1, :3] - ends[0, :3]) * fps,
            (roots[1] * roots[0].inv()).as_rotvec() * fps,
            joint_rot,
            self.dofs(before.inv() * after) * fps,
            self.bodies(root_pos, root_rot, joint_rot),
        )

    def before_start(self, index: int, count: int) -> list[StateByHand]:
        """The last ``count`` control steps in the clip up to where environment ``index`` started, oldest first."""
        start = float(self._env.motion_start[index])
        return [self.of_clip(index, start - step / 30) for step in range(count - 1, -1, -1)]

    def at_rest(self, pose: Sequence[float]) -> StateByHand:
        """A pose ``[root position 3, root exponential map 3, DoFs]`` without any velocity."""
        root_pos, root_rot, dofs = np.array(pose[:3]), Rotation.from_rotvec(pose[3:6]), np.array(pose[6:])
        joint_rot, still = self.joints(dofs), np.zeros(3)
        bodies = self.bodies(root_pos, root_rot, joint_rot)
        return StateByHand(root_pos, root_rot, still, still, joint_rot, 0.0 * dofs, bodies)

    def of_character(self, index: int) -> StateByHand:
        """Environment ``index``'s character now."""
        values = {
            name: getattr(self._env.engine, name)[index].double().numpy()
            for name in ("root_pos", "root_rot", "root_vel", "root_ang_vel", "dof_pos", "dof_vel")
        }
        root_rot, joint_rot = Rotation.from_quat(values["root_rot"]), self.joints(values["dof_pos"])
        return StateByHand(
            values["root_pos"],
            root_rot,
            values["root_vel"],
            values["root_ang_vel"],
            joint_rot,
            values["dof_vel"],
            self.bodies(values["root_pos"], root_rot, joint_rot),
        )

    def window(
        self, states: Sequence[StateByHand], tracked: bool, names: Sequence[str] | None = None, dof_vel: bool = True
    ) -> np.ndarray:
        """What a discriminator sees of states, oldest first, with the bodies ``names`` (None: all)."""
        newest = states[-1]
        x, y, _ = newest.root_rot.apply([1.0, 0.0, 0.0])
        frame = Rotation.identity() if tracked else Rotation.from_euler("z", -np.arctan2(y, x))
        height = 0.0 if self._env.config.root_height_obs else newest.root_pos[2]
        origin = np.zeros(3) if tracked else np.array([*newest.root_pos[:2], height])
        chosen = [self._names.index(name) for name in (self._names if names is None else names)]
        parts = []
        for state in states:
            parts += [
                frame.apply(state.root_pos - origin),
                tan_norm(frame * state.root_rot),
                tan_norm(state.joint_rot).ravel(),
                frame.apply(state.body_pos[chosen] - state.root_pos).ravel(),
                frame.apply(state.root_vel),
                frame.apply(state.root_ang_vel),
                state.dof_vel if dof_vel else [],
            ]
        return np.concatenate(parts)


@pytest.fixture(scope="session")
def by_hand() -> type[MotionByHand]:
    """An environment's motion worked out without the package's own arithmetic."""
    return MotionByHand
