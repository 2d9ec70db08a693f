"""Cases into shards that take about as long as one another, and how long each shard may take."""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ci.profiles import Profile

PATIENCE = 4.0  # times what is expected: other machines are slower, and a ladder takes several tries
MARGIN_SECONDS = 300.0  # for what has no time limit in the profile, such as reading a model on its own
STOP_MINUTES = 10  # from the deadline: processes that are ended may take 5 minutes, then tables and reports are written
SETUP_MINUTES = 30  # around the step: checking out, installing, restoring caches, uploading
HOSTED_MINUTES = 6 * 60  # the longest job on a runner of GitHub's own
SELF_HOSTED_MINUTES = 5 * 24 * 60  # and on any other


def balance(seconds: Mapping[str, float], shards: int) -> tuple[tuple[str, ...], ...]:
    """The names in ``shards`` shards: the longest case first, each to the shard with the least so far.

    The longest shard is at most 4/3 - 1/(3 shards) times the shortest possible (Graham 1969). Inside a shard, too, the
    longest comes first. Equal cases go by name and equal shards by number, so that every machine comes to the same.
    No shard is empty: fewer cases than ``shards`` make fewer shards. ValueError for ``shards`` below 1 and for seconds
    that are negative or not finite.
    """
    if shards < 1:
        raise ValueError(f"at least 1 shard, not {shards}")
    wrong = [f"{name} {value}" for name, value in seconds.items() if not 0.0 <= value < math.inf]
    if wrong:
        raise ValueError(f"seconds must be finite and not negative: {', '.join(wrong)}")
    parts: list[list[str]] = [[] for _ in range(min(shards, len(seconds)))]
    # The count keeps a case of 0 seconds from joining another while a shard is empty.
    waiting = [(0.0, 0, index) for index in range(len(parts))]
    for name in sorted(seconds, key=lambda name: (-seconds[name], name)):
        load, count, index = waiting[0]
        parts[index].append(name)
        heapq.heapreplace(waiting, (load + seconds[name], count + 1, index))
    return tuple(tuple(part) for part in parts)


@dataclass(frozen=True)
class Limits:
    """When a shard's run stops by itself; when its step is killed, if it has not; when the whole job is."""

    deadline_seconds: int
    step_timeout_minutes: int
    timeout_minutes: int


def limits(seconds: Sequence[float], absolute: bool, profile: Profile, jobs: int = 1) -> Limits:
    """How long a shard may take whose cases are expected to take ``seconds``, ``jobs`` of them at once.

    The deadline is the time of one case whose every process runs into its time limit, preparations included, and
    PATIENCE times what the shard is expected to take. Where nobody has measured the profile (``absolute`` is false) it
    is what the shard takes if all its cases are of that kind. It ends STOP_MINUTES before the step, and the step
    SETUP_MINUTES before the job.

    The job stays within the 6 hours of a hosted runner. Only where one case may take longer than that, which no
    deadline can help, may it take up to the 5 days that other runners have. ValueError when even these are too short
    for one case.
    """
    slowest = slowest_case(profile)
    if absolute:
        wanted = slowest + PATIENCE * max(sum(seconds) / jobs, max(seconds, default=0.0))
    else:
        wanted = slowest * math.ceil(len(seconds) / jobs)
    around = STOP_MINUTES + SETUP_MINUTES
    shortest = math.ceil(slowest / 60.0)
    longest = (HOSTED_MINUTES if shortest + around <= HOSTED_MINUTES else SELF_HOSTED_MINUTES) - around
    if shortest > longest:
        raise ValueError(f"one case of profile {profile.name} may take {shortest} minutes, a job ends after {longest}")
    minutes = min(max(shortest, math.ceil(wanted / 60.0)), longest)
    return Limits(60 * minutes, minutes + STOP_MINUTES, minutes + around)


def slowest_case(profile: Profile) -> float:
    """Seconds of a case that takes one rung of its ladder, with every process up to its time limit.

    Building clips and training a motion prior each have the time limit of a training.
    """
    stages = {name: getattr(profile, f"{name}_timeout") for name in profile.stages}
    if "long" in stages and profile.long_budget_hours is not None:
        stages["long"] = 3600.0 * profile.long_budget_hours + profile.train_timeout
    return float(2.0 * profile.train_timeout + sum(stages.values()) + MARGIN_SECONDS)
