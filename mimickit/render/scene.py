"""What a picture shows: the character, its reference, props, and how the camera behaves."""

from dataclasses import dataclass
from pathlib import Path

CAMERA_MODES = ("track", "still")


@dataclass(frozen=True)
class PropSpec:
    """A rigid object beside the character.

    Attributes:
        asset_file: MJCF file; all its geometry moves with its first body.
        position: world position of the first body when ``draw`` is given no prop poses, metres.
        rotation: its world rotation, quaternion xyzw.
        colour: red, green and blue, 0 to 1; None is the stage's colour of props.
    """

    asset_file: Path
    position: tuple[float, float, float] = (0.0, 0.0, 0.0)
    rotation: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 1.0)
    colour: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class SceneSpec:
    """One simulated character and what stands around it. The world is z up, the ground is the plane z = 0.

    Attributes:
        char_file: MJCF or URDF file whose geometry is drawn.
        body_names: the order in which body poses will be given. A name may be a path (``humanoid/pelvis``); then its
            last component is looked up.
        show_reference: a second, differently coloured character is drawn at the reference poses.
        props: rigid objects.
        markers: signs, drawn like props, whose poses follow the props'. They are too thin to hide the character.
        character_label: what the legend of a contact sheet calls the character.
        camera_mode: ``track`` moves the camera with the root; ``still`` keeps its place and only turns it.
    """

    char_file: Path
    body_names: tuple[str, ...]
    show_reference: bool
    props: tuple[PropSpec, ...] = ()
    markers: tuple[PropSpec, ...] = ()
    camera_mode: str = "track"
    character_label: str = "simulated"

    def __post_init__(self) -> None:
        if self.camera_mode not in CAMERA_MODES:
            raise ValueError(f"camera_mode must be one of {', '.join(CAMERA_MODES)}, not {self.camera_mode!r}")
        if len(set(self.body_names)) != len(self.body_names):
            raise ValueError("body_names names a body twice")
