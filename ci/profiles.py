"""How much a run asks of each case: one table, one row per profile. A command-line option beats its profile's value."""

from dataclasses import dataclass

PI_PLUS_LADDER = (40, 39, 38, 36, 32, 24, 16, 8, 4, 2, 1)
AMP_PI_PLUS_LADDER = (38, 36, 32, 24, 16, 8, 4, 2, 1)


@dataclass(frozen=True)
class Profile:
    """One row. Ladders are environments per device, largest first; timeouts are seconds.

    prior_*: of the motion prior that an SMP case gets where nobody has trained one. A short training needs the higher
    learning rate: after it, motions that start where the prior says do not fly apart.
    """

    name: str
    meaning: str
    default_ladder: tuple[int, ...]
    train_iters: int
    train_timeout: float
    test_timeout: float
    viz_timeout: float
    pi_plus_ladder: tuple[int, ...] = PI_PLUS_LADDER
    amp_pi_plus_ladder: tuple[int, ...] = AMP_PI_PLUS_LADDER
    test_episodes: int = 10
    viz_episodes: int = 1
    nontrainable_num_envs: int = 1
    nontrainable_max_samples: int = 128
    prior_iterations: int = 300
    prior_batch_size: int = 64
    prior_learning_rate: float = 1e-3


PROFILES = {
    profile.name: profile
    for profile in (
        Profile("smoke", "does it run at all; small enough for two cores", (64, 32, 16), 4, 1800.0, 900.0, 900.0),
        Profile("pr", "the gate of a pull request, on a GPU", (512, 256, 128, 64, 32), 4, 1800.0, 900.0, 900.0),
        Profile(
            "nightly",
            "a learning budget for every case",
            (4096, 2048, 1024, 512, 256, 128, 64, 32),
            160,
            4 * 3600.0,
            1800.0,
            1800.0,
            prior_iterations=50_000,
            prior_batch_size=512,
            prior_learning_rate=1e-4,
        ),
    )
}
