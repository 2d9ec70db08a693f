"""What a change touches: git's answer, and the cases of the real repository."""

import subprocess
from pathlib import Path

import pytest

from ci.cases import Case, discover
from ci.plan.changes import Selection, changed_paths, select_changed, select_changed_from
from ci.plan.dependencies import all_dependencies

REPOSITORY = Path(__file__).parents[3]
CASES = discover(REPOSITORY)
NAMES = tuple(case.name for case in CASES)
# The first two in reverse order of name are the fastest.
SECONDS = {name: float(len(NAMES) - number) for number, name in enumerate(NAMES)}
FASTEST = tuple(sorted(NAMES[-2:]))
ALL = object()


@pytest.fixture(scope="module")
def dependencies():
    return all_dependencies(REPOSITORY, CASES)


def those(*parts):
    """The cases whose name has one of ``parts`` in it."""
    return tuple(name for name in NAMES if any(part in name for part in parts))


SMP = tuple(name for name in NAMES if name.startswith("smp_"))
WITH_AGENT = tuple(name for name in NAMES if not name.startswith(("view_motion", "dof_test")))
LOCOMOTION = (
    *("amp_location_humanoid_args", "amp_steering_humanoid_args", "ase_humanoid_args"),
    *("smp_dodgeball_humanoid_args", "smp_location_humanoid_args", "smp_steering_humanoid_args"),
)
FENCING_LOCOMOTION = tuple(f"{name}_humanoid_sword_shield_args" for name in ("amp_location", "amp_steering", "ase"))

