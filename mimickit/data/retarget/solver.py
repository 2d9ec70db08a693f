"""Inverse kinematics over time: poses of a character that meet goals, within its joint limits."""

from collections.abc import Mapping, Sequence

import mink
import mujoco
import numpy as np
import qpsolvers

from mimickit.data.boxes import Box
from mimickit.data.motion import Motion
from mimickit.data.quaternions import unit_and_continuous
from mimickit.data.retarget.contacts import smoothed
from mimickit.data.retarget.goals import Goals
from mimickit.data.retarget.hinges import best_angles, hinge_rows
from mimickit.data.retarget.outside import OutsideLimit
from mimickit.data.retarget.rig import Rig
from mimickit.data.retarget.rotations import unit
from mimickit.data.retarget.skeletons import LIMBS, REST_DIRECTIONS, SEGMENTS, SIDES
from mimickit.errors import InputError

# weights of the goals; metres weigh as radians do
_HIPS, _SOLE, _HAND = 1.5, 8.0, 8.0
_TURNS = {"pelvis": 0.6, "chest": 0.5, "head": 0.3, "thigh": 0.3, "shin": 0.3, "foot": 0.3} | {
    "upper_arm": 0.5,
    "forearm": 0.5,
    "hand": 0.15,
}
_TWIST = 0.25  # of a limb about itself, relative to its direction
_STILL = 0.02  # towards the zero pose
_DAMPING = 1e-4  # towards the pose of the step before
_LOYALTY = 0.05  # towards the pose that a frame starts from
_REFINED_LOYALTY = 0.1  # the same, when it is of a smoothed course
_ROW_LOYALTY = 0.25  # the same, of hinges in a row
_FIRST_STEPS, _STEPS = 80, 2
# limits come and go with every step: undamped, poses would swing to and fro
_DAMPING_AMONG_BOXES, _STEPS_AMONG_BOXES = 1.0, 4
_SMOOTHING = 4.0  # frames
_BALL = "_ball"  # ends the names of joints that stand for three hinges
_LARGEST_ANGLE = 3.1  # of a ball joint: its coordinates are not unique from pi on


class _BallLimit(mink.Limit):
    """Keeps each component of ball joints' exponential maps, which a clip's frames hold, between bounds."""

    def __init__(self, model: mujoco.MjModel, bounds: Mapping[str, np.ndarray]) -> None:
        joints = [model.joint(f"{body}{_BALL}").id for body in bounds]
        self._qpos = model.jnt_qposadr[joints][:, None] + np.arange(4)
        dofs = model.jnt_dofadr[joints][:, None] + np.arange(3)
        self._lower, self._upper = np.moveaxis(np.array(list(bounds.values())), 2, 0)
        count = len(joints)
        self._rows = np.zeros((7 * count, model.nv))
        row = np.arange(count)[:, None, None]
        self._above = (3 * row + np.arange(3)[:, None], dofs[:, None, :])
        self._below = (3 * count + self._above[0], self._above[1])
        self._angle = (6 * count + row[:, :, 0], dofs)

    def compute_qp_inequalities(self, configuration: mink.Configuration, dt: float) -> mink.Constraint:
        """Bounds on the next step, to first order."""
        phi, slope = _exponential_maps(configuration.q[self._qpos])
        angle = np.linalg.norm(phi, axis=1)
        self._rows[self._above] = slope
        self._rows[self._below] = -slope
        self._rows[self._angle] = unit(phi)
        room = [self._upper - phi, phi - self._lower, _LARGEST_ANGLE - angle]
        return mink.Constraint(G=self._rows, h=np.concatenate([part.ravel() for part in room]))


