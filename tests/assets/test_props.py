"""Boxes to vault and climb, the markers of the tasks, and the ball to throw."""

from pathlib import Path

import mujoco
import pytest

# Names, half sizes and places of the shapes.
PUBLISHED = {
    "vault_box": {"box": ((0.2, 1.0, 0.3), (0.0, 0.0, 0.0))},
    "climbing_box": {"box": ((0.4, 0.6, 1.0), (0.0, 0.0, 0.0))},
    "location_marker": {
        "marker0": ((0.1, 0.0, 0.0), (0.0, 0.0, 0.0)),
        "marker1": ((0.025, 0.025, 1.0), (0.0, 0.0, 1.0)),
    },
    "steering_marker": {"marker": ((0.25, 0.025, 0.025), (0.0, 0.0, 0.0))},
}
PROPS = {**PUBLISHED, "ball": {"ball": ((0.1, 0.0, 0.0), (0.0, 0.0, 0.0))}}


@pytest.mark.parametrize("name", PROPS)
def test_one_free_body_of_its_size(assets: Path, name: str) -> None:
    model = mujoco.MjModel.from_xml_path(str(assets / "objects" / f"{name}.xml"))
    assert model.nbody == 2
    assert [int(kind) for kind in model.jnt_type] == [mujoco.mjtJoint.mjJNT_FREE]
    shapes = {model.geom(g).name: (tuple(model.geom_size[g]), tuple(model.geom_pos[g])) for g in range(model.ngeom)}
    assert shapes == PROPS[name]


@pytest.mark.parametrize("name", PUBLISHED)
def test_shapes_are_those_of_the_published_prop(assets: Path, published: Path, name: str) -> None:
    ours, theirs = (
        mujoco.MjModel.from_xml_path(str(folder / "objects" / f"{name}.xml"))
        for folder in (assets, published / "assets")
    )
    for field in ("geom_type", "geom_size", "geom_pos", "geom_quat", "geom_contype", "geom_friction", "body_mass"):
        assert getattr(ours, field).tolist() == getattr(theirs, field).tolist(), field
    assert [ours.body(1).name, ours.geom(0).name] == [theirs.body(1).name, theirs.geom(0).name]


def test_the_ball_is_about_as_big_and_heavy_as_one_to_play_with(assets: Path) -> None:
    """A dodgeball is 0.21 m wide and weighs 0.3 to 0.45 kg; its centre of mass is where it is held."""
    model = mujoco.MjModel.from_xml_path(str(assets / "objects" / "ball.xml"))
    assert int(model.geom_type[0]) == mujoco.mjtGeom.mjGEOM_SPHERE
    assert float(model.body_mass[1]) == pytest.approx(0.4)
    assert model.body_ipos[1].tolist() == [0.0, 0.0, 0.0]
