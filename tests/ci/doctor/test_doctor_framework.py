"""The doctor's checks of cases, data, torch, drawing and engines, each in its good and its bad states."""

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ci.doctor import framework_checks as checks
from ci.doctor.finding import State
from ci.doctor.machine import Gpus, Machine
from ci.doctor.probes import CLIPS, Answer, ask
from ci.host import Gpu

REPOSITORY = Path(checks.__file__).resolve().parents[2]
WALK = "deepmimic_humanoid_ppo_args"
ARG_FILE = f"args/{WALK}.txt"
ENV = "data/envs/deepmimic_humanoid_env.yaml"
CLIP = "data/motions/humanoid/humanoid_spinkick.pkl"
PRIOR = "data/models/smp_priors/humanoid_spinkick.pt"


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two cases of the real repository with everything they name; their clip is an empty file."""
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    for folder in ("data/engines", "data/envs", "data/agents", "data/priors", "data/assets/humanoid"):
        shutil.copytree(REPOSITORY / folder, tmp_path / folder)
    (tmp_path / "args").mkdir()
    for name in (WALK, "smp_humanoid_args"):
        shutil.copy(REPOSITORY / "args" / f"{name}.txt", tmp_path / "args")
    (tmp_path / CLIP).parent.mkdir(parents=True)
    (tmp_path / CLIP).touch()
    return tmp_path


def edit(path, old, new):
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))


def test_cases(repository):
    finding = checks.check_cases(Machine(repository))
    assert (finding.state, finding.found) == (State.OK, "2 in args/, all readable")
    edit(repository / ENV, "episode_length:", "episode_lenght:")
    finding = checks.check_cases(Machine(repository))
    assert finding.state is State.FIX
    assert finding.found.startswith(f"{WALK}: {ENV}:")
    assert "unknown key 'episode_lenght'; the nearest valid key is 'episode_length'" in finding.found


def test_no_case_at_all(tmp_path):
    assert checks.check_cases(Machine(tmp_path)).state is State.FIX


def git(repository, *arguments):
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    subprocess.run(["git", "-C", str(repository), *identity, *arguments], check=True, capture_output=True)


def test_characters(repository):
    git(repository, "init")
    git(repository, "add", "data/assets")
    git(repository, "commit", "-m", "characters")
    finding = checks.check_characters(Machine(repository))
    assert (finding.state, finding.found) == (State.OK, "1, the repository's own")
    (repository / "data/assets/humanoid/humanoid.xml").write_text("<mujoco/>")
    finding = checks.check_characters(Machine(repository))
    assert finding.state is State.OK
    assert finding.found.startswith("1; humanoid: not the repository's")
    (repository / "data/assets/humanoid/humanoid.xml").unlink()
    finding = checks.check_characters(Machine(repository))
    assert (finding.state, finding.found) == (State.FIX, "no character in data/assets/humanoid")


def test_clips(repository):
    finding = checks.check_clips(Machine(repository))
    assert finding.state is State.OK
    assert finding.found == "1 of 2 case(s), all there; 1 not built here (the published archive's, or your own)"
    (repository / "data/motions/.built.json").write_text('{"humanoid/humanoid_spinkick.pkl": {}}')
    assert checks.check_clips(Machine(repository)).found == "1 of 2 case(s), all there"
    (repository / CLIP).unlink()
    finding = checks.check_clips(Machine(repository))
    assert (finding.state, finding.found) == (State.LOOK, f"1 of 1 not built, for {WALK}, smp_humanoid_args")
    assert finding.remedy.startswith("nox -s data")


def test_a_clip_that_no_recipe_builds(repository):
    edit(repository / ENV, "humanoid_spinkick.pkl", "humanoid_spinkik.pkl")
    finding = checks.check_clips(Machine(repository))
    assert finding.state is State.FIX
    assert finding.found == "missing, and no recipe builds it: data/motions/humanoid/humanoid_spinkik.pkl"


def test_a_case_whose_clips_cannot_be_told(repository):
    (repository / "args" / "odd_args.txt").write_text("--num_envs 3\n")
    finding = checks.check_clips(Machine(repository))
    assert finding.state is State.FIX
    assert "args/odd_args.txt: no line says --env_config" in finding.found


def test_only_the_clips_and_priors_of_the_case_asked_about(repository):
    machine = Machine(repository, arg_file=ARG_FILE)
    assert list(machine.clips) == [ARG_FILE]
    assert checks.check_priors(machine).found == "none is named"
    assert sorted(Machine(repository, arg_file="args/none.txt").clips) == [ARG_FILE, "args/smp_humanoid_args.txt"]


def test_priors(repository):
    finding = checks.check_priors(Machine(repository))
    assert (finding.state, finding.found) == (State.LOOK, f"1 of 1 not trained: {PRIOR}")
    assert "--arg_file args/smp_humanoid_args.txt;" in finding.remedy
    (repository / PRIOR).parent.mkdir(parents=True)
    (repository / PRIOR).touch()
    finding = checks.check_priors(Machine(repository))
    assert (finding.state, finding.found) == (State.OK, "1 named, all there")


@pytest.mark.parametrize(
    ("device", "file", "state"),
    [
        ("cpu", "wp_mujoco_warp._src.solver_1/module.o", State.OK),
        ("cpu", "wp_mujoco_warp._src.solver_1/module.sm90.cubin", State.LOOK),
        ("cuda:0", "wp_mujoco_warp._src.solver_1/module.sm90.cubin", State.OK),
        ("cuda:0", "wp_mujoco_warp._src.solver_1/module.o", State.LOOK),
        ("cpu", "wp_newton._src.viewer.kernels_1/module.o", State.LOOK),
        ("cpu", None, State.LOOK),
    ],
)
def test_kernels_are_warm_when_the_solver_is_compiled_for_the_device(
    repository, tmp_path, monkeypatch, device, file, state
):
    monkeypatch.setenv("WARP_CACHE_PATH", str(tmp_path / "warp"))
    monkeypatch.setattr(checks, "installed_version", lambda name: "1.19.0")
    files = [f"1.18.0/wp_mujoco_warp._src.solver_1/module.{'o' if device == 'cpu' else 'ptx'}"]  # of another version
    for name in [*files, *([f"1.19.0/{file}"] if file else [])]:
        path = tmp_path / "warp" / name
        path.parent.mkdir(parents=True)
        path.touch()
    machine = Machine(repository, engine_config="data/engines/newton_engine.yaml")
    gpus = (Gpu("H100", 80.0, "570"),) if device != "cpu" else ()
    machine.__dict__["gpus"] = Gpus(gpus)
    assert machine.device == device
    finding = checks.check_kernels(machine)
    assert finding.state is state
    assert finding.found.startswith("warm: 1 modules" if state is State.OK else "cold: none")
    assert ("WARP_CACHE_PATH" in finding.remedy) == (state is State.LOOK)


def test_mujoco_has_no_kernels(repository):
    finding = checks.check_kernels(Machine(repository, engine_config="data/engines/mujoco_engine.yaml"))
    assert (finding.state, finding.found) == (State.OK, "the engine mujoco compiles none")


@pytest.fixture
def answers(monkeypatch):
    """Sets what the next process answers."""

    def say(returncode=0, errors="", **found):
        answer = Answer(returncode, json.dumps(found) + "\n", errors, 1.5)
        monkeypatch.setattr(checks, "ask", lambda *arguments: answer)

    return say


H100 = Gpu("H100", 80.0, "570.1")


@pytest.mark.parametrize(
    ("gpus", "cuda", "devices", "state", "words"),
    [
        (0, None, 0, State.OK, "built for the CPU"),
        (0, "13.0", 0, State.OK, "built for CUDA 13.0"),
        (1, None, 0, State.FIX, "it cannot use the GPU"),
        (1, "13.0", 0, State.FIX, "it finds no GPU"),
        (2, "13.0", 1, State.LOOK, "it sees 1 of 2 GPUs"),
        (2, "13.0", 2, State.OK, "computes on 2 GPU(s)"),
    ],
)
def test_torch_against_the_gpus(tmp_path, answers, gpus, cuda, devices, state, words):
    machine = Machine(tmp_path)
    machine.__dict__["gpus"] = Gpus((H100,) * gpus)
    answers(version="2.13.0", cuda=cuda, devices=["H100"] * devices)
    finding = checks.check_torch(machine)
    assert finding.state is state
    assert words in finding.found


def test_a_torch_that_does_not_import(tmp_path, answers):
    answers(1, "Traceback\nImportError: libcudart.so.13: cannot open shared object file\n")
    finding = checks.check_torch(Machine(tmp_path))
    assert finding.state is State.FIX
    assert "exit code 1: ImportError: libcudart.so.13" in finding.found


def test_the_real_torch():
    assert checks.check_torch(Machine(REPOSITORY)).state is State.OK


def test_a_frame_that_shows_something(tmp_path, answers):
    answers(shape=[64, 96, 3], levels=91, renderer="llvmpipe")
    finding = checks.check_gl(Machine(tmp_path))
    assert (finding.state, finding.found) == (State.OK, "a frame of 96 x 64 in 1.5 s by llvmpipe")
    answers(shape=[64, 96, 3], levels=0, renderer="llvmpipe")
    assert checks.check_gl(Machine(tmp_path)).state is State.FIX


def test_no_opengl(monkeypatch):
    """The real thing: with a vendor's file that names a library which is not there, EGL has nobody to draw."""
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.setenv("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent/vendor.json")
    finding = checks.check_gl(Machine(REPOSITORY))
    assert finding.state is State.FIX
    assert "No OpenGL" in finding.found
    assert "apt-get install" not in finding.found
    assert "apt-get install -y --no-install-recommends libegl1" in finding.remedy


