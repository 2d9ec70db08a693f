"""``--slurm WORD=VALUE,WORD=VALUE``: what is asked of Slurm for each job, by the names that sbatch has for it."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ci.errors import UsageError, nearest


@dataclass(frozen=True)
class Kind:
    """What the values of a word look like."""

    pattern: str
    example: str


TEXT = Kind(r"\S+", "text without blanks")
COUNT = Kind(r"[1-9]\d*", "16")
GPUS = Kind(r"([\w.\-]+:)?[1-9]\d*", "1 or h100:1")
MEMORY = Kind(r"[1-9]\d*[KMGT]?", "64G")
NICE = Kind(r"-?\d+", "100")
FLAG = Kind("", "nothing: the word alone")

WORDS = {
    "account": TEXT,
    "comment": TEXT,
    "constraint": TEXT,
    "cpus-per-task": COUNT,
    "exclude": TEXT,
    "exclusive": FLAG,
    "gpus-per-node": GPUS,
    "gres": TEXT,
    "licenses": TEXT,
    "mail-type": TEXT,
    "mail-user": TEXT,
    "mem": MEMORY,
    "mem-per-cpu": MEMORY,
    "mem-per-gpu": MEMORY,
    "nice": NICE,
    "nodelist": TEXT,
    "partition": TEXT,
    "qos": TEXT,
    "reservation": TEXT,
    "tmp": MEMORY,
    "wckey": TEXT,
}
ONE_TASK = "a shard is one task on one node"
OWN_LOGS = "logs lie in output/cluster/NAME/jobs"
ONCE = "a shard that has begun is not begun again"
# Words of sbatch that are settled here.
SETTLED = {
    "array": "--shards N is the number of jobs",
    "error": OWN_LOGS,
    "job-name": "--root-out NAME names the run and its jobs",
    "nodes": ONE_TASK,
    "no-requeue": ONCE,
    "ntasks": ONE_TASK,
    "ntasks-per-node": ONE_TASK,
    "open-mode": OWN_LOGS,
    "output": OWN_LOGS,
    "requeue": ONCE,
    "signal": "a job is told to end before its time is over",
    "time": "the plan gives it, or --deadline SECONDS",
}
# A comma inside brackets belongs to the value: nodelist=gpu[1,3].
_SEPARATOR = re.compile(r",(?![^\[]*\])")


def parse_words(texts: Sequence[str]) -> dict[str, str | bool]:
    """What the texts ask for; True for a word without a value. UsageError that names the word that is wrong."""
    found: dict[str, str | bool] = {}
    for word in _split(texts):
        name, equals, value = word.partition("=")
        if name in SETTLED:
            raise UsageError(f"--slurm {word}: {SETTLED[name]}.")
        if name not in WORDS:
            known = nearest(name, WORDS) or f"; the words are {', '.join(WORDS)}"
            raise UsageError(f"--slurm {word}: {name!r} is no word that is passed on to Slurm{known}")
        if name in found:
            raise UsageError(f"--slurm {word}: {name!r} is given twice.")
        kind = WORDS[name]
        if bool(equals) == (kind is FLAG) or not re.fullmatch(kind.pattern, value):
            raise UsageError(f"--slurm {word}: after '{name}{'' if kind is FLAG else '='}' comes {kind.example}.")
        found[name] = value or True
    return found


def _split(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        for word in _SEPARATOR.split(text):
            if not word.strip():
                raise UsageError(f"--slurm {text!r}: there is nothing before or after a comma.")
            yield word.strip()
