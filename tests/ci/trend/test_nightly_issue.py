"""The one issue about the nights: whatever its state, it comes to what issue.json says, and there is never a second."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from ci.trend.history import SWEEP
from ci.trend.issue import MARKER, issue
from ci.trend.nights import Nights

ACTION = Path(__file__).resolve().parents[3] / ".github" / "actions" / "nightly-issue"
# Records each call with the body it was given, and answers from the file that is named after its first two words.
STUB = """\
#!{python}
import json, sys
from pathlib import Path

here, words = Path(__file__).parent, sys.argv[1:]
body = Path(words[words.index("--body-file") + 1]).read_text() if "--body-file" in words else None
with (here / "calls.jsonl").open("a") as calls:
    calls.write(json.dumps({{"words": words, "body": body}}) + "\\n")
name = "_".join(words[:2])
if (here / f"{{name}}.fails").exists():
    sys.exit("gh: something went wrong")
answer = here / f"{{name}}.json"
if answer.exists():
    print(answer.read_text())
"""

pytestmark = pytest.mark.skipif(not shutil.which("jq"), reason="the script needs jq, which runners have")


class Hub:
    """GitHub as the stub has it, and what was asked of it."""

    def __init__(self, folder):
        self.folder = folder
        folder.mkdir()
        stub = folder / "gh"
        stub.write_text(STUB.format(python=sys.executable))
        stub.chmod(0o755)
        self.answer("label_list", [{"name": "bug"}, {"name": "Nightly"}])
        self.answer("issue_list", [])

    def answer(self, name, content):
        (self.folder / f"{name}.json").write_text(json.dumps(content))

    def issues(self, *states, body=f"{MARKER}\n\nan older text\n"):
        """Issues with the marker, numbered from 11, beside one that only has the label."""
        found = [{"number": 5, "state": "OPEN", "body": "of a person"}]
        found += [{"number": number, "state": state, "body": body} for number, state in enumerate(states, start=11)]
        self.answer("issue_list", found)

    def publish(self, content, **env):
        path = self.folder / "issue.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        given = {"ISSUE_JSON": str(path), "GH_REPO": "lab/mimickit", "GH_TOKEN": "secret", **env}
        variables = {**os.environ, "PATH": f"{self.folder}:{os.environ['PATH']}", **given}
        return subprocess.run(
            ["bash", str(ACTION / "publish.sh")], env=variables, capture_output=True, text=True, timeout=60
        )

    def calls(self):
        path = self.folder / "calls.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def changes(self):
        """The calls that change something, without their bodies."""
        return [words for call in self.calls() if (words := call["words"])[1] != "list"]


@pytest.fixture
def hub(tmp_path):
    return Hub(tmp_path / "hub")


@pytest.fixture
def failing(history_row):
    return issue(Nights([history_row("2026-11-22", failure="timeout")], "2026-11-22"))


@pytest.fixture
def green(history_row):
    return issue(Nights([history_row("2026-11-22")], "2026-11-22"))


def edited(number="11", title="Nightly run: 1 of 1 cases failed"):
    """The call that edits, without the file of the body."""
    return ["issue", "edit", number, "--title", title, "--body-file"]


def test_no_issue_yet_and_failing(hub, failing):
    hub.issues()
    assert hub.publish(failing).returncode == 0
    title = "Nightly run: 1 of 1 cases failed"
    (created,) = hub.changes()
    assert created[:5] == ["issue", "create", "--title", title, "--body-file"]
    assert created[6:] == ["--label", "nightly"]
    assert hub.calls()[-1]["body"] == failing["body"]
    listed = ["issue", "list", "--label", "nightly", "--state", "all", "--limit", "1000"]
    assert hub.calls()[0]["words"] == [*listed, "--json", "number,state,body"]


def test_a_label_that_is_missing_is_made_first(hub, failing):
    hub.answer("label_list", [{"name": "bug"}])
    assert hub.publish({**failing, "labels": ["nightly", "bug", "two words"]}).returncode == 0
    assert [words[:3] for words in hub.changes()] == [
        *(["label", "create", "nightly"], ["label", "create", "two words"]),
        ["issue", "create", "--title"],
    ]
    assert hub.changes()[-1][6:] == ["--label", "nightly", "--label", "bug", "--label", "two words"]


def test_an_open_issue_and_failing(hub, failing):
    hub.issues("OPEN")
    assert hub.publish(failing).returncode == 0
    (words,) = hub.changes()
    assert words[:-1] == edited()
    assert hub.calls()[-1]["body"] == failing["body"]


def test_a_closed_issue_and_failing(hub, failing):
    hub.issues("CLOSED")
    assert hub.publish(failing).returncode == 0
    reopened, words = hub.changes()
    assert reopened == ["issue", "reopen", "11"]
    assert words[:-1] == edited()
    assert hub.calls()[-1]["body"] == failing["body"]


def test_an_open_issue_and_green(hub, green):
    hub.issues("OPEN")
    assert hub.publish(green).returncode == 0
    words, closed = hub.changes()
    assert words[:-1] == edited(title="Nightly run: 1 of 1 cases passed")
    assert closed == ["issue", "close", "11", "--reason", "completed"]
    assert hub.calls()[-2]["body"] == green["body"]


@pytest.mark.parametrize("states", [(), ("CLOSED",)])
def test_green_and_nothing_open(hub, green, states):
    hub.issues(*states)
    done = hub.publish(green)
    assert (done.returncode, hub.changes()) == (0, [])
    assert "all is well" in done.stdout


def test_a_marker_that_somebody_wrote_above_is_found(hub, failing):
    hub.issues("OPEN", body=f"A note of a person.\r\n\r\n{MARKER}\r\n")
    assert hub.publish(failing).returncode == 0
    assert hub.changes()[0][:-1] == edited()


@pytest.mark.parametrize("states", [("OPEN", "OPEN"), ("CLOSED", "OPEN"), ("CLOSED", "CLOSED")])
def test_two_issues_are_an_error(hub, failing, states):
    hub.issues(*states)
    done = hub.publish(failing)
    assert (done.returncode, hub.changes()) == (1, [])
    assert "::error title=nightly issue::#11, #12 have the marker" in done.stdout


@pytest.mark.parametrize(
    ("call", "states", "made"),
    [
        ("issue_list", (), []),
        ("label_list", (), []),
        ("label_create", (), ["label create"]),
        ("issue_create", (), ["label create", "issue create"]),
        ("issue_reopen", ("CLOSED",), ["issue reopen"]),
        ("issue_edit", ("OPEN",), ["issue edit"]),
        ("issue_close", ("OPEN",), ["issue edit", "issue close"]),
    ],
)
def test_what_gh_cannot_do_fails(hub, failing, green, call, states, made):
    hub.issues(*states)
    hub.answer("label_list", [])
    (hub.folder / f"{call}.fails").touch()
    assert hub.publish(green if call == "issue_close" else failing).returncode != 0
    assert [" ".join(words[:2]) for words in hub.changes()] == made


def test_an_answer_that_is_no_list_fails(hub, failing):
    (hub.folder / "issue_list.json").write_text("rate limit exceeded")
    assert hub.publish(failing).returncode != 0
    assert hub.changes() == []


@pytest.mark.parametrize(
    "change",
    [
        {"state": "OPEN"},
        {"state": None},
        {"title": ""},
        {"body": f"a text\n{MARKER}"},
        {"body": None},
        {"labels": []},
        {"labels": "nightly"},
    ],
)
def test_an_issue_json_of_another_kind_is_refused(hub, failing, change):
    done = hub.publish({**failing, **change})
    assert (done.returncode, hub.calls()) == (1, [])
    assert "is not what ci trend writes" in done.stdout


@pytest.mark.parametrize("text", ["", "[]", "no JSON", '{"state": "open"}'])
def test_a_file_that_is_no_issue_json_is_refused(hub, text):
    assert hub.publish(text).returncode != 0
    assert hub.calls() == []


def test_what_must_be_given(hub, failing):
    for name in ("ISSUE_JSON", "GH_REPO", "GH_TOKEN"):
        done = hub.publish(failing, **{name: ""})
        assert done.returncode != 0
        assert name in done.stderr
    assert hub.publish(failing, ISSUE_JSON=str(hub.folder / "gone.json")).returncode != 0
    assert hub.calls() == []


def test_a_text_stays_a_text(hub, history_row):
    """Neither title nor body is looked at by a shell; the body keeps its bytes."""
    rows = [history_row("2026-11-22", case='$(touch owned) `id` "q" \\n é', failure="timeout")]
    rows.append(history_row("2026-11-22", case=SWEEP, failure="missing", profile="longcycle"))
    content = {**issue(Nights(rows, "2026-11-22")), "title": '--web $(touch owned) "x" `id`'}
    assert hub.publish(content).returncode == 0
    call = hub.calls()[-1]
    assert call["words"][3] == '--web $(touch owned) "x" `id`'
    assert call["body"] == content["body"]
    assert not Path("owned").exists()


def test_the_action_hands_its_inputs_over_as_variables():
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    (step,) = action["runs"]["steps"]
    assert (ACTION.parents[2] / step["run"]).samefile(ACTION / "publish.sh")
    assert os.access(ACTION / "publish.sh", os.X_OK)
    assert sorted(step["env"]) == ["GH_REPO", "GH_TOKEN", "ISSUE_JSON"]
    used = {text.split("inputs.")[1].split(" ")[0] for text in step["env"].values()}
    assert used == set(action["inputs"])
