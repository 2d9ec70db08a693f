"""The workflows at work: a good change is green, and whatever goes wrong is red in ``all_pass``."""

import re
import subprocess

import pytest

from tests.workflows.conftest import NAME, Checkout, Outcome

VIEW, PACE = "view_motion_humanoid_sword_shield_args", "deepmimic_go2_ppo_args"
pytestmark = pytest.mark.workflows


@pytest.fixture
def changed(checkout: Checkout) -> Checkout:
    """A change that touches two cases."""
    for case in (VIEW, PACE):
        checkout.edit(f"args/{case}.txt", lambda text: text + "# changed\n")
    checkout.commit("a change")
    return checkout


def in_workflow(checkout: Checkout, old: str, new: str) -> None:
    """Other workflow, on both sides of the change: a change of it would have every case run."""
    change = checkout.commits.pop()
    checkout.git("reset", "--quiet", "--hard", checkout.commits.pop())
    checkout.edit(".github/workflows/pull-request.yml", lambda text: text.replace(old, new))
    checkout.commit("another workflow")
    checkout.git("-c", "user.name=a", "-c", "user.email=a@example.org", "cherry-pick", change)
    checkout.commits.append(checkout.git("rev-parse", "HEAD").strip())


def verdict(outcome: Outcome) -> str:
    """The last word of the gate."""
    said = re.findall(r"\|\s+(all_pass (?:True|False))$", outcome.of_job("all_pass"), re.MULTILINE)
    assert said, outcome.printed[-6000:]
    return said[-1]


def rows(outcome: Outcome) -> dict[str, str]:
    """Case and final_ok of the merged run."""
    lines = (outcome.store / "artifacts" / "merged" / "best_by_case.tsv").read_text().splitlines()
    head = lines[0].split("\t")
    cells = [dict(zip(head, line.split("\t"), strict=True)) for line in lines[1:]]
    return {row["case"]: row["final_ok"] for row in cells}


def break_view(checkout: Checkout) -> None:
    """A case whose environment has a key that nobody knows."""
    env = re.search(r"--env_config (\S+)", (checkout.folder / "args" / f"{VIEW}.txt").read_text())
    assert env is not None
    checkout.edit(env[1], lambda text: text + "no_such_key: 1\n")
    checkout.commit("a key that nobody knows")


def is_red(outcome: Outcome) -> None:
    assert outcome.code != 0
    assert verdict(outcome) == "all_pass False"


def test_a_good_change_is_green_and_only_what_it_touches_is_run(changed: Checkout) -> None:
    outcome = changed.pull_request()
    assert outcome.code == 0, outcome.printed[-6000:]
    assert verdict(outcome) == "all_pass True"
    assert rows(outcome) == {VIEW: "1", PACE: "1"}
    shards = {f"shard-{index}-of-attempt-1" for index in (1, 2)}
    assert {"plan", "plan-began-1", "plan-began-2", "merged", *shards} <= set(outcome.artifacts())
    assert not list((outcome.store / "artifacts").rglob("model*.pt"))
    assert list((outcome.store / "artifacts").rglob("contact_sheet.png"))
    assert outcome.summary.splitlines()[0] == "# all_pass True: 2 of 2 cases passed"


def test_a_case_that_fails_is_red_and_annotated(changed: Checkout) -> None:
    break_view(changed)
    outcome = changed.pull_request()
    is_red(outcome)
    assert rows(outcome) == {VIEW: "0", PACE: "1"}
    assert f"::error file=args/{VIEW}.txt,title={VIEW}%3A input::" in outcome.of_job("all_pass")


def test_a_leg_that_is_cancelled_is_red(changed: Checkout) -> None:
    """What runs on a machine itself is interrupted; the run says so, and hands over what there is."""
    in_workflow(changed, "          python -m ci e2e", "          timeout --signal INT 4 python -m ci e2e")
    outcome = changed.pull_request()
    is_red(outcome)
    assert "ended by SIGINT" in outcome.printed


def test_a_shard_that_is_not_handed_over_is_red(changed: Checkout) -> None:
    in_workflow(changed, "        if: always()\n", "        if: matrix.index != 2\n")
    outcome = changed.pull_request()
    is_red(outcome)
    assert "shard 2/2 did not come back" in outcome.printed
    assert not [name for name in outcome.artifacts() if name.startswith("shard-2")]


