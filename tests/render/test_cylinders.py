"""Cylinders are drawn with straight sides, as wide as they are."""

from pathlib import Path

import numpy as np
import pytest

from mimickit.render import Recorder, SceneSpec

pytestmark = pytest.mark.usefixtures("opengl")


def test_a_cylinder_covers_more_than_the_ball_in_it_and_less_than_the_box_around_it(tmp_path: Path) -> None:
    covered = {}
    for kind, size in (("sphere", "0.3"), ("cylinder", "0.3 0.3"), ("box", "0.3 0.3 0.3")):
        path = tmp_path / f"{kind}.xml"
        geom = f'<geom type="{kind}" size="{size}"/><geom size="0.01" pos="0 0 0.7"/>'  # the ball sets the distance
        path.write_text(f'<mujoco><worldbody><body name="a">{geom}</body></worldbody></mujoco>', encoding="utf-8")
        with Recorder(SceneSpec(path, ("a",), show_reference=False), width=160, height=120) as recorder:
            recorder.draw(np.array([[0.0, 0.0, 1.0]]), np.array([[0.0, 0.0, 0.0, 1.0]]))
            covered[kind] = recorder._evidence.coverage[0]
    assert covered["sphere"] < covered["cylinder"] < covered["box"]
