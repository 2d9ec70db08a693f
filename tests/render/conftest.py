"""A small character and its poses, and the rule for machines without OpenGL."""

import os
import shutil
from pathlib import Path

import mujoco
import numpy as np
import pytest

from mimickit.render.display import REMEDY, egl_device, has_display
from mimickit.render.scene import SceneSpec

FIGURE = """
<mujoco model="figure">
  <worldbody>
    <body name="trunk" pos="0 0 0.9">
      <freejoint/>
      <geom type="box" size="0.12 0.2 0.3"/>
      <body name="head" pos="0 0 0.45">
        <joint type="ball"/>
        <geom type="sphere" size="0.12"/>
      </body>
      <body name="left_arm" pos="0 0.25 0.2">
        <joint type="ball"/>
        <geom type="capsule" fromto="0 0.05 0 0.1 0.5 0" size="0.06"/>
        <geom type="cylinder" pos="0.1 0.5 0" euler="30 40 50" size="0.07 0.1"/>
      </body>
      <body name="legs" pos="0 0 -0.35">
        <joint type="hinge" axis="0 1 0"/>
        <geom type="ellipsoid" pos="0 0 -0.25" size="0.1 0.18 0.3"/>
      </body>
    </body>
  </worldbody>
</mujoco>
"""


@pytest.fixture(scope="session")
def figure_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("figure") / "figure.xml"
    path.write_text(FIGURE, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def scene(figure_file: Path) -> SceneSpec:
    return SceneSpec(figure_file, ("trunk", "head", "left_arm", "legs"), show_reference=False)


@pytest.fixture(scope="session")
def pose_at(figure_file: Path):
    """Poses of a figure that walks along x: time in seconds and an offset -> positions (4, 3), rotations (4, 4)."""
    model = mujoco.MjModel.from_xml_path(str(figure_file))
    data = mujoco.MjData(model)

    def pose(time: float, offset: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> tuple[np.ndarray, np.ndarray]:
        data.qpos[:] = model.qpos0
        data.qpos[:3] += (time + offset[0], offset[1], offset[2])
        data.qpos[11:15] = (np.cos(2 * time), np.sin(2 * time), 0, 0)  # the left arm turns about x
        data.qpos[15] = 0.5 * np.sin(5 * time)
        mujoco.mj_kinematics(model, data)
        return data.xpos[1:].copy(), np.roll(data.xquat[1:], -1, axis=1)

    return pose


def missing(reason: str) -> None:
    """Skips where a person runs the tests, fails where CI does: there the packages must be installed."""
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def opengl() -> None:
    if egl_device() is None and not has_display():
        missing(f"no OpenGL here. {REMEDY}")


@pytest.fixture
def xvfb() -> tuple[str, ...]:
    """The command prefix that runs a program on a virtual X display."""
    if shutil.which("xvfb-run") is None or shutil.which("xauth") is None:
        missing("xvfb-run is not installed: apt-get install -y --no-install-recommends xvfb xauth libglx-mesa0")
    return ("xvfb-run", "-a", "-s", "-screen 0 800x600x24")
