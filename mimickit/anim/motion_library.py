"""A weighted set of clips on one device, sampled at any time without a Python loop over environments."""

import math
from dataclasses import dataclass
from pathlib import Path

import torch
import yaml
from torch import Tensor

from mimickit.anim.char_model import Kinematics
from mimickit.anim.clip import Clip, LoopMode, check_clip, load_clip
from mimickit.anim.rotations import quat_conjugate, quat_from_exp_map, quat_mul, quat_to_exp_map, slerp
from mimickit.errors import InputError, MissingDataError


@dataclass(frozen=True)
class MotionFrame:
    """Reference state at some times; leading dimensions ``(...)`` are those of the query.

    ``root_pos (..., 3)`` m, ``root_rot (..., 4)`` xyzw, ``root_vel (..., 3)`` m/s and ``root_ang_vel (..., 3)`` rad/s
    in the world frame, ``joint_rot (..., J, 4)``, ``dof_vel (..., D)`` rad/s.
    """

    root_pos: Tensor
    root_rot: Tensor
    root_vel: Tensor
    root_ang_vel: Tensor
    joint_rot: Tensor
    dof_vel: Tensor


def read_motion_list(path: Path | str) -> list[tuple[Path, float]]:
    """Clips and weights of a ``motion_file``: a ``.pkl`` clip, or a ``.yaml`` dataset ``motions: [{file, weight}]``."""
    path = Path(path)
    if path.suffix == ".pkl":
        return [(path, 1.0)]
    if path.suffix not in (".yaml", ".yml"):
        raise InputError(f"{path}: a motion file is a .pkl clip or a .yaml dataset, not '{path.suffix}'")
    try:
        content = yaml.safe_load(path.read_text())
    except FileNotFoundError:
        raise MissingDataError(f"{path}: no such motion dataset") from None
    except OSError as error:
        raise InputError(f"{path}: the motion dataset cannot be read: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as YAML: {error}") from None
    unknown = sorted(map(str, set(content) - {"motions"})) if isinstance(content, dict) else []
    if unknown:
        raise InputError(f"{path}: unknown key '{unknown[0]}'; a motion dataset has the key 'motions' alone")
    entries = content.get("motions") if isinstance(content, dict) else None
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: expected 'motions:' with a list of {{file, weight}}")
    motions = []
    for number, entry in enumerate(entries, start=1):
        if not isinstance(entry, dict) or set(entry) != {"file", "weight"}:
            raise InputError(f"{path}: motion {number} is {entry!r}, expected the keys file and weight")
        if not isinstance(entry["file"], str):
            raise InputError(f"{path}: motion {number} has the file {entry['file']!r}, expected the path of a clip")
        weight = entry["weight"]
        if (
            isinstance(weight, bool)
            or not isinstance(weight, int | float)
            or not (math.isfinite(weight) and weight >= 0.0)
        ):
            raise InputError(f"{path}: motion {number} has the weight {weight!r}, expected a number of 0 or more")
        motions.append((Path(entry["file"]), float(weight)))
    if sum(weight for _, weight in motions) <= 0.0:
        raise InputError(f"{path}: all weights are zero, so no motion could be drawn")
    return motions


def share_of_process(count: int, rank: int, num_processes: int) -> range:
    """Indices of the clips that process ``rank`` of ``num_processes`` trains on: all of them while there are fewer
    clips than processes, else ``round(rank * count / num_processes)`` up to the next process's first."""
    if count < num_processes:
        return range(count)
    return range(round(rank * count / num_processes), round((rank + 1) * count / num_processes))


