"""Asks GitHub for the configuration of a runner that does one job and is then forgotten.

Prints the line ACTIONS_RUNNER_INPUT_JITCONFIG=..., which the runner takes out of its environment when it starts. The
token is read from a file that root alone can read, and goes into one request's header: no command line and no variable
ever has it. Standard library only, as prepare.sh runs it with the system's Python, 3.10 or newer.
"""

import argparse
import json
import re
import stat
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import IO

KEYS = ("api", "scope", "group", "labels")
SECONDS = 30.0


class FailedError(Exception):
    """There is no configuration; the message says what is wrong, and what would be right."""


@dataclass(frozen=True)
class Settings:
    """Where runners are registered: the API, repos/OWNER/REPOSITORY or orgs/OWNER, runner group and labels."""

    api: str
    scope: str
    group: int
    labels: tuple[str, ...]


def read_settings(path: Path) -> Settings:
    """Read runner.conf, a line ``key=value`` for each of KEYS."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    found = dict(line.partition("=")[::2] for line in lines)
    if sorted(found) != sorted(KEYS) or len(lines) != len(KEYS):
        raise FailedError(f"{path}: wants each of {', '.join(KEYS)} once, as key=value")
    address = urllib.parse.urlsplit(found["api"])
    if address.scheme != "https" and address.hostname != "127.0.0.1":
        raise FailedError(f"{path}: api must begin with https://, or the token could be read on its way")
    if not re.fullmatch(r"(repos/[\w.-]+/[\w.-]+|orgs/[\w.-]+)", found["scope"]):
        raise FailedError(f"{path}: scope must be repos/OWNER/REPOSITORY or orgs/OWNER, not {found['scope']}")
    if not found["group"].isdecimal() or not found["labels"]:
        raise FailedError(f"{path}: group must be a number, and labels at least one word")
    return Settings(found["api"].rstrip("/"), found["scope"], int(found["group"]), tuple(found["labels"].split(",")))


def read_token(path: Path, owner: int) -> str:
    """Read the token; nobody but ``owner`` may be able to."""
    about = path.stat()
    if about.st_uid != owner or stat.S_IMODE(about.st_mode) & 0o177:
        raise FailedError(f"{path}: others could have read the token; make a new one, with mode 600, of user {owner}")
    token = path.read_text(encoding="ascii").strip()
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise FailedError(f"{path}: is not one token in one line")
    return token


class Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: it would take the token along."""

    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> None:
        return None


def ask(settings: Settings, token: str, name: str) -> Mapping[str, object]:
    """POST .../actions/runners/generate-jitconfig, and what it answers."""
    url = f"{settings.api}/{settings.scope}/actions/runners/generate-jitconfig"
    body = {
        "name": name,
        "runner_group_id": settings.group,
        "labels": list(settings.labels),
        "work_folder": "_work",
    }
    headers = {
        "Accept": "application/vnd.github+json",
        "Authorization": f"Bearer {token}",
        "Content-Type": "application/json",
        "User-Agent": "mimickit-runner",
        "X-GitHub-Api-Version": "2022-11-28",
    }
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method="POST")
    try:
        with urllib.request.build_opener(Stay).open(request, timeout=SECONDS) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read(2000).decode("utf-8", "replace")
        raise FailedError(f"{url} answered {error.code}: {said}") from error
    except (OSError, ValueError) as error:
        raise FailedError(f"{url} did not answer: {error}") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(description="Ask GitHub for the configuration of a runner for one job.")
    parser.add_argument("--settings", type=Path, required=True, help="runner.conf")
    parser.add_argument("--token", type=Path, required=True, help="file with the token and nothing else")
    parser.add_argument("--name", required=True, help="the runner's name, of which there must be one alone")
    parser.add_argument("--owner", type=int, default=0, help="number of the user whom the token's file must belong to")
    options = parser.parse_args(arguments)
    try:
        settings = read_settings(options.settings)
        answer = ask(settings, read_token(options.token, options.owner), options.name)
        config = answer.get("encoded_jit_config") if isinstance(answer, dict) else None
        if not isinstance(config, str) or not re.fullmatch(r"[A-Za-z0-9+/=_-]+", config):
            raise FailedError("GitHub's answer has no encoded_jit_config")
    except (FailedError, OSError, UnicodeDecodeError) as error:
        print(f"no configuration for the runner: {error}", file=sys.stderr)
        return 1
    print(f"ACTIONS_RUNNER_INPUT_JITCONFIG={config}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
