"""``--slurm WORD=VALUE,...``: what is passed on, and what is refused by its name."""

import pytest

from ci import __main__ as entry
from ci.cluster.words import parse_words
from ci.errors import UsageError


def test_words_are_those_of_sbatch():
    texts = ["partition=gpu,gpus-per-node=h100:1, cpus-per-task=16,mem=64G", "exclusive,nice=-5,constraint=a&b"]
    assert parse_words(texts) == {
        "partition": "gpu",
        "gpus-per-node": "h100:1",
        "cpus-per-task": "16",
        "mem": "64G",
        "exclusive": True,
        "nice": "-5",
        "constraint": "a&b",
    }
    assert parse_words([]) == {}


def test_a_comma_in_brackets_belongs_to_the_value():
    assert parse_words(["exclude=gpu[1,3-5],qos=night"]) == {"exclude": "gpu[1,3-5]", "qos": "night"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("partion=gpu", "--slurm partion=gpu: 'partion' is no word that is passed on to Slurm; did you mean partition"),
        ("x=1", "--slurm x=1: 'x' is no word that is passed on to Slurm; the words are account, "),
        ("partition", "--slurm partition: after 'partition=' comes text without blanks"),
        ("partition=", "--slurm partition=: after 'partition=' comes text without blanks"),
        ("exclusive=user", "--slurm exclusive=user: after 'exclusive' comes nothing: the word alone"),
        ("cpus-per-task=many", "--slurm cpus-per-task=many: after 'cpus-per-task=' comes 16"),
        ("gpus-per-node=0", "--slurm gpus-per-node=0: after 'gpus-per-node=' comes 1 or h100:1"),
        ("mem=64 G", "--slurm mem=64 G: after 'mem=' comes 64G"),
        ("time=10", "--slurm time=10: the plan gives it, or --deadline SECONDS"),
        ("array=0-3", "--slurm array=0-3: --shards N is the number of jobs"),
        ("requeue", "--slurm requeue: a shard that has begun is not begun again"),
        ("mem=1G,mem=2G", "--slurm mem=2G: 'mem' is given twice"),
        ("mem=1G,", "there is nothing before or after a comma"),
    ],
)
def test_a_wrong_word_ends_with_code_2_and_is_named(text, words, capsys):
    with pytest.raises(UsageError) as refused:
        parse_words([text])
    assert words in str(refused.value)
    assert entry.main(["e2e", "--executor", "slurm", "--slurm", text]) == 2
    assert words in capsys.readouterr().err
