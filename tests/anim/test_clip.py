"""Clips: what loads, what is refused and with which words, and what is written."""

import os
import pickle
import pickletools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mimickit.anim import load_character
from mimickit.anim.char_model import CharModel, JointKind
from mimickit.anim.clip import Clip, LoopMode, check_clip, load_clip, save_clip
from mimickit.errors import InputError

FRAMES = np.linspace(-1.0, 2.0, 3 * 34).reshape(3, 34)
# Folder of the published motions, and the character they are for.
PUBLISHED = {
    "humanoid": "humanoid/humanoid.xml",
    "reallusion": "sword_shield/humanoid_sword_shield.xml",
    "smpl": "smpl/smpl.xml",
    "go2": "go2/go2.xml",
    "g1": "g1/g1.xml",
    "hightorque_pi_plus": "hightorque_pi_plus/pi_22dof.xml",
}


def content(**changes: Any) -> dict[str, Any]:
    return {"loop_mode": 1, "fps": 30, "frames": FRAMES.tolist(), **changes}


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in content().items() if name != key}


def write(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def as_float32_rows(frames: np.ndarray) -> list[np.ndarray]:
    return list(frames.astype(np.float32))


SPELLINGS: dict[str, Callable[[np.ndarray], Any]] = {
    "lists": lambda frames: frames.tolist(),
    "array": lambda frames: frames,
    "column-major array": np.asfortranarray,
    "float32 rows": as_float32_rows,
    "scalars": lambda frames: [list(row) for row in frames],
    "tensor": torch.tensor,
    "tensor rows": lambda frames: list(torch.tensor(frames)),
    "view of a tensor": lambda frames: torch.tensor(np.vstack([frames, frames]))[3:],
}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("spelling", list(SPELLINGS))
def test_frames_load_however_they_were_pickled(tmp_path: Path, spelling: str, protocol: int) -> None:
    clip = load_clip(write(tmp_path / "clip.pkl", content(frames=SPELLINGS[spelling](FRAMES)), protocol))
    np.testing.assert_allclose(clip.frames, FRAMES, atol=1e-7 if spelling == "float32 rows" else 0, rtol=0)
    assert clip.frames.dtype == np.float64
    assert (clip.loop_mode, clip.fps) == (LoopMode.WRAP, 30.0)
    assert clip.length == pytest.approx(2 / 30)


class Command:
    """Unpickling this runs a shell command."""

    def __init__(self, marker: Path):
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


class TensorBytes:
    """Unpickling this lets torch load ``data``."""

    def __init__(self, data: bytes):
        self.data = data

    def __reduce__(self) -> tuple[Any, ...]:
        return torch.storage._load_from_bytes, (self.data,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")  # torch remarks on what it then refuses
@pytest.mark.parametrize("place", ["instead of a clip", "a frame", "inside an array", "inside a tensor"])
def test_code_in_a_pickle_is_never_run(tmp_path: Path, place: str) -> None:
    marker = tmp_path / "executed"
    command = Command(marker)
    value = {
        "instead of a clip": lambda: command,
        "a frame": lambda: content(frames=[command]),
        "inside an array": lambda: content(frames=np.array([command], dtype=object)),
        "inside a tensor": lambda: content(frames=TensorBytes(pickle.dumps(command))),
    }[place]()
    path = write(tmp_path / "clip.pkl", value)
    named = "not a motion clip" if place == "inside a tensor" else r"the code '(posix|nt)\.system', which is not run"
    with pytest.raises(InputError, match=named):
        load_clip(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(command))
    assert marker.exists()  # the command does work, so the assertion above means something


@pytest.mark.parametrize("name", ["builtins.eval", "builtins.getattr", "torch.load", "numpy.load", "codecs.decode"])
def test_other_callables_are_refused(tmp_path: Path, name: str) -> None:
    module, attribute = name.rsplit(".", 1)
    path = tmp_path / "clip.pkl"
    path.write_bytes(f"c{module}\n{attribute}\n.".encode())
    with pytest.raises(InputError, match=f"names the code '{name}', which is not run"):
        load_clip(path)


@pytest.mark.parametrize("spelling", ["lists", "array", "tensor"])
def test_a_truncated_clip_is_refused_wherever_it_ends(tmp_path: Path, spelling: str) -> None:
    whole = pickle.dumps(content(frames=SPELLINGS[spelling](FRAMES)), protocol=4)
    path = tmp_path / "clip.pkl"
    for end in (0, 1, 2, 10, *range(20, len(whole), len(whole) // 40), len(whole) - 1):
        path.write_bytes(whole[:end])
        with pytest.raises(InputError, match=rf"clip.pkl: not a motion clip \({end} bytes, truncated"):
            load_clip(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_damaged_bytes_give_an_input_error_or_numbers(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    path = tmp_path / "clip.pkl"
    refused = 0
    for spelling in ("lists", "tensor"):
        whole = pickle.dumps(content(frames=SPELLINGS[spelling](FRAMES)), protocol=4)
        for _ in range(100):
            damaged = bytearray(whole)
            damaged[random.integers(min(400, len(whole)))] = random.integers(256)
            path.write_bytes(bytes(damaged))
            try:
                assert load_clip(path).frames.ndim == 2
            except InputError:
                refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1, 2], "holds a list, expected a dict of loop_mode, fps and frames"),
        (without("fps"), "lacks fps; it has loop_mode, frames"),
        (without("frames"), "lacks frames; it has loop_mode, fps"),
        ({"poses": 1}, "lacks loop_mode, fps, frames; it has poses"),
        (content(loop_mode=2), r"loop_mode is 2, expected 0 \(clamp\) or 1 \(wrap\)"),
        (content(loop_mode="wrap"), "loop_mode is 'wrap', expected 0"),
        (content(loop_mode=0.7), "loop_mode is 0.7, expected 0"),
        (content(loop_mode=float("inf")), "loop_mode is inf, expected 0"),
        (content(loop_mode=[1]), r"loop_mode is \[1\], expected 0"),
        (content(fps=0), "fps is 0.0, expected a positive number"),
        (content(fps=-30), "fps is -30.0, expected a positive number"),
        (content(fps=float("nan")), "fps is nan, expected a positive number"),
        (content(fps="fast"), "fps is 'fast', expected a number"),
        (content(fps=None), "fps is None, expected a number"),
        (content(frames=[[0.0] * 34, [0.0] * 33]), "not a table of numbers; every frame needs the same count"),
        (content(frames=[["a"] * 34] * 2), "not a table of numbers"),
        (content(frames=[[0.0] * 34]), r"frames has the shape \(1, 34\), expected at least 2 frames"),
        (content(frames=[0.0] * 34), r"frames has the shape \(34,\), expected at least 2 frames"),
        (content(frames=[]), r"frames has the shape \(0,\), expected at least 2 frames"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, value: Any, message: str) -> None:
    path = write(tmp_path / "clip.pkl", value)
    with pytest.raises(InputError, match=message) as caught:
        load_clip(path)
    assert str(path) in str(caught.value)


def test_missing_files_and_folders_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="absent.pkl: no such motion clip; `nox -s data` builds the open clips"):
        load_clip(tmp_path / "absent.pkl")
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        load_clip(tmp_path)


def clip_with(column: int | slice, rows: int | slice, value: float, columns: int = 34) -> Clip:
    frames = np.zeros((5, columns))
    frames[rows, column] = value
    return Clip("a clip", LoopMode.CLAMP, 30.0, frames)


NAN, INF, EVERY = float("nan"), float("inf"), slice(None)
NECK = slice(9, 12)  # the second spherical joint


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        (clip_with(0, 0, 0.0, columns=33), r"frames have 33 numbers \(27 DoFs\).*needs 34 \(6 \+ 28 DoFs\); is the"),
        (clip_with(0, 0, 0.0, columns=35), r"frames have 35 numbers \(29 DoFs\).*needs 34"),
        (clip_with(1, EVERY, NAN), r"5 numbers are not finite; the first is frame 0, 'root y' \(column 1\) = nan"),
        (clip_with(4, 3, NAN), r"1 numbers are not finite; the first is frame 3, 'root rotation y' \(column 4\)"),
        (clip_with(NECK, 2, NAN), r"3 numbers are not finite; the first is frame 2, 'neck_x' \(column 9\) = nan"),
        (clip_with(NECK, slice(1, None), NAN), "12 numbers are not finite; the first is frame 1, 'neck_x'"),
        (clip_with(slice(9, 11), EVERY, NAN), "10 numbers are not finite; the first is frame 0, 'neck_x'"),
        (clip_with(slice(10, 13), EVERY, NAN), "15 numbers are not finite; the first is frame 0, 'neck_y'"),
        (clip_with(NECK, EVERY, INF), "15 numbers are not finite; the first is frame 0, 'neck_x'.*= inf"),
        (clip_with(15, EVERY, NAN), "5 numbers are not finite; the first is frame 0, 'right_elbow'"),
        (clip_with(33, 4, -INF), "1 numbers are not finite; the first is frame 4, 'left_ankle_z'.*= -inf"),
    ],
)
def test_a_clip_must_fit_its_character_and_be_finite(humanoid_model: CharModel, clip: Clip, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        check_clip(clip, humanoid_model)
    assert str(caught.value).startswith("a clip: ")


def test_a_joint_that_is_nan_throughout_is_the_identity_with_a_warning(humanoid_model: CharModel) -> None:
    clip = clip_with(NECK, EVERY, NAN)
    clip.frames[:, 2] = 0.9
    before = clip.frames.copy()
    with pytest.warns(UserWarning, match="joint 'head' is NaN in all 5 frames, read as the identity rotation"):
        checked = check_clip(clip, humanoid_model)
    expected = np.zeros((5, 34))
    expected[:, 2] = 0.9
    np.testing.assert_array_equal(checked.frames, expected)
    np.testing.assert_array_equal(clip.frames, before)  # the caller's clip stays as it was


def test_a_sound_clip_passes_unchanged_and_unwarned(humanoid_model: CharModel) -> None:
    clip = Clip("a clip", LoopMode.WRAP, 60.0, FRAMES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_clip(clip, humanoid_model) is clip


def test_a_saved_clip_comes_back_and_is_always_the_same_bytes(tmp_path: Path) -> None:
    clip = Clip("a clip", LoopMode.WRAP, 60.0, np.random.default_rng(2).normal(size=(4, 34)))
    first, second = tmp_path / "new" / "folder" / "a.pkl", tmp_path / "b.pkl"
    save_clip(first, clip)
    back = load_clip(first)
    np.testing.assert_array_equal(back.frames, clip.frames)
    assert (back.loop_mode, back.fps, back.name) == (LoopMode.WRAP, 60.0, str(first))
    save_clip(second, Clip("another name", LoopMode.WRAP, 60.0, np.asfortranarray(clip.frames)))
    assert first.read_bytes() == second.read_bytes()
    save_clip(second, back)
    assert first.read_bytes() == second.read_bytes()
    names_code = {"GLOBAL", "STACK_GLOBAL", "REDUCE", "INST", "OBJ"}
    assert not names_code & {opcode.name for opcode, _, _ in pickletools.genops(first.read_bytes())}
    assert pickle.loads(first.read_bytes()) == {"loop_mode": 1, "fps": 60.0, "frames": clip.frames.tolist()}


def test_a_failed_save_leaves_the_old_clip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clip.pkl"
    save_clip(path, Clip("old", LoopMode.CLAMP, 30.0, FRAMES))
    before = path.read_bytes()

    def full(source: object, target: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="disk full"):
        save_clip(path, Clip("new", LoopMode.CLAMP, 30.0, FRAMES + 1))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("folder", list(PUBLISHED))
def test_every_published_clip_loads_for_its_character(published: Path, folder: str) -> None:
    model = load_character(published / "assets" / PUBLISHED[folder])
    paths = sorted((published / "motions" / folder).glob("*.pkl"))
    assert paths
    for path in paths:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            clip = check_clip(load_clip(path), model)
        assert np.isfinite(clip.frames).all()
        assert clip.frames.shape[1] == 6 + model.num_dofs
        assert 0.1 < clip.length < 600.0
        warned = [str(warning.message).split(": ", 1)[1] for warning in caught]
        neck = [f"joint 'head' is NaN in all {len(clip.frames)} frames, read as the identity rotation"]
        assert warned == (neck if path.name == "humanoid_walk.pkl" else [])
        # A hinge's angle is read back from a rotation, so it must stay within half a turn.
        for joint, start in zip(model.joints, model.dof_starts, strict=True):
            assert joint.kind is not JointKind.HINGE or np.abs(clip.frames[:, 6 + start]).max() < np.pi


def test_a_published_clip_pickles_a_tensor(published: Path) -> None:
    path = published / "motions" / "humanoid" / "humanoid_double_kong.pkl"
    assert b"torch" in path.read_bytes()
    clip = load_clip(path)
    assert clip.frames.shape[1] == 34
    assert np.isfinite(clip.frames).all()
