"""``python -m ci``: one command at a time, and a clear word when something is missing."""

import subprocess
import sys
from pathlib import Path

import pytest

from ci import __main__ as command
from ci.__main__ import COMMANDS, main

REPOSITORY = Path(__file__).resolve().parents[2]


def run_without(package: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    code = f"import sys; sys.modules[{package!r}] = None; from ci.__main__ import main; sys.exit(main(sys.argv[1:]))"
    return subprocess.run([sys.executable, "-c", code, *arguments], cwd=REPOSITORY, capture_output=True, text=True)


def test_the_help_lists_every_command(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    printed = capsys.readouterr().out
    assert all(f"    {name} " in printed for name in COMMANDS)


@pytest.mark.parametrize("argv", [[], ["test"], ["--jobs", "2"]])
def test_no_command_is_an_error(argv, capsys):
    with pytest.raises(SystemExit) as ended:
        main(argv)
    assert ended.value.code == 2
    assert "usage: python -m ci" in capsys.readouterr().err


@pytest.mark.parametrize("package", ["junit_xml", "jinja2", "PIL", "imageio_ffmpeg", "numpy"])
def test_the_doctor_needs_none_of_the_packages_that_others_need(package):
    answer = run_without(package, "doctor", "--help")
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.startswith("usage: python -m ci doctor")


def test_a_missing_package_is_named():
    answer = run_without("junit_xml", "e2e", "--list")
    assert answer.returncode == 2
    assert answer.stderr.startswith("error: the package of the module 'junit_xml' is not installed for ")


def test_a_wrong_command_line_ends_with_code_2(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(command, "REPOSITORY", tmp_path)
    assert main(["e2e", "--resume", "nowhere"]) == 2
    assert "error: nowhere is no root of a run" in capsys.readouterr().err


def test_a_reader_that_leaves_gets_no_traceback():
    command = [sys.executable, "-m", "ci", "e2e", "--list"]
    process = subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
    process.stdout.close()
    assert process.wait(timeout=60) == 1
    assert process.stderr.read() == b""
    process.stderr.close()
