"""The history on its branch: fetched, brought up to date and pushed, and done again after a race that was lost."""

import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

# In place of the command: adds its first word to the file. Each word after it is one push of a rival, made in between.
ADD = """\
import subprocess, sys
from pathlib import Path

word, *rivals, option, path = sys.argv[1:]
assert option == "--history"
path, calls = Path(path), Path(__file__).with_name("calls")
path.write_text((path.read_text() if path.exists() else "") + word + "\\n")
calls.write_text((calls.read_text() if calls.exists() else "") + "x")
number = len(calls.read_text())
if number <= len(rivals):
    rival = Path(__file__).with_name("rival.sh")
    subprocess.run(["bash", rival, "results", "history.tsv", rivals[number - 1]], check=True)
"""


@pytest.fixture
def add(origin):
    """A function that stores with the stand-in for the command."""
    script = origin.folder / "add.py"
    script.write_text(ADD)
    return lambda *words, **env: origin.store(sys.executable, script, *words, **env)


def test_a_branch_that_is_not_there_is_begun(origin, add):
    done = add("one")
    assert done.returncode == 0, done.stderr
    assert origin.show() == "one\n"
    assert origin.log("%an <%ae> %s") == [
        "github-actions[bot] <41898282+github-actions[bot]@users.noreply.github.com> Night 2026-11-22"
    ]
    assert origin.git("ls-tree", "--name-only", "results") == "history.tsv\n"
    assert origin.git("show", "main:README.md") == "the code\n"


def test_a_night_is_added_to_those_before(origin, add):
    origin.rival("results", "history.tsv", "one")
    origin.rival("results", "README.md", "what this is")
    done = add("two")
    assert done.returncode == 0, done.stderr
    assert (origin.show(), origin.show("README.md")) == ("one\ntwo\n", "what this is\n")
    assert origin.log("%s") == ["Night 2026-11-22", "of a rival", "of a rival"]


def test_a_lost_race_is_run_again_on_what_the_other_pushed(origin, add):
    origin.rival("results", "history.tsv", "one")
    done = add("mine", "theirs")
    assert done.returncode == 0, done.stderr
    assert origin.show() == "one\ntheirs\nmine\n"
    assert origin.log("%s") == ["Night 2026-11-22", "of a rival", "of a rival"]
    assert (origin.folder / "calls").read_text() == "xx"


def test_a_race_for_the_first_commit(origin, add):
    done = add("mine", "theirs")
    assert done.returncode == 0, done.stderr
    assert origin.show() == "theirs\nmine\n"
    assert origin.log("%s") == ["Night 2026-11-22", "of a rival"]


def test_the_third_try_may_win(origin, add):
    assert add("mine", "a", "b").returncode == 0
    assert origin.show() == "a\nb\nmine\n"


def test_after_three_lost_races_nothing_is_stored_and_it_is_said(origin, add):
    done = add("mine", "a", "b", "c", "d")
    assert done.returncode == 1
    assert "::error title=history::the branch results took none of 3 tries" in done.stdout
    assert origin.show() == "a\nb\nc\n"
    assert (origin.folder / "calls").read_text() == "xxx"


def test_what_stays_as_it_was_makes_no_commit(origin):
    origin.rival("results", "history.tsv", "one")
    done = origin.store("bash", "-c", "true", "name")
    assert done.returncode == 0, done.stderr
    assert "as it was" in done.stdout
    assert len(origin.log("%s")) == 1


def test_a_command_that_fails_is_neither_repeated_nor_stored(origin):
    origin.rival("results", "history.tsv", "one")
    done = origin.store(
        "bash", "-c", 'echo x >> "$2"; echo "$2" >> "$COUNT"; exit 2', "name", COUNT=origin.folder / "n"
    )
    assert done.returncode == 2
    assert origin.show() == "one\n"
    assert len((origin.folder / "n").read_text().splitlines()) == 1


def test_a_remote_that_does_not_answer_is_no_missing_branch(origin, add):
    done = add("one", REMOTE=str(origin.folder / "nowhere.git"))
    assert done.returncode not in (0, 2)
    assert not (origin.folder / "calls").exists()


def test_a_push_that_is_refused_is_an_error(origin, add):
    hook = origin.path / "hooks" / "pre-receive"
    hook.write_text("#!/bin/sh\necho protected >&2\nexit 1\n")
    hook.chmod(0o755)
    done = add("one")
    assert done.returncode == 1
    assert "protected" in done.stderr
    assert origin.git("branch", "--list", "results") == ""


def test_what_must_be_given_to_store(origin, add):
    for name in ("REMOTE", "BRANCH", "FILE", "MESSAGE"):
        done = add("one", **{name: ""})
        assert done.returncode != 0
        assert name in done.stderr
    assert origin.store().returncode != 0


def test_the_token_is_masked_and_goes_into_no_file(origin):
    seen = origin.folder / "seen"
    script = 'grep -r "$BASIC" "$TMPDIR" > "$SEEN"; echo x >> "$2"'
    done = origin.store("bash", "-c", script, "name", GITHUB_ACTIONS="true", BASIC="c2VjcmV0", SEEN=str(seen))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("::add-mask::eC1hY2Nlc3MtdG9rZW46c2VjcmV0\n")  # base64 of x-access-token:secret
    assert "secret" not in done.stdout.replace("c2VjcmV0", "") + done.stderr
    assert seen.read_text() == ""


def test_a_remote_gets_the_token_in_the_header(origin, add):
    seen = []

    class Remote(BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.path.split("?")[0], self.headers["Authorization"]))
            self.send_error(403)

        def log_message(self, *words):
            pass

    with HTTPServer(("127.0.0.1", 0), Remote) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        done = add("one", REMOTE=f"http://127.0.0.1:{server.server_port}/lab/mimickit", no_proxy="*", NO_PROXY="*")
        server.shutdown()
    assert done.returncode not in (0, 2)
    assert seen[0] == ("/lab/mimickit/info/refs", "basic eC1hY2Nlc3MtdG9rZW46c2VjcmV0")
