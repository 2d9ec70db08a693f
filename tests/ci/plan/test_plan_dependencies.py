"""What a case reads: rules on a small repository, and the walk held against what real processes open and import."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ci.cases import discover
from ci.plan.dependencies import PRIOR_KEY, all_dependencies, case_dependencies
from ci.run.priors import MODEL_KEY

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def write(tmp_path):
    """Writes files of a small repository with two cases; ``repository`` is where."""

    def put(name, text=""):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    put.repository = tmp_path
    for name in ("__init__", "run", "learning/__init__", "learning/checkpoint", "data/__init__", "data/__main__"):
        put(f"mimickit/{name}.py")
    for name, env, agent in (("one_args", "walk", "PPO"), ("two_args", "run", "SMP")):
        put(f"args/{name}.txt", f"--env_config data/envs/{env}.yaml\n--agent_config data/agents/{agent}.yaml\n")
        put(f"data/envs/{env}.yaml", f"env_name: {env}\n")
        put(f"data/agents/{agent}.yaml", f"agent_name: {agent}\nsteps_per_iter: 8\n")
    put("data/engines/mujoco_engine.yaml", "engine_name: mujoco\n")
    return put


def reads(write, name="one_args"):
    return all_dependencies(write.repository, discover(write.repository))[name]


def modules(write, name="one_args"):
    """Modules beyond those that every case of the small repository starts."""
    return {
        path.removeprefix("mimickit/").removesuffix(".py")
        for path in reads(write, name)
        if path.startswith("mimickit/") and (write.repository / path).read_text() == "# leaf\n"
    }


def leaves(write, *names):
    for name in names:
        write(f"mimickit/{name}.py", "# leaf\n")


def test_a_case_reads_its_own_files_the_engines_and_the_matrix(write):
    write("ci/run/runner.py")
    write("ci/report/page.html")
    write("ci/__pycache__/runner.pyc")
    assert reads(write) == {
        *("args/one_args.txt", "data/envs/walk.yaml", "data/agents/PPO.yaml", "data/engines/mujoco_engine.yaml"),
        *("ci/run/runner.py", "ci/report/page.html", "mimickit/__init__.py", "mimickit/run.py"),
        *("mimickit/learning/__init__.py", "mimickit/learning/checkpoint.py"),
        *("mimickit/data/__init__.py", "mimickit/data/__main__.py"),
    }


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("import mimickit.a.b.c\n", {"a/__init__", "a/b/__init__", "a/b/c"}),
        ("from mimickit.a import b, nothing\n", {"a/__init__", "a/b/__init__"}),
        ("from mimickit.a.b.c import value\n", {"a/__init__", "a/b/__init__", "a/b/c"}),
        ("from .a.b import c\n", {"a/__init__", "a/b/__init__", "a/b/c"}),
        ("from . import other\n", {"other"}),
        ("def f():\n    if x:\n        import mimickit.other\n", {"other"}),
        ("try:\n    import mimickit.other\nexcept ImportError:\n    pass\n", {"other"}),
        ("if TYPE_CHECKING:\n    import mimickit.other\nelse:\n    import mimickit.a\n", {"a/__init__"}),
        ("MODULE = 'mimickit.other'\n", {"other"}),
        ("importlib.import_module(f'mimickit.a.{name}')\n", {"a/__init__", "a/one", "a/two"}),
        ("'see mimickit.other'\nimport numpy, torch.other\n", set()),
    ],
)
def test_modules_are_found_however_they_are_named(write, text, expected):
    leaves(write, "a/__init__", "a/b/__init__", "a/b/c", "a/one", "a/two", "other", "unused")
    write("mimickit/run.py", text)
    assert modules(write) == expected


def test_modules_are_followed_through_modules_and_round_in_circles(write):
    write("mimickit/run.py", "import mimickit.middle\n")
    write("mimickit/middle.py", "from mimickit.pack import deep\nimport mimickit.run\n")
    write("mimickit/pack/__init__.py", "from ..beside import x\n")
    leaves(write, "pack/deep", "beside")
    assert modules(write) == {"pack/deep", "beside"}


TABLES = """
AGENTS = {"PPO": ("mimickit.ppo", "P"), "SMP": Entry("mimickit.smp", "S"), "unused": ("mimickit.unused", "U")}
ENVS = {"walk": "mimickit.walk", "run": "mimickit.run_env"}
BACKENDS = {"mujoco": "mimickit.mujoco_engine", "newton": "mimickit.newton_engine"}
NO_NAMES = {"left": "mimickit.left", "right": "mimickit.right"}
BY_NUMBER = {1: "mimickit.first"}
"""


def test_of_a_table_by_name_only_the_cases_own_entries_count(write):
    names = ("ppo", "smp", "unused", "walk", "run_env", "mujoco_engine", "newton_engine", "left", "right", "first")
    leaves(write, *names)
    write("mimickit/run.py", TABLES)
    always = {"mujoco_engine", "left", "right", "first"}
    assert modules(write, "one_args") == {"ppo", "walk", *always}
    assert modules(write, "two_args") == {"smp", "run_env", *always}


def test_every_engine_file_may_be_the_one(write):
    leaves(write, "mujoco_engine", "newton_engine")
    write("mimickit/run.py", TABLES)
    write("data/engines/newton_engine.yaml", "engine_name: newton\n")
    assert modules(write) == {"mujoco_engine", "newton_engine"}


def test_a_case_without_agent_has_the_agent_that_does_nothing(write):
    leaves(write, "ppo", "nothing")
    write("mimickit/run.py", 'AGENTS = {"PPO": "mimickit.ppo", "policy_free": "mimickit.nothing"}\n')
    write("args/view_args.txt", "--mode test\n--env_config data/envs/walk.yaml\n")
    assert modules(write, "view_args") == {"nothing"}
    assert modules(write, "one_args") == {"ppo"}


def test_a_prior_is_trained_by_a_program_of_its_own(write):
    assert PRIOR_KEY == MODEL_KEY
    leaves(write, "learning/smp_prior/__main__", "learning/smp_prior/__init__")
    assert modules(write, "two_args") == set()
    write("data/agents/SMP.yaml", "agent_name: SMP\nsmp_prior_model: data/models/none_yet.pt\n")
    assert modules(write, "two_args") == {"learning/smp_prior/__init__", "learning/smp_prior/__main__"}
    assert modules(write, "one_args") == set()


def test_paths_in_yaml_are_followed_wherever_they_stand(write):
    env = "env_name: walk\nobjects: [{pos: [0, 1], file: data/x/box.xml}]\ndeep: {er: {set: ./data/sets/all.yaml}}\n"
    write("data/envs/walk.yaml", env + "missing: data/x/none.xml\nabove: ../outside.txt\nfolder: data/x\nname: ''\n")
    write("data/sets/all.yaml", "motions:\n  - {file: data/x/mine.pkl}\nback: data/envs/walk.yaml\n")
    write("data/x/box.xml", "<mujoco/>")
    write("data/x/mine.pkl")
    write("../outside.txt")
    found = {path for path in reads(write) if not path.startswith(("args/", "mimickit/"))}
    own = {"data/envs/walk.yaml", "data/agents/PPO.yaml", "data/engines/mujoco_engine.yaml"}
    assert found == {*own, "data/sets/all.yaml", "data/x/box.xml", "data/x/mine.pkl"}


def test_a_yaml_that_contains_itself_ends(write):
    write("data/envs/walk.yaml", "env_name: walk\nloop: &loop [*loop, data/agents/SMP.yaml]\n")
    assert "data/agents/SMP.yaml" in reads(write)


def test_models_name_meshes_below_their_folders_and_other_models(write):
    write("data/envs/walk.yaml", "env_name: walk\nchar_file: data/m/a/body.xml\n")
    write(
        "data/m/a/body.xml",
        '<mujoco><compiler meshdir="../meshes" texturedir="pictures"/><include file="more.xml"/>'
        '<asset><mesh file="arm.stl"/><mesh file="own.stl"/><texture fileright="side.png"/></asset>'
        '<asset><mesh file="none.stl"/><mesh file="../../../../escape.stl"/></asset></mujoco>',
    )
    write("data/m/a/more.xml", '<mujocoinclude><mesh file="more.stl"/></mujocoinclude>')
    expected = {f"data/m/{n}" for n in ("a/body.xml", "a/more.xml", "meshes/arm.stl", "a/own.stl", "a/more.stl")}
    expected.add("data/m/a/pictures/side.png")
    for path in expected - {"data/m/a/body.xml", "data/m/a/more.xml"}:
        write(path)
    write("data/m/unused.stl")
    assert {path for path in reads(write) if path.startswith("data/m/")} == expected


def test_paths_in_modules_count_where_the_module_does(write):
    write(
        "mimickit/run.py",
        'from pathlib import Path\nFOLDER = Path("data/objects")\nBALL = Path("data/objects/ball.xml")\n'
        'def f():\n    return FOLDER / "marker.xml"\nHELP = option(example="data/agents/SMP.yaml")\n',
    )
    for name in ("ball", "marker", "unused"):
        write(f"data/objects/{name}.xml", "<mujoco/>")
    found = reads(write)
    assert {"data/objects/ball.xml", "data/objects/marker.xml"} <= found
    assert not {"data/objects/unused.xml", "data/agents/SMP.yaml"} & found


def test_high_utilisation_agents_belong_to_pi_plus_alone(write):
    for name in ("walk_pi_plus_args", "other_args"):
        write(f"args/{name}.txt", "--env_config data/envs/walk.yaml\n--agent_config data/agents/PPO.yaml\n")
    write("data/agents/PPO_hiutil.yaml", "agent_name: PPO\nspecial: data/agents/special.txt\n")
    assert "data/agents/PPO_hiutil.yaml" in reads(write, "walk_pi_plus_args")
    assert "data/agents/PPO_hiutil.yaml" not in reads(write, "other_args")


def test_a_clip_need_not_be_built_and_brings_the_characters_it_is_made_from(write):
    write("data/envs/walk.yaml", "env_name: walk\nmotion_file: data/motions/hightorque_pi_plus/pi_plus_walk.pkl\n")
    write("data/assets/humanoid/humanoid.xml", "<mujoco/>")
    write("data/assets/hightorque_pi_plus/pi_22dof.xml", "<mujoco/>")
    found = {path for path in reads(write) if path.startswith(("data/assets", "data/motions"))}
    assert found == {
        "data/motions/hightorque_pi_plus/pi_plus_walk.pkl",
        "data/assets/humanoid/humanoid.xml",
        "data/assets/hightorque_pi_plus/pi_22dof.xml",
    }


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("mimickit/run.py", "def\n", "mimickit/run.py is not Python"),
        ("data/envs/walk.yaml", "a: [\n", "data/envs/walk.yaml is not YAML"),
        ("args/one_args.txt", "odd\n", "args/one_args.txt:1: a line must begin with a --key"),
        ("data/agents/PPO.yaml", "body: data/x.xml\n", "data/x.xml is not XML"),
    ],
)
def test_what_cannot_be_read_is_an_error(write, name, text, words):
    write("data/x.xml", "<mujoco>")
    write(name, text)
    with pytest.raises(ValueError, match=words):
        reads(write)


def test_one_case_alone_is_the_same_when_its_names_are_its_own(write):
    (case, _) = discover(write.repository)
    assert case_dependencies(write.repository, case) == reads(write)


def test_a_module_is_parsed_once(write, monkeypatch):
    parsed = []
    read = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, **named: (parsed.append(path.name), read(path, **named))[1])
    all_dependencies(write.repository, discover(write.repository))
    assert parsed.count("run.py") == parsed.count("mujoco_engine.yaml") == 1


def test_the_real_cases_take_well_under_two_seconds_and_no_framework():
    code = (
        "import sys, time; from pathlib import Path; from ci.cases import discover; from ci.plan import command\n"
        "from ci.plan.dependencies import all_dependencies\n"
        "started = time.perf_counter(); repository = Path.cwd()\n"
        "found = all_dependencies(repository, discover(repository)); print(time.perf_counter() - started)\n"
        "print(len(found), sorted({'torch', 'mujoco', 'newton', 'warp'} & set(sys.modules)))"
    )
    answer = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    seconds, rest = answer.stdout.splitlines()
    assert float(seconds) < 2.0
    assert rest == f"{len(list((REPOSITORY / 'args').glob('*.txt')))} []"


# Builds a case as a training does, without training it, and prints what was imported and opened on the way. A prior is
# not there and takes long to train: of an agent that needs one, and of the program that trains it, only the modules.
REAL = """
import importlib, json, os, runpy, sys
opened = set()
sys.addaudithook(lambda event, given: opened.add(given[0]) if event == "open" and isinstance(given[0], str) else None)
name = sys.argv[1]
sys.argv = ["mimickit.data", "ensure", "--case", f"args/{name}.txt"]
try:
    runpy.run_module("mimickit.data", run_name="__main__")
