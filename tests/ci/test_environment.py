"""The shared environment is installed once, and again when what it is made from changes."""

from pathlib import Path

import pytest

from ci import environment
from ci.environment import ensure_environment


class Installer:
    """Stands in for running commands: makes the interpreter that virtualenv would make."""

    def __init__(self, fail_on=None):
        self.commands = []
        self.fail_on = fail_on

    def __call__(self, command):
        self.commands.append(list(command))
        if self.fail_on in command:
            raise RuntimeError("failed")
        if "virtualenv" in command:
            python = Path(command[-1]) / "bin" / "python"
            python.parent.mkdir(parents=True)
            python.touch()


@pytest.fixture
def repository(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\n")
    (tmp_path / "constraints.txt").write_text("a==1\n")
    return tmp_path


def test_it_is_installed_once_with_the_constraints(repository):
    target = repository / ".nox" / "mimickit"
    installer = Installer()
    python = ensure_environment(repository, target, installer)
    assert python == target / "bin" / "python"
    pip = [str(python), "-m", "pip", "install", "-c", str(repository / "constraints.txt"), "-e", f"{repository}[dev]"]
    assert installer.commands[1:] == [pip]
    again = Installer()
    assert ensure_environment(repository, target, again) == python
    assert again.commands == []


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_a_changed_input_installs_again(repository, name):
    target = repository / ".nox" / "mimickit"
    ensure_environment(repository, target, Installer())
    (repository / name).write_text("changed\n")
    with pytest.raises(RuntimeError, match="failed"):
        ensure_environment(repository, target, Installer(fail_on="virtualenv"))


def test_an_installation_that_broke_off_does_not_count(repository):
    target = repository / ".nox" / "mimickit"
    with pytest.raises(RuntimeError, match="failed"):
        ensure_environment(repository, target, Installer(fail_on="pip"))
    assert (target / "bin" / "python").exists()
    assert not environment.is_current(repository, target)
