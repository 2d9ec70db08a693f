"""Recordings and wheels made up for the tests, and forward kinematics that shares nothing with the code under test."""

import dataclasses
import hashlib
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import mujoco
import numpy as np
import pytest
from rich.console import Console
from scipy.spatial.transform import Rotation

from mimickit.data.recipes.packages import Package
from mimickit.data.recipes.recipe import Recipe, Recording

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def assets() -> Path:
    """The repository's characters."""
    return ROOT / "data" / "assets"


@pytest.fixture(scope="session")
def humanoid(assets: Path) -> mujoco.MjModel:
    """The humanoid, compiled by MuJoCo."""
    return mujoco.MjModel.from_xml_path(str(assets / "humanoid" / "humanoid.xml"))


@pytest.fixture(scope="session")
def official_data() -> Path:
    """The published data archive; its tests are skipped without it."""
    folder = os.environ.get("MIMICKIT_OFFICIAL_DATA")
    if not folder:
        pytest.skip("MIMICKIT_OFFICIAL_DATA does not name the published data archive's folder")
    return Path(folder)


def _hinge_angles(model: mujoco.MjModel, frame: np.ndarray) -> np.ndarray:
    """MuJoCo's qpos of a clip's frame: exponential maps become the angles of hinges x, y, z in a chain."""
    root = Rotation.from_rotvec(frame[3:6]).as_quat()
    angles, column = [], 6
    for body in range(2, model.nbody):
        count = model.body_jntnum[body]
        dofs = frame[column : column + count]
        angles.extend(Rotation.from_rotvec(dofs).as_euler("XYZ") if count == 3 else dofs)
        column += count
    assert column == len(frame)
    return np.concatenate([frame[:3], root[[3, 0, 1, 2]], angles])


@pytest.fixture(scope="session")
def mujoco_positions(humanoid: mujoco.MjModel) -> Callable[[np.ndarray], np.ndarray]:
    """Body positions (N, 15, 3) of a clip's frames (N, 34), by MuJoCo's kinematics."""

    def positions(frames: np.ndarray) -> np.ndarray:
        data = mujoco.MjData(humanoid)
        result = []
        for frame in frames:
            data.qpos[:] = _hinge_angles(humanoid, np.asarray(frame))
            mujoco.mj_kinematics(humanoid, data)
            result.append(data.xpos[1:].copy())
        return np.array(result)

    return positions


@pytest.fixture(scope="session")
def ground_distance(assets: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Signed distance (N,) of the humanoid to the ground, by MuJoCo's collision code; negative below it."""
    spec = mujoco.MjSpec.from_file(str(assets / "humanoid" / "humanoid.xml"))
    spec.worldbody.add_geom(name="ground", type=mujoco.mjtGeom.mjGEOM_BOX, size=[50, 50, 1], pos=[0, 0, -1])
    model = spec.compile()
    ground = model.geom("ground").id

    def distance(frames: np.ndarray) -> np.ndarray:
        data = mujoco.MjData(model)
        result = []
        for frame in frames:
            data.qpos[:] = _hinge_angles(model, np.asarray(frame))
            mujoco.mj_kinematics(model, data)
            others = (geom for geom in range(model.ngeom) if geom != ground)
            result.append(min(mujoco.mj_geomDistance(model, data, ground, geom, 5.0, None) for geom in others))
        return np.array(result)

    return distance


def _random_quaternions(random: np.random.Generator, count: int) -> np.ndarray:
    """Smooth ``wxyz`` tracks, away from the gimbal lock of three hinges."""
    turns = np.cumsum(random.normal(scale=0.05, size=(count, 3)), axis=0) + random.normal(scale=0.25, size=3)
    return Rotation.from_rotvec(turns).as_quat()[:, [3, 0, 1, 2]]


@pytest.fixture(scope="session")
def humanoid3d_frames() -> np.ndarray:
    """Made-up frames (12, 44) of a ``humanoid3d`` recording at 30 frames per second, one second above the ground."""
    random = np.random.default_rng(11)
    frames = np.zeros((12, 44))
    frames[:, 0] = 1.0 / 30.0
    frames[:, 1:4] = np.cumsum(random.normal(scale=0.02, size=(12, 3)), axis=0) + [0.0, 0.9, 0.0]
    for column in (4, 8, 12, 16, 21, 25, 30, 35, 39):
        frames[:, column : column + 4] = _random_quaternions(random, 12)
    for column, sign in ((20, -1), (29, 1), (34, -1), (43, 1)):
        frames[:, column] = sign * np.linspace(0.1, random.uniform(0.5, 2.0), 12)
    return frames


@pytest.fixture(scope="session")
def humanoid3d_file(humanoid3d_frames: np.ndarray) -> bytes:
    """The same as a file that repeats."""
    return json.dumps({"Loop": "wrap", "Frames": humanoid3d_frames.tolist()}).encode()


def make_wheel(path: Path, members: Mapping[str, bytes]) -> None:
    """A wheel that pip accepts, with ``members``."""
    name, version = path.name.split("-")[:2]
    info = f"{name}-{version}.dist-info"
    contents = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in {**members, **contents}.items():
            archive.writestr(member, content)


@dataclasses.dataclass(frozen=True)
class Workshop:
    """Folders of a test, an index of one wheel, and the recipe of one clip from it."""

    package: Package
    recipe: Recipe
    index: Path
    output: Path
    cache: Path

    @property
    def clip(self) -> Path:
        """The clip's file."""
        return self.output / self.recipe.clip


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, humanoid3d_file: bytes) -> Workshop:
    """pip knows one folder with one tiny wheel, and no network."""
    index = tmp_path / "index"
    wheel = index / "recordings-1.5-py3-none-any.whl"
    make_wheel(wheel, {"recordings/hop.txt": humanoid3d_file})
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    size = wheel.stat().st_size
    package = Package("recordings", "1.5", wheel.name, size, sha256, "CC0-1.0")
    recipe = Recipe("humanoid_hop", "humanoid", Recording(package, "recordings/hop.txt", "humanoid3d", "humanoid"))
    return Workshop(package, recipe, index, tmp_path / "motions", tmp_path / "cache")


@pytest.fixture
def console() -> Console:
    """A console whose text ``capsys`` sees, as the command line sets it up."""
    return Console(soft_wrap=True, highlight=False, markup=False, emoji=False)