except SystemExit as ended:
    assert not ended.code, ended.code
import mimickit.run, mimickit.launch, mimickit.learning.checkpoint
import torch
from mimickit.config.arguments import parse_run_arguments
from mimickit.config.case import load_case
from mimickit.envs import Share, build_env
from mimickit.learning.agents import AGENTS, build_agent
from mimickit.learning.processes import Processes
given = ["--arg_file", f"args/{name}.txt", "--engine_config", "data/engines/mujoco_engine.yaml", "--num_envs", "2"]
case = load_case(parse_run_arguments([*given, "--devices", "cpu"]), to_be_made=("smp_prior_model",))
cpu = torch.device("cpu")
env = build_env(case.env, case.engine, Share(2, cpu, 1))
if hasattr(case.agent, "smp_prior_model"):
    importlib.import_module(AGENTS[case.agent.agent_name][0])
    import mimickit.learning.smp_prior.__main__, mimickit.learning.smp_prior.training
else:
    build_agent(case.agent, env, Processes(0, 1, cpu), 1)
env.close()
files = {module.__file__ for key, module in sys.modules.items() if key.split(".")[0] == "mimickit" and module.__file__}
print(json.dumps([sorted(files), sorted(opened)]))
"""


@pytest.mark.parametrize("name", ["smp_dodgeball_humanoid_args", "vault_g1_args", "view_motion_pi_plus_args"])
def test_what_a_real_case_imports_and_opens_was_foreseen(name):
    found = all_dependencies(REPOSITORY, discover(REPOSITORY))[name]
    clips = [path for path in found if path.startswith("data/motions/")]
    assert clips
    if not all((REPOSITORY / clip).is_file() for clip in clips):
        pytest.skip("its clips are not built: nox -s data")
    answer = subprocess.run(
        [sys.executable, "-c", REAL, name], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    imported, opened = json.loads(answer.stdout.splitlines()[-1])
    modules = {inside(path) for path in imported}
    assert "mimickit/envs/__init__.py" in modules
    assert len(modules) > 40
    assert not modules - found
    data = {path for path in map(inside, opened) if path and path.startswith(("data/", "args/"))}
    assert f"args/{name}.txt" in data
    assert not data - found


def inside(path):
    """The path relative to the repository, None for one elsewhere."""
    whole = (REPOSITORY / path).resolve()
    return whole.relative_to(REPOSITORY).as_posix() if whole.is_relative_to(REPOSITORY) else None


def test_the_walk_ends_at_what_other_cases_start():
    found = all_dependencies(REPOSITORY, discover(REPOSITORY))
    assert "mimickit/learning/smp.py" not in found["amp_humanoid_args"]
    assert "data/agents/deepmimic_humanoid_ppo_agent.yaml" not in found["amp_humanoid_args"]
    assert not any(path.startswith("tests/") for paths in found.values() for path in paths)
