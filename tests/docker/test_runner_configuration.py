"""A runner's configuration for one job: asked for as GitHub's reference says, with a token that stays where it is."""

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

RUNNER = Path(__file__).resolve().parents[2] / "docker" / "runner"
TOKEN = "github_pat_" + "x" * 40
CONFIG = base64.b64encode(b'{".runner": "e30="}').decode()


class GitHub(http.server.BaseHTTPRequestHandler):
    """Answers with what the test has put on the server, and keeps what it was asked."""

    server: Any

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.asked.append((self.path, dict(self.headers), body))
        status, headers, body = self.server.answer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body.encode())

    def do_GET(self) -> None:
        self.server.asked.append((self.path, dict(self.headers), None))
        self.send_error(404)

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def github() -> Iterator[Any]:
    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), GitHub)
    server.asked = []
    server.answer = (201, {}, json.dumps({"runner": {"id": 23}, "encoded_jit_config": CONFIG}))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def jit(
    folder: Path, github: Any, mode: int = 0o600, token: str = TOKEN, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Ask the made GitHub for a configuration."""
    api = f"http://127.0.0.1:{github.server_address[1]}"
    values = {"api": api, "scope": "repos/octo/gym", "group": "1", "labels": "self-hosted,linux,x64,gpu", **settings}
    (folder / "runner.conf").write_text("".join(f"{key}={value}\n" for key, value in values.items()))
    path = folder / "token"
    path.write_text(token + "\n")
    path.chmod(mode)
    command = [sys.executable, "-I", str(RUNNER / "jit_config.py"), "--settings", str(folder / "runner.conf")]
    command += ["--token", str(path), "--owner", str(os.getuid()), "--name", "host-3-1"]
    done = subprocess.run(command, env={}, capture_output=True, text=True, timeout=60, check=False)
    assert TOKEN not in done.stdout + done.stderr
    return done


def test_a_configuration_is_asked_for_as_github_s_reference_says(tmp_path, github):
    done = jit(tmp_path, github)
    assert (done.returncode, done.stdout) == (0, f"ACTIONS_RUNNER_INPUT_JITCONFIG={CONFIG}\n")
    ((path, headers, body),) = github.asked
    assert path == "/repos/octo/gym/actions/runners/generate-jitconfig"
    assert headers["Authorization"] == f"Bearer {TOKEN}"
    assert headers["Accept"] == "application/vnd.github+json"
    assert body == {
        "name": "host-3-1",
        "runner_group_id": 1,
        "labels": ["self-hosted", "linux", "x64", "gpu"],
        "work_folder": "_work",
    }


def test_an_organization_s_runner_and_another_group(tmp_path, github):
    assert jit(tmp_path, github, scope="orgs/octo", group="5", labels="mimickit").returncode == 0
    ((path, _, body),) = github.asked
    assert path == "/orgs/octo/actions/runners/generate-jitconfig"
    assert (body["runner_group_id"], body["labels"]) == (5, ["mimickit"])


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o700])
def test_a_token_that_others_can_read_is_not_used(tmp_path, github, mode):
    done = jit(tmp_path, github, mode=mode)
    assert (done.returncode, done.stdout, github.asked) == (1, "", [])
    assert "others could have read the token" in done.stderr


@pytest.mark.parametrize("token", ["", "two words", "two\nlines"])
def test_what_is_no_token_is_not_sent(tmp_path, github, token):
    done = jit(tmp_path, github, token=token)
    assert (done.returncode, github.asked) == (1, [])


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_token_does_not_go_where_it_is_sent_on_to(tmp_path, github, status):
    github.answer = (status, {"Location": f"http://127.0.0.1:{github.server_address[1]}/elsewhere"}, "")
    assert jit(tmp_path, github).returncode == 1
    assert len(github.asked) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (403, {}, '{"message": "Resource not accessible by personal access token"}'),
        (201, {}, "{}"),
        (201, {}, "[]"),
        (201, {}, "no JSON"),
        (201, {}, json.dumps({"encoded_jit_config": "x\nLD_PRELOAD=/evil.so"})),
        (201, {}, json.dumps({"encoded_jit_config": 7})),
    ],
)
def test_an_answer_without_a_configuration_is_an_error(tmp_path, github, answer):
    github.answer = answer
    done = jit(tmp_path, github)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("no configuration for the runner: ")


@pytest.mark.parametrize(
    "settings",
    [
        {"api": "http://api.github.com"},
        {"scope": "repos/octo"},
        {"scope": "repos/octo/gym/../../user"},
        {"group": "default"},
        {"labels": ""},
        {"other": "x"},
    ],
)
def test_settings_that_are_wrong_are_an_error(tmp_path, github, settings):
    done = jit(tmp_path, github, **settings)
    assert (done.returncode, github.asked) == (1, [])
    assert "runner.conf" in done.stderr