TABLE = [
    # Documents and tests: no case reads them, and two run all the same.
    (["README.md"], FASTEST),
    (["docs/curves/go2_pace_h100_seed7.txt"], FASTEST),
    (["LICENSE"], FASTEST),
    ([".gitignore"], FASTEST),
    (["data/envs/README.md"], FASTEST),
    (["ci/README.md"], FASTEST),
    (["mimickit/engines/NOTES.md"], FASTEST),
    (["tests/ci/conftest.py"], FASTEST),
    (["tests/data/clip.pkl", "docs/benchmarks.md"], FASTEST),
    # Arg files and the configurations they name.
    (["args/vault_g1_args.txt"], ("vault_g1_args",)),
    (["args/vault_g1_args.txt", "args/amp_g1_args.txt"], ("amp_g1_args", "vault_g1_args")),
    (["data/envs/vault_g1_env.yaml"], ("vault_g1_args",)),
    (["data/envs/deepmimic_g1_env.yaml"], ("deepmimic_g1_ppo_args", "lcp_g1_ppo_args")),
    (["data/agents/lcp_g1_agent.yaml"], ("lcp_g1_ppo_args",)),
    (["data/agents/deepmimic_g1_ppo_agent.yaml"], ("deepmimic_g1_ppo_args", "vault_g1_args")),
    (["data/agents/amp_pi_plus_agent_hiutil.yaml"], ("amp_pi_plus_args",)),
    (["data/agents/smp_task_humanoid_agent.yaml"], ("smp_location_humanoid_args", "smp_steering_humanoid_args")),
    (["data/priors/prior_single_clip.yaml"], ("smp_humanoid_args",)),
    (["data/priors/prior_multi_clip.yaml"], tuple(name for name in SMP if name != "smp_humanoid_args")),
    (["data/datasets/dataset_humanoid_locomotion.yaml"], LOCOMOTION),
    (["data/datasets/dataset_humanoid_sword_shield.yaml"], ("ase_humanoid_sword_shield_args",)),
    # Documents and tests beside them add nothing.
    (["args/vault_g1_args.txt", "README.md", "tests/ci/conftest.py"], ("vault_g1_args",)),
    # Models, objects and clips. A clip may be made from another character than its own.
    (["data/assets/go2/go2.xml"], those("_go2_")),
    (["data/assets/sword_shield/humanoid_sword_shield.xml"], those("sword_shield")),
    (["data/assets/hightorque_pi_plus/pi_22dof.xml"], those("pi_plus")),
    (["data/assets/g1/g1.xml"], (*those("_g1_"), *LOCOMOTION, *FENCING_LOCOMOTION)),
    (["data/assets/objects/g1_wall.xml"], ("vault_g1_args",)),
    (["data/assets/objects/ball.xml"], ("smp_dodgeball_humanoid_args",)),
    (["data/assets/objects/steering_marker.xml"], those("_location_", "_steering_")),
    (["data/motions/g1/g1_vault.pkl"], ("vault_g1_args",)),
    # Modules.
    (["mimickit/learning/smp.py"], SMP),
    (["mimickit/learning/smp_prior/training.py"], SMP),
    (["mimickit/learning/ase.py"], those("ase_")),
    (["mimickit/learning/lcp.py"], ("lcp_g1_ppo_args",)),
    (["mimickit/learning/awr.py"], ("deepmimic_humanoid_awr_args",)),
    (["mimickit/learning/policy_free.py"], those("view_motion", "dof_test")),
    (["mimickit/learning/ppo.py"], tuple(name for name in WITH_AGENT if "awr" not in name)),
    (["mimickit/envs/task_dodgeball_env.py"], ("smp_dodgeball_humanoid_args",)),
    (["mimickit/envs/task_steering_env.py"], those("_steering_")),
    (["mimickit/envs/static_objects_env.py"], those("vault_")),
    (["mimickit/envs/add_env.py"], those("add_")),
    (["mimickit/envs/view_motion_env.py"], those("view_motion")),
    (["mimickit/envs/dof_test_env.py", "mimickit/learning/lcp.py"], those("dof_test", "lcp")),
    (["mimickit/envs/char_env.py"], NAMES),
    (["mimickit/__init__.py"], NAMES),
    (["mimickit/run.py"], NAMES),
    (["mimickit/learning/checkpoint.py"], NAMES),
    (["mimickit/engines/mujoco_engine.py"], NAMES),
    (["mimickit/engines/newton_engine.py"], NAMES),
    (["mimickit/render/recorder.py"], NAMES),
    (["mimickit/data/recipes/g1.py"], NAMES),
    (["data/engines/mujoco_engine.yaml"], NAMES),
    (["ci/run/runner.py"], NAMES),
    (["ci/case_seconds.tsv"], NAMES),
    # Nobody knows what these do.
    (["pyproject.toml"], ALL),
    (["constraints.txt"], ALL),
    (["noxfile.py"], ALL),
    ([".ci/run"], ALL),
    ([".github/workflows/matrix.yml"], ALL),
    (["docker/Dockerfile"], ALL),
    (["args/removed_args.txt"], ALL),
    (["mimickit/envs/removed_env.py"], ALL),
    (["data/envs/new_env_nobody_names.yaml"], ALL),
    (["mimickit/bench/cpu.py"], ALL),
    (["LICENSE.txt"], ALL),
    (["mimickit/tests/x.py"], ALL),
    (["args/vault_g1_args.txt", "README.md", "pyproject.toml"], ALL),
    ([], ALL),
]


def test_the_table_is_as_long_as_promised():
    assert len(TABLE) >= 35


@pytest.mark.parametrize(("paths", "expected"), TABLE, ids=[" ".join(paths) or "nothing" for paths, _ in TABLE])
def test_real_changes(dependencies, paths, expected):
    found = select_changed(CASES, paths, dependencies, SECONDS)
    if expected is ALL:
        assert found.names == NAMES
        assert found.why.startswith("all: ")
        assert not paths or found.why.count(paths[-1])
        return
    assert found.names == tuple(sorted(expected))
    if expected is not FASTEST:
        assert (
            found.why
            == f"{len(expected)} of {len(NAMES)} read what changed: {', '.join(p for p in paths if p in found.why)}"
        )


def test_a_new_arg_file_selects_itself(dependencies):
    new = Case("new_args", "args/new_args.txt", "new", "trainable", "train", "", "")
    known = {**dependencies, "new_args": frozenset({"args/new_args.txt"})}
    found = select_changed([*CASES, new], ["args/new_args.txt"], known, {**SECONDS, "new_args": 1.0})
    assert found.names == ("new_args",)


def test_a_change_that_concerns_none_of_the_chosen_cases_gives_all_of_them(dependencies):
    chosen = [case for case in CASES if "vault" in case.name]
    found = select_changed(chosen, ["mimickit/learning/smp.py"], dependencies, SECONDS)
    assert found == Selection(those("vault_"), "all: none of these cases reads mimickit/learning/smp.py")