def test_an_empty_matrix_is_red(changed: Checkout) -> None:
    for path in (changed.folder / "args").glob("*.txt"):
        path.unlink()
    changed.commit("no case is left")
    outcome = changed.pull_request()
    is_red(outcome)
    assert "the job plan: failure" in outcome.printed
    assert "the job cases: skipped" in outcome.printed


@pytest.mark.parametrize(("repository", "author"), [("stranger/mimickit", "User"), (NAME, "Bot")])
def test_a_change_of_a_stranger_that_nobody_can_have_approved_is_red_and_runs_nothing(
    changed: Checkout, repository: str, author: str
) -> None:
    """The environment has no reviewers: GitHub would let it pass."""
    outcome = changed.pull_request(repository, author)
    is_red(outcome)
    assert "the environment fork-pull-requests has no required reviewers" in outcome.printed
    assert "repos/someone/mimickit/environments/fork-pull-requests" in (outcome.store / "gh").read_text()
    assert "ci e2e" not in outcome.printed
    assert outcome.artifacts() == []


def test_a_runner_that_is_lost_before_its_first_step_is_replaced_once(changed: Checkout) -> None:
    """The first runner of row 2 fails before it has done anything; the second one works."""
    lost = changed.store / "lost"
    begin = f'if [ "${{{{ matrix.index }}}}" = 2 ] && mkdir "{lost}"; then exit 1; fi; mkdir -p began'
    in_workflow(changed, "run: mkdir -p began", f"run: {begin}")
    outcome = changed.pull_request()
    assert verdict(outcome) == "all_pass True"
    assert rows(outcome) == {VIEW: "1", PACE: "1"}
    assert "1 of 2 did not begin" in outcome.printed


def test_a_change_of_documents_alone_has_a_verdict(checkout: Checkout) -> None:
    """It runs the two fastest cases; the required check is not left waiting."""
    checkout.edit("README.md", lambda text: text + "\nOne more line.\n")
    checkout.commit("documents")
    outcome = checkout.pull_request(SHARDS="1")
    assert verdict(outcome) == "all_pass True"
    assert len(rows(outcome)) == 2


@pytest.fixture
def one_case(checkout: Checkout) -> Checkout:
    """A repository that has one case in all: nothing chooses among the cases of a night."""
    for path in (checkout.folder / "args").glob("*.txt"):
        if path.stem != VIEW:
            path.unlink()
    checkout.commit("one case")
    return checkout


def nightly(checkout: Checkout, **inputs: str) -> Outcome:
    payload = {"repository": {"full_name": NAME, "default_branch": "main"}, "inputs": {"long": "true", **inputs}}
    variables = {"NIGHTLY_PROFILE": "smoke", "LONG_PROFILE": "pr", "DEVICE": "cpu", "SHARDS": "1"}
    return checkout.act("workflow_dispatch", "nightly.yml", payload, **variables)


def history(outcome: Outcome) -> list[tuple[str, str, str]]:
    """Profile, case and passed of the rows on the branch of the results."""
    command = ["git", "-C", str(outcome.store / "origin.git"), "show", "results:history.tsv"]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [dict(zip(lines[0].split("\t"), line.split("\t"), strict=True)) for line in lines[1:]]
    return sorted((row["profile"], row["case"], row["passed"]) for row in rows)


def test_a_good_night_is_green_and_goes_into_the_history(one_case: Checkout) -> None:
    outcome = nightly(one_case, **{"new-history": "true"})
    assert outcome.code == 0, outcome.printed[-6000:]
    assert verdict(outcome) == "all_pass True"
    assert {"merged", "merged-long"} <= set(outcome.artifacts())
    assert history(outcome) == [("pr", VIEW, "1"), ("smoke", VIEW, "1")]
    assert "issue create" not in (outcome.store / "gh").read_text()


def test_a_bad_night_is_red_and_opens_the_issue(one_case: Checkout) -> None:
    break_view(one_case)
    outcome = nightly(one_case, **{"new-history": "true"})
    is_red(outcome)
    assert rows(outcome) == {VIEW: "0"}
    assert history(outcome) == [("pr", VIEW, "0"), ("smoke", VIEW, "0")]
    assert "issue create" in (outcome.store / "gh").read_text()
