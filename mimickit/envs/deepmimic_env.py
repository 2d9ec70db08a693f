"""Motion imitation: follow a reference clip (DeepMimic, Peng 2018)."""

import torch
from torch import Tensor

from mimickit.anim.motion_library import MotionFrame
from mimickit.config.engine_config import EngineConfig
from mimickit.config.env_config import DeepMimicEnvConfig
from mimickit.envs.char_env import ALL, Rows, Share
from mimickit.envs.motion_env import MotionEnv
from mimickit.envs.observations import phase_observation, target_observation, target_observation_size
from mimickit.envs.rewards import TrackingState, imitation_reward, tracking_energies
from mimickit.envs.terminations import has_fallen, has_strayed
from mimickit.envs.tracking_error import ERROR_NAMES, ErrorMeter, tracking_errors
from mimickit.errors import InputError


class DeepMimicEnv(MotionEnv):
    """The reference runs beside the character; reward, targets and failure compare the two.

    The global root is tracked exactly when ``enable_tar_obs`` and ``global_obs`` are both on.
    """

    config: DeepMimicEnvConfig
    has_reference = True

    def __init__(self, config: DeepMimicEnvConfig, engine_config: EngineConfig, share: Share):
        super().__init__(config, engine_config, share)
        device = share.device
        self.track_root = config.enable_tar_obs and config.global_obs
        self._joint_w = self._joint_weights()
        self._dof_w = self._weights_of_dofs(self._joint_w)
        terms = ("pose", "vel", "root_pose", "root_vel", "key_pos")
        self._reward_w = torch.tensor([getattr(config, f"reward_{term}_w") for term in terms], device=device)
        self._reward_scale = torch.tensor([getattr(config, f"reward_{term}_scale") for term in terms], device=device)
        # The reference is sampled once a step: now, and at every target the policy sees.
        steps = (0, *config.tar_obs_steps) if config.enable_tar_obs else (0,)
        self._sample_offsets = torch.tensor(steps, device=device) * self.control_dt
        self._allocate_reference(len(steps))
        self._errors = ErrorMeter(len(ERROR_NAMES), device)
        if config.log_tracking_error:
            self.diagnostics = ERROR_NAMES

    def _allocate_reference(self, num_samples: int) -> None:
        """Buffers ``(N, S, ...)`` of the sampled reference; ``reference`` and ``ref_body_*`` are views of the first."""
        num_envs, model = self.num_envs, self.char_model

        def buffer(*shape: int) -> Tensor:
            return torch.zeros(num_envs, num_samples, *shape, device=self.device)

        self._window = MotionFrame(
            root_pos=buffer(3),
            root_rot=buffer(4),
            root_vel=buffer(3),
            root_ang_vel=buffer(3),
            joint_rot=buffer(model.num_joints, 4),
            dof_vel=buffer(model.num_dofs),
        )
        self._window_body_pos, self._window_body_rot = buffer(model.num_bodies, 3), buffer(model.num_bodies, 4)
        self.reference = MotionFrame(**{name: tensor[:, 0] for name, tensor in vars(self._window).items()})
        self.ref_body_pos, self.ref_body_rot = self._window_body_pos[:, 0], self._window_body_rot[:, 0]

    def _joint_weights(self) -> Tensor:
        num_joints = self.char_model.num_joints
        weights = self.config.joint_err_w
        if weights is None:
            return torch.ones(num_joints, device=self.device)
        if len(weights) != num_joints:
            names = ", ".join(self.char_model.body_names[1:])
            raise InputError(
                f"joint_err_w has {len(weights)} weights, but {self.config.char_file} has {num_joints} joints after "
                f"the root: {names}"
            )
        return torch.tensor(weights, device=self.device)

    def _weights_of_dofs(self, joint_w: Tensor) -> Tensor:
        counts = torch.tensor([joint.dof_dim for joint in self.char_model.joints[1:]], device=self.device)
        return torch.repeat_interleave(joint_w, counts)

    @property
    def obs_size(self) -> int:
        config, size = self.config, super().obs_size
        if config.enable_phase_obs:
            size += 1 + 2 * config.num_phase_encoding
        if config.enable_tar_obs:
            size += target_observation_size(
                self.char_model.num_joints, len(config.key_bodies), config.tar_obs_steps, config.root_height_obs
            )
        return size

    def update_reference(self, rows: Rows = ALL) -> None:
        times = self.motion_time[rows].unsqueeze(-1) + self._sample_offsets
        window = self.motions.sample(self.motion_ids[rows].unsqueeze(-1).expand_as(times), times)
        body_pos, body_rot = self.kinematics.forward(window.root_pos, window.root_rot, window.joint_rot)
        for name, buffer in vars(self._window).items():
            buffer[rows] = getattr(window, name)
        self._window_body_pos[rows] = body_pos
        self._window_body_rot[rows] = body_rot

    def observe(self, rows: Rows = ALL) -> Tensor:
        config = self.config
        parts = [super().observe(rows)]
        if config.enable_phase_obs:
            phase = self.motions.phase(self.motion_ids[rows], self.motion_time[rows])
            parts.append(phase_observation(phase, config.num_phase_encoding))
        if config.enable_tar_obs:
            parts.append(self._observe_targets(rows))
        return torch.cat(parts, dim=-1)

    def _observe_targets(self, rows: Rows) -> Tensor:
        target = self._window
        return target_observation(
            self.engine.root_pos[rows],
            target.root_pos[rows][:, 1:],
            target.root_rot[rows][:, 1:],
            target.joint_rot[rows][:, 1:],
            self._window_body_pos[rows][:, 1:].index_select(2, self.key_body_ids),
            self.config.global_obs,
            self.config.root_height_obs,
        )

    def _tracking_states(self) -> tuple[TrackingState, TrackingState]:
        engine, ref = self.engine, self.reference
        char = TrackingState(
            engine.root_pos,
            engine.root_rot,
            engine.root_vel,
            engine.root_ang_vel,
            self.joint_rot,
            engine.dof_vel,
            engine.body_pos.index_select(1, self.key_body_ids),
        )
        reference = TrackingState(
            ref.root_pos,
            ref.root_rot,
            ref.root_vel,
            ref.root_ang_vel,
            ref.joint_rot,
            ref.dof_vel,
            self.ref_body_pos.index_select(1, self.key_body_ids),
        )
        return char, reference

    def meter_errors(self) -> None:
        """Add this step's tracking errors to the diagnostics."""
        engine = self.engine
        char, ref = self._tracking_states()
        self._errors.add(
            tracking_errors(
                char, ref, engine.body_pos, self.ref_body_pos, engine.body_rot, self.ref_body_rot, self.track_root
            )
        )

    def compute_reward(self) -> Tensor:
        if self.config.log_tracking_error:
            self.meter_errors()
        char, ref = self._tracking_states()
        energies = tracking_energies(char, ref, self._joint_w, self._dof_w, self.track_root)
        return imitation_reward(energies, self._reward_w, self._reward_scale)

    def failed(self) -> Tensor:
        failed = has_fallen(self.engine.ground_force, self.watched_body_ids)
        if self.config.pose_termination:
            failed = failed | has_strayed(
                self.engine.body_pos, self.ref_body_pos, self.config.pose_termination_dist, self.track_root
            )
        return failed

    def diagnostic_totals(self) -> tuple[Tensor, Tensor]:
        return self._errors.totals() if self.diagnostics else super().diagnostic_totals()

    def reference_bodies(self) -> tuple[Tensor, Tensor]:
        offset = torch.tensor(self.config.ref_char_offset, device=self.device)
        return self.ref_body_pos + offset, self.ref_body_rot