def test_why_names_a_few_paths_and_counts_the_rest(dependencies):
    paths = [f"new/{number}" for number in range(5)]
    why = select_changed(CASES, paths, dependencies, SECONDS).why
    assert "new/0, new/1, new/2 and 2 more" in why


@pytest.fixture
def checkout(tmp_path):
    """A repository whose branch left main, which then went on."""
    folder = tmp_path / "checkout"
    folder.mkdir()

    def git(*arguments):
        command = ["git", "-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false"]
        subprocess.run([*command, *arguments], cwd=folder, check=True, capture_output=True)

    def write(name, text="x\n"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)

    git("init", "--initial-branch=main")
    for name in ("kept.py", "edited.py", "old name.py", "gone.py", "staged.py"):
        write(name, f"{name}\n" * 20)
    write(".gitignore", "*.log\n")
    git("add", ".")
    git("commit", "-m", "first")
    git("checkout", "-b", "branch")
    write("only_on_main.py")
    git("checkout", "-b", "elsewhere")
    git("add", ".")
    git("commit", "-m", "main goes on")
    git("branch", "-f", "main", "elsewhere")
    git("checkout", "branch")
    return folder, git, write


def test_nothing_changed(checkout):
    folder, _, _ = checkout
    assert changed_paths(folder, "main") == ()


def test_commits_the_index_the_working_tree_and_new_files_count(checkout):
    folder, git, write = checkout
    git("mv", "old name.py", "néw\tname.py")
    git("rm", "gone.py")
    write("committed/new.py")
    git("add", ".")
    git("commit", "-m", "second")
    write("staged.py", "staged\n")
    git("add", "staged.py")
    write("edited.py", "edited\n")
    write("deep/er/untracked.py")
    write("ignored.log")
    changed = {"committed/new.py", "deep/er/untracked.py", "edited.py", "gone.py", "néw\tname.py", "old name.py"}
    assert changed_paths(folder, "main") == tuple(sorted({*changed, "staged.py"}))
    assert changed_paths(folder, "HEAD") == ("deep/er/untracked.py", "edited.py", "staged.py")


def test_a_rename_that_is_not_committed_has_both_paths(checkout):
    folder, git, _ = checkout
    git("mv", "kept.py", "moved.py")
    assert changed_paths(folder, "main") == ("kept.py", "moved.py")


@pytest.mark.parametrize("ref", ["nowhere", "", "--all", "-h", "main..branch", "main:kept.py"])
def test_what_is_no_commit_is_an_error(checkout, ref):
    with pytest.raises(ValueError, match="git rev-parse failed"):
        changed_paths(checkout[0], ref)


def test_no_common_commit_is_an_error_that_speaks_of_shallow_clones(checkout):
    folder, git, _ = checkout
    git("checkout", "--orphan", "island")
    git("commit", "-m", "alone")
    with pytest.raises(ValueError, match="main and HEAD have no common commit here; a shallow clone"):
        changed_paths(folder, "main")


def test_outside_the_top_of_a_checkout_is_an_error(checkout, tmp_path):
    folder, _, write = checkout
    write("inner/file.py")
    with pytest.raises(ValueError, match="not the top of a git checkout"):
        changed_paths(folder / "inner", "main")
    with pytest.raises(ValueError, match="git rev-parse failed"):
        changed_paths(tmp_path, "main")


def test_an_error_gives_every_case_and_says_what_it_was(checkout):
    folder, _, write = checkout
    cases = [
        Case(name, f"args/{name}.txt", "x", "trainable", "train", "", "data/envs/e.yaml")
        for name in ("b_args", "a_args")
    ]
    for case in cases:
        write(case.arg_file, "--env_config data/envs/e.yaml\n")
    write("data/envs/e.yaml", "env_name: [\n")
    found = select_changed_from(folder, "main", cases, cases, {"a_args": 1.0, "b_args": 1.0})
    assert found.names == ("a_args", "b_args")
    assert "data/envs/e.yaml is not YAML" in found.why
    found = select_changed_from(folder, "nowhere", cases, cases, {"a_args": 1.0, "b_args": 1.0})
    assert found.names == ("a_args", "b_args")
    assert found.why.startswith("all: it cannot be told what changed since nowhere: git rev-parse failed")