def test_drawing_that_crashes(tmp_path, answers):
    answers(-11)
    finding = checks.check_gl(Machine(tmp_path))
    assert finding.state is State.FIX
    assert "ended by SIGSEGV" in finding.found
    assert "libgl1-mesa-dri" in finding.remedy


@pytest.fixture
def engine(repository):
    """Puts a program in the place of mimickit/run.py, and checks the start of MuJoCo with it."""
    shutil.copy(REPOSITORY / "args" / "dof_test_humanoid_args.txt", repository / "args")

    def check(script, seconds=20.0):
        (repository / "mimickit").mkdir(exist_ok=True)
        (repository / "mimickit" / "run.py").write_text("import json, sys, time\nfrom pathlib import Path\n" + script)
        machine = Machine(repository, engine_config="data/engines/mujoco_engine.yaml", engine_seconds=seconds)
        return checks.check_engine(machine)

    return check


SUMMARY = "Path(sys.argv[-1], 'train_summary.json').write_text(json.dumps({'engine': 'mujoco'}))\n"


def test_an_engine_that_starts(engine, repository):
    finding = engine(SUMMARY + "Path('argv').write_text(' '.join(sys.argv))\n")
    assert finding.state is State.OK
    assert finding.found.startswith("mujoco on cpu: dof_test_humanoid_args ran in ")
    words = (repository / "argv").read_text()
    assert "--arg_file args/dof_test_humanoid_args.txt --engine_config data/engines/mujoco_engine.yaml" in words
    assert "--num_envs 1 " in words
    assert not Path(words.split()[-1]).exists()


