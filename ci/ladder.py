"""The rungs a case's training tries, largest first, and the samples each one asks for."""

from dataclasses import dataclass
from pathlib import Path

from ci.cases import TRAINABLE, Case, read_steps_per_iter
from ci.profiles import Profile

BASE = "base"
HIGH_UTILISATION = "hiutil"


@dataclass(frozen=True)
class Rung:
    """One try: which agent file, how many environments per device, how many samples in all."""

    variant: str
    agent_config: str  # '' when the case has none
    num_envs: int
    max_samples: int

    @property
    def label(self) -> str:
        return f"{self.variant}_e{self.num_envs}"


def agents(case: Case, repository: Path) -> list[tuple[str, str]]:
    """Variant and agent file of every agent the case tries, in order."""
    own = [(BASE, case.agent_config)]
    path = Path(case.agent_config)
    high = path.with_name(f"{path.stem}_{HIGH_UTILISATION}{path.suffix}").as_posix()
    if "pi_plus" in case.name and (repository / high).is_file():
        return [(HIGH_UTILISATION, high), *own]
    return own


def rungs(case: Case, profile: Profile, device_count: int, repository: Path) -> list[Rung]:
    """Every try of ``case`` in order. Raises ValueError when its agent file does not say how long an iteration is."""
    if case.case_type != TRAINABLE:
        return [Rung(BASE, case.agent_config, profile.nontrainable_num_envs, profile.nontrainable_max_samples)]
    ladder = profile.default_ladder
    if "pi_plus" in case.name:
        ladder = profile.amp_pi_plus_ladder if case.method == "amp" else profile.pi_plus_ladder
    tries = []
    for variant, agent_config in agents(case, repository):
        steps = read_steps_per_iter(repository, agent_config) * profile.train_iters * device_count
        tries += [Rung(variant, agent_config, num_envs, num_envs * steps) for num_envs in ladder]
    return tries
