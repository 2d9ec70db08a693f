"""The action around the script: its inputs become the words of ``python -m ci trend``, and the night is stored."""

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
import yaml

from ci.trend.history import SWEEP, read_history, write_history

REPOSITORY = Path(__file__).resolve().parents[3]
ACTION = REPOSITORY / ".github" / "actions" / "store-history" / "action.yml"
URL = "https://example.org/lab/runs/7"


class Runner:
    """Runs the step of the action as a runner would, with ``python -m ci`` of this checkout."""

    def __init__(self, origin, python):
        self.origin, self.python, self.roots = origin, python, origin.folder.parent
        self.action = yaml.safe_load(ACTION.read_text())
        self.summary = origin.folder / "summary.md"
        self.out = origin.folder / "out"

    def run(self, **inputs):
        (step,) = self.action["runs"]["steps"]
        inputs = {
            **{name: about.get("default", "") for name, about in self.action["inputs"].items()},
            **{"python": self.python, "token": "secret", "night": "2026-11-22", "run-url": URL, "out": self.out},
            **{"runs": f"nightly={self.roots}/merged,longcycle={self.roots}/merged-long"},
            **inputs,
        }
        given = {}
        for variable, text in step["env"].items():
            for name, value in inputs.items():
                text = text.replace("${{ inputs.NAME }}".replace("NAME", name), str(value))
            given[variable] = text
        assert given.pop("REMOTE") == "${{ github.server_url }}/${{ github.repository }}"
        assert "${{" not in "".join(given.values()) + step["run"]
        env = self.origin.environment(**given, GITHUB_STEP_SUMMARY=str(self.summary))
        command = ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]]
        return subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, timeout=120)

    def history(self):
        path = self.origin.folder / "shown.tsv"
        path.write_text(self.origin.show())
        return read_history(path)


@pytest.fixture
def runner(origin):
    """The interpreter knows the command under its name."""
    python = origin.folder / "python"
    python.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(REPOSITORY)!r})\n"
        "from ci.__main__ import COMMANDS, main\n"
        "assert sys.argv[1:3] == ['-m', 'ci']\nCOMMANDS.setdefault('trend', 'ci.trend.command')\n"
        "sys.exit(main(sys.argv[3:]))\n"
    )
    python.chmod(0o755)
    return Runner(origin, python)


def test_the_action_stores_a_night(runner, merged_root, history_row, tmp_path):
    merged_root("merged")
    merged_root("merged-long", "longcycle")
    write_history(tmp_path / "before.tsv", [history_row("2026-11-21", failure="timeout")])
    runner.origin.rival("results", "history.tsv", (tmp_path / "before.tsv").read_text().rstrip("\n"))
    done = runner.run()
    assert done.returncode == 0, done.stderr
    assert [(row.night, row.profile, row.passed) for row in runner.history()] == [
        ("2026-11-21", "nightly", False),
        *[("2026-11-22", "nightly", True)] * 3,
        *[("2026-11-22", "longcycle", True)] * 3,
    ]
    assert runner.history()[-1].run_url == URL
    assert runner.summary.read_text() == (runner.out / "trend.md").read_text()
    assert runner.summary.read_text().startswith("# Night 2026-11-22: 6 of 6 cases passed\n")
    assert json.loads((runner.out / "issue.json").read_text())["state"] == "closed"
    assert runner.origin.log("%s")[0] == "Night 2026-11-22"
    assert runner.run().returncode == 0  # the job is done again
    assert len(runner.origin.log("%s")) == 2


def test_the_action_records_a_profile_without_a_merged_run(runner, merged_root, tmp_path):
    merged_root("merged")
    (tmp_path / "merged-long").mkdir()
    assert runner.run(**{"new-history": "true"}).returncode == 0
    assert [(row.profile, row.case) for row in runner.history() if not row.passed] == [("longcycle", SWEEP)]


def test_the_action_does_not_begin_a_history_by_itself(runner, merged_root):
    merged_root("merged")
    done = runner.run()
    assert done.returncode == 2
    assert "--new-history begins a new one" in done.stderr
    assert not runner.summary.exists()
    assert runner.origin.git("branch", "--list", "results") == ""


def test_the_action_takes_no_word_of_its_inputs_for_a_command(runner, merged_root, tmp_path):
    merged_root("merged")
    done = runner.run(runs="nightly=$(touch owned),$(touch owned)=x", night="`touch owned`")
    assert done.returncode == 2
    assert not (REPOSITORY / "owned").exists()
    assert not (tmp_path / "owned").exists()


def test_a_night_without_a_date_is_today(runner, merged_root):
    merged_root("merged")
    merged_root("merged-long", "longcycle")
    days = [datetime.now(UTC).date().isoformat()]
    assert runner.run(night="", **{"new-history": "true"}).returncode == 0
    days.append(datetime.now(UTC).date().isoformat())
    assert runner.history()[0].night in days
    assert runner.origin.log("%s") == [f"Night {runner.history()[0].night}"]