@pytest.mark.parametrize(
    ("script", "found"),
    [
        (
            "print('error (input): no such backend', file=sys.stderr); sys.exit(2)\n",
            "exit code 2: error (input): no such",
        ),
        ("pass\n", "it reported success and left no train_summary.json"),
        (SUMMARY.replace("'mujoco'", "'other'"), "it reported success"),
        (SUMMARY + "sys.exit(1)\n", "exit code 1: it said nothing"),
        ("import os; os.kill(os.getpid(), 9)\n", "ended by SIGKILL"),
    ],
)
def test_an_engine_that_does_not_start(engine, script, found):
    finding = engine(script)
    assert finding.state is State.FIX
    assert finding.found.startswith(f"mujoco on cpu does not start: {found}")
    assert "python mimickit/run.py --arg_file args/dof_test_humanoid_args.txt" in finding.remedy


def test_an_engine_that_hangs(engine):
    started = time.monotonic()
    finding = engine("time.sleep(600)\n", seconds=0.5)
    assert finding.state is State.FIX
    assert "no answer within" in finding.found
    assert time.monotonic() - started < 15.0


def test_without_a_case_to_start_it_with(repository):
    assert checks.check_engine(Machine(repository)).state is State.LOOK


def test_what_hangs_is_ended_with_everything_it_started(tmp_path):
    script = "import subprocess, sys, time; from pathlib import Path\n"
    script += "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    script += "Path('pid').write_text(str(child.pid)); time.sleep(600)\n"
    started = time.monotonic()
    answer = ask([sys.executable, "-c", script], tmp_path, 1.5)
    assert answer.returncode is None
    assert answer.json() is None
    assert time.monotonic() - started < 20.0
    child = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 10.0
    while _alive(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _alive(child)


def _alive(pid):
    """Not even a zombie counts."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def test_the_answer_is_the_last_line(tmp_path):
    noisy = "print('a library says hello'); print('{\"a\": 1}')"
    assert ask([sys.executable, "-c", noisy], tmp_path, 20.0).json() == {"a": 1}
    assert ask([sys.executable, "-c", "print('hello')"], tmp_path, 20.0).json() is None
    assert ask([sys.executable, "-c", "print('[1]')"], tmp_path, 20.0).json() is None


def test_the_environment_of_a_question(tmp_path):
    show = "import json, os; print(json.dumps(dict(os.environ)))"
    found = ask([sys.executable, "-c", show], tmp_path, 20.0, {"MIMICKIT_X": "1"}).json()
    assert found["MIMICKIT_X"] == "1"
    assert found["PATH"] == os.environ["PATH"]


def test_the_clips_of_a_case_that_names_a_dataset():
    """On the real repository: a dataset counts by its clips, whether they are built or not."""
    answer = ask([sys.executable, "-c", CLIPS, "args/amp_location_humanoid_args.txt"], REPOSITORY, 60.0).json()
    need = answer["args/amp_location_humanoid_args.txt"]
    assert len(need["clips"]) > 5
    assert need["unknown"] == []
    assert all(clip.startswith("data/motions/humanoid/") for clip in need["clips"])
