"""How much a run asks of each case: one table, one row per profile. A command-line option beats its profile's value."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ci.cases import TRAINABLE
from ci.stage_kinds import LONG_STAGES, STAGES

PI_PLUS_LADDER = (40, 39, 38, 36, 32, 24, 16, 8, 4, 2, 1)
AMP_PI_PLUS_LADDER = (38, 36, 32, 24, 16, 8, 4, 2, 1)
# One of each method, on characters that learn in hours.
LONG_CASES = (
    "deepmimic_humanoid_ppo_args",
    "deepmimic_go2_ppo_args",
    "amp_humanoid_args",
    "add_humanoid_args",
    "ase_humanoid_sword_shield_args",
    "smp_humanoid_args",
    "lcp_g1_ppo_args",
)
GPU_LADDER = (4096, 2048, 1024, 512, 256, 128, 64, 32)


@dataclass(frozen=True)
class Profile:
    """One row. Ladders are environments per device, largest first; timeouts are seconds.

    cases: patterns of the cases that a run takes when none is named. repeats: how often a stage is run once more after
    a failure outside the case (see ci/failures/table.py).

    device: the kind of device that a plan for several machines is made for, "cpu" or "cuda".

    memory_gb: what a case is taken to need of its device (of the host, on a CPU) while nobody has measured it; decides
    how many cases run at once. cores: the least a case gets when several run at once.

    prior_*: of the motion prior that an SMP case gets where nobody has trained one. A short training needs the higher
    learning rate: after it, motions that start where the prior says do not fly apart.

    long_*: of the long training of a profile that has one; it ends at whichever is given, samples or hours.
    """

    name: str
    meaning: str
    default_ladder: tuple[int, ...]
    train_iters: int
    train_timeout: float
    test_timeout: float
    viz_timeout: float
    memory_gb: float
    cases: tuple[str, ...] = ("*",)
    repeats: int = 1
    device: str = "cuda"
    cores: int = 1
    stages: tuple[str, ...] = STAGES
    pi_plus_ladder: tuple[int, ...] = PI_PLUS_LADDER
    amp_pi_plus_ladder: tuple[int, ...] = AMP_PI_PLUS_LADDER
    test_episodes: int = 10
    viz_episodes: int = 1
    nontrainable_num_envs: int = 1
    nontrainable_max_samples: int = 128
    prior_iterations: int = 300
    prior_batch_size: int = 64
    prior_learning_rate: float = 1e-3
    long_max_samples: int | None = None
    long_budget_hours: float | None = None
    long_timeout: float = 24 * 3600.0

    def stages_of(self, case_type: str) -> tuple[str, ...]:
        """The stages of a case: one that does not train has no long training."""
        return self.stages if case_type == TRAINABLE else STAGES


def profile_as_json(profile: Profile) -> dict[str, Any]:
    """The row, for a JSON file."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in vars(profile).items()}


def profile_from_json(content: Mapping[str, Any]) -> Profile:
    """What ``profile_as_json`` gave, after JSON; ValueError when it is not that."""
    try:
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in content.items()
        }
        return Profile(**values)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"not a profile of this version: {error}") from error


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "smoke",
            "does it run at all; small enough for two cores",
            (64, 32, 16),
            train_iters=4,
            train_timeout=1800.0,
            test_timeout=900.0,
            viz_timeout=900.0,
            memory_gb=2.0,
            device="cpu",
        ),
        Profile(
            "pr",
            "the gate of a pull request, on a GPU",
            (512, 256, 128, 64, 32),
            train_iters=4,
            train_timeout=1800.0,
            test_timeout=900.0,
            viz_timeout=900.0,
            memory_gb=3.0,
            cores=2,
        ),
        Profile(
            "nightly",
            "a learning budget for every case",
            GPU_LADDER,
            train_iters=160,
            train_timeout=4 * 3600.0,
            test_timeout=1800.0,
            viz_timeout=1800.0,
            memory_gb=14.0,
            cores=2,
            prior_iterations=50_000,
            prior_batch_size=512,
            prior_learning_rate=1e-4,
        ),
        Profile(
            "longcycle",
            "a probe finds what fits, then a long training, its test and its film",
            GPU_LADDER,
            train_iters=4,
            train_timeout=3600.0,
            test_timeout=1800.0,
            viz_timeout=1800.0,
            memory_gb=14.0,
            cores=2,
            cases=LONG_CASES,
            stages=LONG_STAGES,
            prior_iterations=50_000,
            prior_batch_size=512,
            prior_learning_rate=1e-4,
            long_budget_hours=1.0,
        ),
    )
}
