"""The drawn scene: figures made of instanced shapes, a checkered ground, light and a camera that follows."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from mimickit.errors import RenderError
from mimickit.render.geometry import Figure, load_figure, match_bodies
from mimickit.render.scene import SceneSpec

if TYPE_CHECKING:
    from newton.viewer import ViewerGL

Colour = tuple[float, float, float]

# (left and middle, right side): the shade tells the legs apart when they cross
CHARACTER_COLOURS: tuple[Colour, Colour] = ((0.20, 0.48, 0.85), (0.10, 0.30, 0.62))
REFERENCE_COLOURS: tuple[Colour, Colour] = ((0.97, 0.62, 0.22), (0.85, 0.44, 0.12))
PROP_COLOURS: tuple[Colour, Colour] = ((0.62, 0.60, 0.56), (0.62, 0.60, 0.56))
GROUND_COLOUR: Colour = (0.58, 0.61, 0.64)
SKY_COLOUR: Colour = (0.66, 0.77, 0.90)
HORIZON_COLOUR: Colour = (0.86, 0.89, 0.93)
# Size of a unit shape as the viewer wants it, where that is not 1 in every direction: a barrel is not a cylinder.
UNIT_SIZES = {"cylinder": (1.0, 1.0, 0.0)}  # radius, half height, radius of the bulge
MATT = (0.65, 0.0, 0.0, 0.0)  # roughness, metallic, checker, texture
CHECKERED = (0.9, 0.0, 1.0, 0.0)
CHECKER_SIZE = 0.5  # metres
SHADOW_MAP_SIZE = 2048

FIELD_OF_VIEW = 40.0  # degrees, vertical
CAMERA_TURN = np.radians(14.0)  # from the side view towards the front
CAMERA_PITCH = np.radians(13.0)  # downwards
FOLLOW_TIME = 0.08  # seconds in which the camera closes 63% of its lag
TELEPORT = 1.0  # metres in one frame: the episode began anew, and the camera jumps along


@dataclass
class _Batch:
    """Instances of one unit shape: what to log and how to pose them."""

    name: str
    kind: str
    mesh_path: str
    rows: np.ndarray
    positions: np.ndarray
    rotations: np.ndarray
    scales: Any
    colours: Any
    materials: Any
    logged: bool = False


class Stage:
    """Draws a :class:`SceneSpec` into a viewer.

    Attributes:
        viewer: Newton's OpenGL viewer.
        figure: the character's shapes.
    """

    def __init__(self, viewer: "ViewerGL", scene: SceneSpec, frame_time: float) -> None:
        """Loads the figures and uploads their geometry.

        Args:
            viewer: an open viewer.
            scene: what to draw.
            frame_time: seconds between frames, which sets how fast the camera follows.

        Raises:
            InputError: a file cannot be drawn, or body names do not match.
        """
        self.viewer = viewer
        self.scene = scene
        self.figure = load_figure(scene.char_file)
        self._follow = 1.0 - np.exp(-frame_time / FOLLOW_TIME)
        rows = match_bodies(self.figure, scene.body_names, scene.char_file)
        self._root = rows.get(self.figure.body_names[0], 0)
        self._target: np.ndarray | None = None
        self._root_position = np.zeros(3)
        viewer.renderer.window.switch_to()
        self._set_light()
        self._ground = self._add_ground()
        self._character = self._add_figure("/character", self.figure, rows, CHARACTER_COLOURS)
        self._reference = []
        if scene.show_reference:
            self._reference = self._add_figure("/reference", self.figure, rows, REFERENCE_COLOURS)
        self._objects = (*scene.props, *scene.markers)
        self._props = [self._add_prop(index) for index in range(len(self._objects))]

    def pose(
        self,
        body_pos: np.ndarray,
        body_rot: np.ndarray,
        ref_body_pos: np.ndarray | None = None,
        ref_body_rot: np.ndarray | None = None,
        prop_pos: np.ndarray | None = None,
        prop_rot: np.ndarray | None = None,
    ) -> np.ndarray:
        """Moves every figure and the camera; see :meth:`Recorder.draw` for the arguments.

        Returns:
            The character's body positions, (B, 3) float64, a copy.
        """
        self.viewer.renderer.window.switch_to()
        places, turns = _checked("body", body_pos, body_rot, len(self.scene.body_names))
        self._log(self._character, places, turns)
        reference_root = None
        if self.scene.show_reference:
            if ref_body_pos is None or ref_body_rot is None:
                raise RenderError("The scene shows a reference character, but no reference pose was given")
            ref_places, ref_turns = _checked("reference body", ref_body_pos, ref_body_rot, len(self.scene.body_names))
            self._log(self._reference, ref_places, ref_turns)
            reference_root = ref_places[self._root]
        if self._props:
            if prop_pos is None or prop_rot is None:
                prop_pos = np.array([prop.position for prop in self._objects])
                prop_rot = np.array([prop.rotation for prop in self._objects])
            prop_places, prop_turns = _checked("prop", prop_pos, prop_rot, len(self._props))
            for index, batches in enumerate(self._props):
                self._log(batches, prop_places[index : index + 1], prop_turns[index : index + 1])
        self._aim(places[self._root], reference_root)
        period = 2.0 * CHECKER_SIZE  # moving the ground by whole periods makes it endless
        under = np.append(np.floor(places[self._root][:2] / period) * period, 0.0)
        self._log([self._ground], under[None], np.array([[0.0, 0.0, 0.0, 1.0]]))
        return places

    def show_character(self, visible: bool) -> None:
        """Shows or hides the simulated character, leaving everything else."""
        for batch in self._character:
            self.viewer.objects[batch.name].hidden = not visible

    def render(self) -> np.ndarray:
        """Draws one frame and reads it back: (height, width, 3) uint8, top row first."""
        self.viewer.begin_frame(0.0)
        self.viewer.end_frame()
        return self.viewer.get_frame().numpy()

    # building

    def _set_light(self) -> None:
        renderer = self.viewer.renderer
        renderer.sky_upper = SKY_COLOUR
        renderer.sky_lower = HORIZON_COLOUR
        renderer.spotlight_enabled = False
        renderer.draw_fps = False
        renderer.exposure = 1.15
        # Newton's 4096 x 4096 shadow map costs a software renderer 15 ms a frame, and has no public setting.
        renderer._shadow_width = renderer._shadow_height = SHADOW_MAP_SIZE
        renderer._setup_shadow_buffer()
        self.viewer.camera.fov = FIELD_OF_VIEW

    def _add_ground(self) -> _Batch:
        side = 300.0 / CHECKER_SIZE
        path = self._geometry("plane", (side, side))
        shade = [(GROUND_COLOUR, (CHECKER_SIZE, CHECKER_SIZE, 1.0), 0, np.zeros(3), np.array([0.0, 0.0, 0.0, 1.0]))]
        return self._batch("/ground", "plane", path, shade, CHECKERED)

    def _add_figure(
        self, name: str, figure: Figure, rows: dict[str, int], colours: tuple[Colour, Colour]
    ) -> list[_Batch]:
        groups: dict[tuple[str, int], list] = {}
        for shape in figure.shapes:
            instance = (colours[shape.right_side], shape.scale, rows[shape.body], shape.position, shape.rotation)
            groups.setdefault((shape.kind, shape.mesh), []).append(instance)
        batches = []
        for (kind, mesh), instances in groups.items():
            label = f"{name}/{kind}" if mesh < 0 else f"{name}/{kind}_{mesh}"
            path = self._mesh(f"{label}/geometry", *figure.meshes[mesh]) if kind == "mesh" else self._geometry(kind)
            batches.append(self._batch(label, kind, path, instances, MATT))
        return batches

    def _add_prop(self, index: int) -> list[_Batch]:
        spec = self._objects[index]
        figure = load_figure(spec.asset_file)
        colours = (spec.colour, spec.colour) if spec.colour else PROP_COLOURS
        return self._add_figure(f"/prop_{index}", figure, {shape.body: 0 for shape in figure.shapes}, colours)

    def _geometry(self, kind: str, size: tuple[float, ...] | None = None) -> str:
        import newton

        size = size or UNIT_SIZES.get(kind, (1.0, 1.0, 1.0))
        path = f"/geometry/{kind}"
        if path not in self.viewer.objects:
            self.viewer.log_geo(path, int(getattr(newton.GeoType, kind.upper())), size, 0.0, True, hidden=True)
        return path

    def _mesh(self, path: str, points: np.ndarray, normals: np.ndarray) -> str:
        import warp as wp

        self.viewer.log_mesh(
            path,
            wp.array(points, dtype=wp.vec3, device="cpu"),
            wp.array(np.arange(len(points), dtype=np.int32), dtype=wp.int32, device="cpu"),
            wp.array(normals, dtype=wp.vec3, device="cpu"),
            hidden=True,
        )
        return path

    def _batch(
        self, name: str, kind: str, path: str, instances: Sequence[tuple], material: tuple[float, ...]
    ) -> _Batch:
        import warp as wp

        colours, scales, rows, positions, rotations = (np.array(column) for column in zip(*instances, strict=True))
        return _Batch(
            name=name,
            kind=kind,
            mesh_path=path,
            rows=rows,
            positions=positions,
            rotations=rotations,
            scales=wp.array(scales.astype(np.float32), dtype=wp.vec3, device="cpu"),
            colours=wp.array(colours.astype(np.float32), dtype=wp.vec3, device="cpu"),
            materials=wp.array(np.tile(np.float32(material), (len(rows), 1)), dtype=wp.vec4, device="cpu"),
        )

    # per frame

    def _log(self, batches: Sequence[_Batch], places: np.ndarray, turns: np.ndarray) -> None:
        import warp as wp

        for batch in batches:
            turn = turns[batch.rows]
            transforms = np.concatenate(
                [places[batch.rows] + rotate(turn, batch.positions), multiply(turn, batch.rotations)], axis=1
            )
            log = self.viewer.log_capsules if batch.kind == "capsule" else self.viewer.log_instances
            log(
                batch.name,
                batch.mesh_path,
                wp.array(transforms.astype(np.float32), dtype=wp.transform, device="cpu"),
                batch.scales,
                None if batch.logged else batch.colours,  # uploaded once
                None if batch.logged else batch.materials,
            )
            batch.logged = True

    def _aim(self, root: np.ndarray, reference_root: np.ndarray | None) -> None:
        apart = np.zeros(3) if reference_root is None else reference_root - root
        apart[2] = 0.0
        wanted = root + 0.5 * apart * min(1.0, 3.0 / max(float(np.linalg.norm(apart)), 1e-6))
        wanted[2] = max(wanted[2], 0.0)  # the camera never goes under the ground
        first = self._target is None
        if first or np.linalg.norm(root - self._root_position) > TELEPORT:
            self._target = wanted
        else:
            self._target = self._target + self._follow * (wanted - self._target)
        self._root_position = root
        camera = self.viewer.camera
        if first:
            camera.pos = camera._as_vec3(self._target + self._first_offset(apart))
            camera.look_at(self._target)
        elif self.scene.camera_mode == "track":
            camera.follow(self._target)
        else:
            camera.look_at(self._target)
        # The shadow map is centred on the camera and must reach past the figures.
        self.viewer.renderer.shadow_extents = 1.4 * camera.pivot_distance + 2.0 * self.figure.radius

    def _first_offset(self, apart: np.ndarray) -> np.ndarray:
        """From the point looked at to the camera: a three-quarter view with both characters side by side."""
        distance = float(np.linalg.norm(apart))
        side = np.arctan2(-apart[0], apart[1]) if distance > 0.1 else -np.pi / 3.0
        azimuth = side + CAMERA_TURN
        half_height = np.tan(np.radians(FIELD_OF_VIEW) / 2.0)
        half_width = half_height * self.viewer.camera.width / self.viewer.camera.height
        reach = self.figure.radius
        length = max(1.25 * reach / half_height, (0.5 * distance + 1.55 * reach) / half_width)
        level = np.cos(CAMERA_PITCH)
        return length * np.array([level * np.cos(azimuth), level * np.sin(azimuth), np.sin(CAMERA_PITCH)])


def multiply(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Hamilton product a b of quaternions xyzw, (n, 4) each: turn by b, then by a."""
    av, aw, bv, bw = a[:, :3], a[:, 3:], b[:, :3], b[:, 3:]
    vector = aw * bv + bw * av + np.cross(av, bv)
    return np.concatenate([vector, aw * bw - np.sum(av * bv, axis=1, keepdims=True)], axis=1)


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Rotates vectors (n, 3) by unit quaternions xyzw (n, 4)."""
    twice = 2.0 * np.cross(q[:, :3], v)
    return v + q[:, 3:] * twice + np.cross(q[:, :3], twice)


def _checked(what: str, positions: Any, rotations: Any, count: int) -> tuple[np.ndarray, np.ndarray]:
    places = np.asarray(positions).astype(np.float64)  # a copy: the caller may reuse its buffers
    turns = np.asarray(rotations).astype(np.float64)
    if places.shape != (count, 3) or turns.shape != (count, 4):
        raise RenderError(
            f"Expected {count} {what} poses, shapes ({count}, 3) and ({count}, 4); got {places.shape}, {turns.shape}"
        )
    lengths = np.linalg.norm(turns, axis=1)
    if not (np.isfinite(places).all() and np.isfinite(turns).all()):
        raise RenderError(f"A {what} pose is not finite: the simulation diverged, and there is nothing to draw")
    worst = lengths[np.abs(lengths - 1.0).argmax()]
    if abs(worst - 1.0) > 0.05:
        raise RenderError(f"A {what} rotation is no unit quaternion: its length is {worst:.3f}")
    return places, turns / lengths[:, None]