def _exponential_maps(wxyz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Exponential maps (J, 3) of rotations (J, 4), and their changes (J, 3, 3) per turn about the rotated axes."""
    sine = np.linalg.norm(wxyz[:, 1:], axis=1)
    half = np.arctan2(sine, wxyz[:, 0])
    axis = unit(wxyz[:, 1:])
    cross = np.zeros((len(wxyz), 3, 3))
    cross[:, (2, 0, 1), (1, 2, 0)] = axis
    cross[:, (1, 2, 0), (2, 0, 1)] = -axis
    small = half < 1e-6
    bend = np.where(small, 0.0, 1.0 - half / np.tan(np.where(small, 1.0, half)))
    slope = np.eye(3) + half[:, None, None] * cross + bend[:, None, None] * (cross @ cross)
    return 2.0 * half[:, None] * axis, slope


def _model(rig: Rig) -> tuple[mujoco.MjModel, dict[str, np.ndarray]]:
    """The character with ball joints for its triples of hinges, and a site for every goal.

    Also, by body, the bounds (3, 2) of the ball joints.
    """
    spec = mujoco.MjSpec.from_file(rig.character.source)
    for element in (*spec.actuators, *spec.sensors):  # they name joints that are about to go
        spec.delete(element)
    bounds: dict[str, np.ndarray] = {}
    for body in rig.character.bodies:
        part = spec.body(body.name)
        if body.joint is not None and body.joint.axis is None:
            bounds[body.name] = body.joint.limits
            for joint in list(part.joints):
                spec.delete(joint)
            part.add_joint(
                name=f"{body.name}{_BALL}", type=mujoco.mjtJoint.mjJNT_BALL, limited=mujoco.mjtLimited.mjLIMITED_FALSE
            )
    for segment in SEGMENTS:
        x, y, z, w = rig.frames[segment]
        spec.body(rig.skeleton.segments[segment]).add_site(name=f"turn_{segment}", quat=[w, x, y, z])
    root = rig.character.bodies[0].name
    middle = 0.5 * (rig.rest_points["left_hip"] + rig.rest_points["right_hip"])
    spec.body(root).add_site(name="place_hips", pos=middle)
    for point in (f"{side}_{name}" for side in SIDES for name in ("heel", "toe", "hand")):
        body_name, offset = rig.skeleton.points[point]
        spec.body(body_name).add_site(name=f"place_{point}", pos=offset)
    model = spec.compile()
    for body_name, span in rig.skeleton.limits.items():
        model.jnt_range[model.body(body_name).jntadr[0]] = span
    return model, bounds


class _Tasks:
    """One character, and what its poses are asked for."""

    def __init__(self, rig: Rig, boxes: Sequence[Box]) -> None:
        self.model, bounds = _model(rig)
        self.rig = rig
        self.configuration = mink.Configuration(self.model)
        self.turns = {segment: self._turn_task(segment) for segment in SEGMENTS}
        self.places = {
            "hips": _place_task("hips", _HIPS),
            **{f"{side}_{point}": _place_task(f"{side}_{point}", _SOLE) for side in SIDES for point in ("heel", "toe")},
            **{f"{side}_hand": _place_task(f"{side}_hand", 0.0) for side in SIDES},
        }
        self.posture = mink.PostureTask(self.model, cost=self._posture_costs())
        zero = self.model.qpos0.copy()
        self.lower, self.upper = _hinge_bounds(self.model)
        self.posture.set_target(np.clip(zero, self.lower, self.upper))
        self.near = mink.PostureTask(self.model, cost=0.0)
        self.tasks = [*self.turns.values(), *self.places.values(), self.posture, self.near]
        self.limits: list[mink.Limit] = [mink.ConfigurationLimit(self.model, gain=1.0)]
        if bounds:
            self.limits.append(_BallLimit(self.model, bounds))
        self.limits_among_boxes = self.limits
        self.damping, self.steps = _DAMPING, _STEPS
        if boxes:
            self.limits_among_boxes = [*self.limits, OutsideLimit(self.model, rig.character, boxes)]
            self.damping, self.steps = _DAMPING_AMONG_BOXES, _STEPS_AMONG_BOXES

    def _turn_task(self, segment: str) -> mink.FrameTask:
        kind = segment.removeprefix("left_").removeprefix("right_")
        cost = np.full(3, _TURNS[kind])
        if segment in LIMBS:
            cost[np.abs(REST_DIRECTIONS[segment]) > 0.5] *= _TWIST
        if kind == "hand" and not self.rig.skeleton.wrists:
            cost[:] = 0.0
        return mink.FrameTask(f"turn_{segment}", "site", position_cost=0.0, orientation_cost=cost)

    def _posture_costs(self) -> np.ndarray:
        costs = np.zeros(self.model.nv)
        for dof in range(6, self.model.nv):
            body = self.model.body(self.model.dof_bodyid[dof]).name
            costs[dof] = self.rig.skeleton.stiff.get(body, _STILL)
        return costs

    def column(self, body: str) -> int:
        """Where the joint of ``body`` begins in MuJoCo's qpos."""
        return int(self.model.jnt_qposadr[self.model.body(body).jntadr[0]])

    def dof(self, body: str) -> int:
        """The first degree of freedom of the joint of ``body``."""
        return int(self.model.body(body).dofadr[0])

    def joint_weights(self, weight: float) -> np.ndarray:
        """One weight (nv,) for all joints, none for the root."""
        return np.where(np.arange(self.model.nv) < 6, 0.0, weight)

    def start(self, goals: Goals, frame: int) -> np.ndarray:
        """The pose (qpos) of a frame that nothing is known of, found from the zero pose as if there were no boxes."""
        q = np.clip(self.model.qpos0, self.lower, self.upper)
        x, y, z, w = goals.rotations["pelvis"][frame]
        q[3:7] = w, x, y, z
        q[:3] = goals.hips[frame]
        return self._stepped(q, goals, frame, _FIRST_STEPS, self.joint_weights(0.0), self.limits)

    def improved(self, pose: np.ndarray, goals: Goals, frame: int, steps: int, loyalty: np.ndarray) -> np.ndarray:
        """``pose`` (qpos) after ``steps`` towards the goals of ``frame``, held where it was by ``loyalty`` (nv,)."""
        return self._stepped(pose, goals, frame, steps, loyalty, self.limits_among_boxes)

    def _stepped(
        self, pose: np.ndarray, goals: Goals, frame: int, steps: int, loyalty: np.ndarray, limits: Sequence[mink.Limit]
    ) -> np.ndarray:
        self.configuration.update(pose)
        for segment, task in self.turns.items():
            x, y, z, w = goals.rotations[segment][frame]
            task.set_target(mink.SE3.from_rotation(mink.SO3(np.array([w, x, y, z]))))
        spots = {"hips": goals.hips, **goals.soles, **goals.hands}
        for name, task in self.places.items():
            task.set_target(mink.SE3.from_translation(spots[name][frame]))
        for name, weight in goals.hand_weights.items():
            self.places[name].set_position_cost(_HAND * weight[frame])
        self.near.set_target(pose)
        self.near.set_cost(loyalty)
        for _ in range(steps):
            problem = mink.build_ik(self.configuration, self.tasks, 1.0, damping=self.damping, limits=limits)
            solution = qpsolvers.solve_problem(problem, solver="daqp")
            if not solution.found or solution.x is None:
                raise InputError(f"no pose of {self.rig.name} meets the motion in frame {frame}")
            q = self.configuration.integrate(solution.x, 1.0)
            self.configuration.update(np.clip(q, self.lower, self.upper))
        return self.configuration.q.copy()


def _place_task(point: str, cost: float) -> mink.FrameTask:
    return mink.FrameTask(f"place_{point}", "site", position_cost=cost, orientation_cost=0.0)


def _hinge_bounds(model: mujoco.MjModel) -> tuple[np.ndarray, np.ndarray]:
    lower, upper = np.full(model.nq, -np.inf), np.full(model.nq, np.inf)
    for joint in range(model.njnt):
        if model.jnt_type[joint] == mujoco.mjtJoint.mjJNT_HINGE and model.jnt_limited[joint]:
            lower[model.jnt_qposadr[joint]], upper[model.jnt_qposadr[joint]] = model.jnt_range[joint]
    return lower, upper


class PoseSolver:
    """Poses of one character over time, outside of boxes."""

    def __init__(self, rig: Rig, boxes: Sequence[Box]) -> None:
        self._rig = rig
        self._tasks = _Tasks(rig, boxes)

    def followed(self, goals: Goals) -> np.ndarray:
        """Poses (N, nq) that meet the goals frame by frame, each from the pose of the one before."""
        angles = best_angles(self._rig, goals.rotations)
        known = {self._tasks.column(body): track for body, track in angles.items()}
        poses: list[np.ndarray] = []
        for frame in range(len(goals.hips)):
            pose = poses[-1].copy() if poses else self._tasks.start(goals, 0)
            for column, track in known.items():
                pose[column] = track[frame]
            steps, loyalty = (self._tasks.steps, _LOYALTY) if poses else (_FIRST_STEPS, 0.0)
            poses.append(self._tasks.improved(pose, goals, frame, steps, self._tasks.joint_weights(loyalty)))
        return np.array(poses)

    def refined(self, poses: np.ndarray, goals: Goals) -> np.ndarray:
        """Poses (N, nq) that meet the goals near a smoothed course of ``poses``.

        Where hinges in a row line up, they may have to turn fast against each other; the smoothed course sees that
        coming.
        """
        course = self._smoothed(poses)
        loyalty = self._tasks.joint_weights(_REFINED_LOYALTY)
        for body in hinge_rows(self._rig):
            loyalty[self._tasks.dof(body)] = _ROW_LOYALTY
        result = []
        for frame, pose in enumerate(course):
            result.append(self._tasks.improved(pose, goals, frame, self._tasks.steps, loyalty))
        return np.array(result)

    def _smoothed(self, poses: np.ndarray) -> np.ndarray:
        """Joints averaged over neighbouring frames, the root's place and turn as they are."""
        model = self._tasks.model
        course = poses.copy()
        course[:, 7:] = smoothed(poses[:, 7:], _SMOOTHING)
        for joint in np.flatnonzero(model.jnt_type == mujoco.mjtJoint.mjJNT_BALL):
            quaternion = slice(model.jnt_qposadr[joint], model.jnt_qposadr[joint] + 4)
            course[:, quaternion] = smoothed(unit_and_continuous(poses[:, quaternion], "ball joint"), _SMOOTHING)
            course[:, quaternion] /= np.linalg.norm(course[:, quaternion], axis=1, keepdims=True)
        return course

    def motion(self, poses: np.ndarray, times: np.ndarray, wrap: bool) -> Motion:
        """The poses (N, nq) as a motion of the character."""
        return _motion(self._rig, self._tasks.model, poses, times, wrap)


def _motion(rig: Rig, model: mujoco.MjModel, poses: np.ndarray, times: np.ndarray, wrap: bool) -> Motion:
    joints: dict[str, np.ndarray] = {}
    for body in rig.character.bodies:
        if body.joint is not None:
            column = int(model.jnt_qposadr[model.body(body.name).jntadr[0]])
            if body.joint.axis is None:
                wxyz = poses[:, column : column + 4]
                joints[body.name] = unit_and_continuous(wxyz[:, [1, 2, 3, 0]], f"{rig.name}, joint {body.name}")
            else:
                joints[body.name] = poses[:, column].copy()
    root_rot = unit_and_continuous(poses[:, [4, 5, 6, 3]], f"{rig.name}, root")
    return Motion(times, poses[:, :3].copy(), root_rot, joints, wrap)
