"""``python -m mimickit.config``: many cases as JSON, read by a program."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from mimickit.config.__main__ import main
from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import format_case, load_case

CASE = "args/deepmimic_humanoid_ppo_args.txt"
SMP = "args/smp_humanoid_args.txt"
ENV = "data/envs/deepmimic_humanoid_env.yaml"


@pytest.fixture
def printed(project: Path, repository: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    """What a command line prints, read back."""
    shutil.copytree(repository / "data" / "priors", project / "data" / "priors")

    def run(*argv: str) -> Any:
        assert main(argv) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_every_value_comes_with_its_file_and_line(printed: Any) -> None:
    entry = printed(CASE)[CASE]
    values = entry["values"]
    lines = Path(ENV).read_text().splitlines()
    value, source = (values["env.episode_length"][key] for key in ("value", "source"))
    place, line = source.rsplit(":", 1)
    assert (place, value) == (ENV, 10.0)
    assert lines[int(line) - 1].startswith("episode_length: 10.0")
    assert values["run.arg_file"] == {"value": CASE, "source": "command line"}
    assert values["run.max_samples"] == {"value": None, "source": "default"}
    assert values["agent.model.actor_net"]["value"] == "fc_2layers_1024units"
    assert entry["problem"] is None


def flat(value: Any, prefix: str) -> dict[str, Any]:
    """Nested mappings under dotted keys; the engine's overrides and empty mappings stay as they are."""
    if not isinstance(value, dict) or not value or prefix == "env.engine":
        return {prefix: value}
    return {key: item for name, inner in value.items() for key, item in flat(inner, f"{prefix}.{name}").items()}


def test_the_values_are_those_that_a_run_prints(printed: Any) -> None:
    values = printed(CASE)[CASE]["values"]
    said = yaml.safe_load(format_case(load_case(parse_run_arguments(["--arg_file", CASE]))))
    expected = {key: item for group, part in said.items() for key, item in flat(part, group).items()}
    assert {key: entry["value"] for key, entry in values.items()} == expected


def test_another_engine_is_put_in_place_of_each_files_own(printed: Any) -> None:
    values = printed(CASE, "--engine_config", "data/engines/mujoco_engine.yaml")[CASE]["values"]
    assert values["engine.engine_name"]["value"] == "mujoco"
    assert values["run.engine_config"]["source"] == "command line"


def test_a_case_that_lacks_only_its_prior_or_clip_is_still_read(printed: Any) -> None:
    Path("data/motions/humanoid/humanoid_walk.pkl").unlink()
    Path("data/motions/humanoid/humanoid_spinkick.pkl").unlink()
    entries = printed(SMP, CASE)
    for name, key in ((SMP, "motion_file"), (CASE, "motion_file")):
        assert f"'{key}' must name a file" in entries[name]["problem"]
        assert entries[name]["values"]["env.motion_file"]["value"] == "data/motions/humanoid/humanoid_spinkick.pkl"
    Path("data/motions/humanoid/humanoid_spinkick.pkl").touch()
    entry = printed(SMP)[SMP]
    assert "'smp_prior_model' must name a file" in entry["problem"]
    assert entry["values"]["agent.smp_prior_model"]["value"].endswith("humanoid_spinkick.pt")


def test_a_case_that_cannot_be_read_does_not_hide_the_others(printed: Any) -> None:
    Path(ENV).write_text(Path(ENV).read_text().replace("episode_length:", "episode_lenght:"))
    entries = printed(CASE, "args/nothing_args.txt", SMP)
    assert entries[CASE]["values"] == entries["args/nothing_args.txt"]["values"] == {}
    assert "unknown key 'episode_lenght'; the nearest valid key is 'episode_length'" in entries[CASE]["problem"]
    assert "args/nothing_args.txt does not exist" in entries["args/nothing_args.txt"]["problem"]
    assert entries[SMP]["values"]


def test_an_unlimited_number_is_named(printed: Any) -> None:
    """JSON has no infinity; pose_termination_dist is unlimited where nobody says otherwise."""
    assert printed(SMP)[SMP]["values"]["env.pose_termination_dist"] == {"value": "inf", "source": "default"}


def test_it_runs_without_torch(repository: Path) -> None:
    code = (
        "import sys; sys.argv[1:] = ['args/dof_test_humanoid_args.txt']; import runpy\n"
        "try: runpy.run_module('mimickit.config', run_name='__main__')\n"
        "except SystemExit as end: assert end.code == 0\n"
        "assert 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True)
    assert json.loads(answer.stdout)["args/dof_test_humanoid_args.txt"]["problem"] is None