class MotionLibrary:
    """All frames of all clips in flat tensors; queries take clip indices and times of any one shape."""

    def __init__(self, clips: list[Clip], weights: list[float], kinematics: Kinematics, device: torch.device | str):
        self.kinematics = kinematics
        self.names = tuple(clip.name for clip in clips)
        frames = [torch.tensor(check_clip(clip, kinematics.model).frames, dtype=torch.float64) for clip in clips]
        double = Kinematics(kinematics.model, "cpu", torch.float64)
        root_pos, rotations, velocities, loop_offset = [], [], [], []
        for clip, frame in zip(clips, frames, strict=True):
            dt = 1.0 / clip.fps
            pos, rot, joints = frame[:, :3], quat_from_exp_map(frame[:, 3:6]), double.dof_to_rot(frame[:, 6:])
            root_pos.append(pos)
            rotations.append(torch.cat((rot.unsqueeze(1), joints), dim=1))
            # Forward differences; the last frame repeats the one before it.
            velocity = (
                (pos[1:] - pos[:-1]) / dt,
                quat_to_exp_map(quat_mul(rot[1:], quat_conjugate(rot[:-1]))) / dt,
                double.dof_velocity(joints[:-1], joints[1:], dt),
            )
            velocities.append(_repeat_last(torch.cat(velocity, dim=-1)))
            offset = pos[-1] - pos[0]
            offset[2] = 0.0
            loop_offset.append(offset if clip.loop_mode is LoopMode.WRAP else torch.zeros_like(offset))

        def flat(parts: list[Tensor]) -> Tensor:
            return torch.cat(parts).to(device=device, dtype=torch.float32)

        # Root and joints share one table of rotations (F, 1 + J, 4), all velocities one of (F, 6 + D).
        self._root_pos, self._rotations, self._velocities = flat(root_pos), flat(rotations), flat(velocities)
        self._loop_offset = torch.stack(loop_offset).to(device=device, dtype=torch.float32)
        counts = torch.tensor([len(frame) for frame in frames])
        self._num_frames = counts.to(device)
        self._start = (torch.cumsum(counts, 0) - counts).to(device)
        self.lengths = torch.tensor([clip.length for clip in clips], dtype=torch.float32, device=device)
        self.wraps = torch.tensor([clip.loop_mode is LoopMode.WRAP for clip in clips], device=device)
        self._weights = torch.tensor(weights, dtype=torch.float32, device=device)

    @classmethod
    def load(
        cls,
        motion_file: Path | str,
        kinematics: Kinematics,
        device: torch.device | str,
        rank: int = 0,
        num_processes: int = 1,
    ) -> "MotionLibrary":
        """Read a clip or a dataset, and keep this process's share of it."""
        motions = read_motion_list(motion_file)
        share = share_of_process(len(motions), rank, num_processes)
        motions = [motions[i] for i in share]
        if sum(weight for _, weight in motions) <= 0.0:
            raise InputError(f"{motion_file}: all clips of process {rank} have weight 0; reorder the dataset")
        return cls([load_clip(path) for path, _ in motions], [weight for _, weight in motions], kinematics, device)

    @property
    def num_motions(self) -> int:
        return len(self.names)

    def sample_ids(self, count: int, generator: torch.Generator) -> Tensor:
        """Clip indices ``(count,)``, drawn in proportion to weight."""
        if self.num_motions == 1:
            return torch.zeros(count, dtype=torch.long, device=self._weights.device)
        return torch.multinomial(self._weights, count, replacement=True, generator=generator)

    def sample_times(self, ids: Tensor, generator: torch.Generator) -> Tensor:
        """Start times (s), uniform over each clip."""
        phase = torch.rand(ids.shape, device=ids.device, generator=generator)
        return phase * self.lengths[ids]

    def phase(self, ids: Tensor, times: Tensor) -> Tensor:
        """Fraction of the clip passed at ``times``: wrapped to [0, 1) or clamped to [0, 1]."""
        phase = times / self.lengths[ids]
        return torch.where(self.wraps[ids], phase - torch.floor(phase), phase.clamp(0.0, 1.0))

    def sample(self, ids: Tensor, times: Tensor) -> MotionFrame:
        """Reference state of clips ``ids`` at ``times`` seconds; both of one shape ``(...)``.

        Positions blend linearly and rotations by slerp between neighbouring frames; velocities are the lower frame's.
        A wrapping clip moves on by its horizontal travel at each turn.
        """
        lengths = self.lengths[ids]
        phase = self.phase(ids, times)
        last = self._num_frames[ids] - 1
        position = phase * last
        lower = torch.minimum(position.long(), last)
        upper = torch.minimum(lower + 1, last)
        blend = (position - lower).unsqueeze(-1)
        lower, upper = lower + self._start[ids], upper + self._start[ids]

        root_pos = torch.lerp(self._root_pos[lower], self._root_pos[upper], blend)
        turns = torch.floor(times / lengths).unsqueeze(-1)
        root_pos = root_pos + turns * self._loop_offset[ids]
        rotations = slerp(self._rotations[lower], self._rotations[upper], blend.unsqueeze(-1))
        velocities = self._velocities[lower]
        return MotionFrame(
            root_pos=root_pos,
            root_rot=rotations[..., 0, :],
            root_vel=velocities[..., :3],
            root_ang_vel=velocities[..., 3:6],
            joint_rot=rotations[..., 1:, :],
            dof_vel=velocities[..., 6:],
        )


def _repeat_last(values: Tensor) -> Tensor:
    return torch.cat((values, values[-1:]))
