"""The image builds, runs as nobody in particular on a root that cannot be written, and a change of code is seconds."""

import json
import os
import shutil
import time
from pathlib import Path

import pytest

from docker.sbom import bill_of_materials
from tests.docker.conftest import LENT_SECONDS

CASE = "view_motion_humanoid_sword_shield_args"
MOTIONS = Path(__file__).resolve().parents[2] / "data" / "motions"
pytestmark = pytest.mark.container


@pytest.fixture
def output(tmp_path: Path) -> Path:
    """A folder of user 1234's, as one that a person mounts."""
    folder = tmp_path / "output"
    folder.mkdir()
    os.chown(folder, 1234, 1234)
    return folder


def test_the_doctor_finds_nothing_to_fix(image):
    done = image.run("python", "-m", "ci", "doctor")
    assert done.returncode == 0, done.stdout
    assert "fix this" not in done.stdout


def test_the_health_command_works_and_is_quick(image):
    kind, *command = image.inspect()["Healthcheck"]["Test"]
    assert kind == "CMD"
    started = time.monotonic()
    done = image.run(*command)
    assert done.returncode == 0, done.stdout
    assert time.monotonic() - started < 10.0


def test_it_is_not_root_and_its_root_cannot_be_written(image):
    done = image.run("sh", "-c", "id -u; touch /opt/mimickit/x /usr/x /root/x")
    assert done.stdout.splitlines()[0] == "1001"
    assert done.stdout.count("Read-only file system") + done.stdout.count("Permission denied") == 3


def test_what_a_process_leaves_behind_is_reaped(image):
    """The first process of a container inherits orphans; one that does not wait for them collects zombies."""
    script = "for i in 1 2 3; do (sh -c 'sleep 0.1 &'); done; sleep 1; cat /proc/[0-9]*/stat | grep -c ' Z '"
    done = image.run("sh", "-c", script)
    assert done.stdout.strip() == "0"


def test_a_signal_reaches_the_command(image):
    script = "trap 'echo told; exit 7' TERM; (sleep 1; kill -TERM 1) & while :; do sleep 0.1; done"
    done = image.run("sh", "-c", script)
    assert done.returncode == 7
    assert "told" in done.stdout.splitlines()


def test_a_case_from_training_to_film(image, output):
    """As anybody: user 1234, without a network, and the clips from outside."""
    if not (MOTIONS / "sword_shield").is_dir():
        pytest.fail("the clips have not been built: nox -s data")
    shutil.copytree(MOTIONS / "sword_shield", output.parent / "motions" / "sword_shield")
    for path in [output.parent, *output.parent.rglob("*")]:
        path.chmod(0o777 if path.is_dir() else 0o666)
    options = ["--user", "1234:1234", "--volume", f"{output}:/opt/mimickit/output"]
    options += ["--volume", f"{output.parent / 'motions'}:/opt/mimickit/data/motions"]
    done = image.run("python", "-m", "ci", "e2e", f"{CASE}.txt", "--root-out", "inside", options=options)
    assert done.returncode == 0, done.stdout[-6000:]
    assert done.stdout.splitlines()[-1] == "all_pass True"
    root = output / "train" / "inside"
    assert json.loads((root / "run.json").read_text())["commit"] == "0123abc"
    (film,) = root.glob("runs/*/*/viz/video.mp4")
    assert film.stat().st_size > 10_000
    assert film.stat().st_uid == 1234


def test_it_says_what_it_is(image):
    labels = image.inspect()["Labels"]
    assert labels["org.opencontainers.image.revision"] == "0123abc"
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert set(image.inspect()["Config"]["Volumes"]) == {
        "/opt/mimickit/output",
        "/opt/mimickit/data/motions",
        "/opt/mimickit/data/models",
        "/var/cache/mimickit",
    }


def test_a_frame_is_drawn_by_mesa(image):
    script = "import json; from ci.doctor.probes import GL; exec(GL)"
    done = image.run("python", "-c", script)
    found = json.loads(next(line for line in done.stdout.splitlines() if line.startswith("{")))
    assert "llvmpipe" in found["renderer"]
    assert found["levels"] > 1


def test_the_kernels_of_the_cpu_are_inside_for_any_cpu(image):
    done = image.run("python", "-m", "mimickit.kernels", "--device", "cpu")
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1].startswith("0 new files for cpu in /var/cache/mimickit/kernels/")
    script = (
        "import warp; from mimickit.warp_settings import apply_warp_settings\n"
        "apply_warp_settings(); print(repr(warp.config.cpu_compiler_flags))"
    )
    assert image.run("python", "-c", script).stdout.splitlines()[-1] == "''"


def test_anybody_can_add_kernels(image):
    """As a GPU's are, on a machine that has one: by whoever runs the container."""
    script = (
        "import warp as wp\n"
        "source = 'import warp as wp\\n@wp.kernel\\ndef new(a: wp.array(dtype=float)):\\n    a[wp.tid()] = 3.5\\n'\n"
        "open('/tmp/new_kernel.py', 'w').write(source)\n"
        "import sys; sys.path.insert(0, '/tmp'); import new_kernel\n"
        "a = wp.zeros(2, dtype=float); wp.launch(new_kernel.new, dim=2, inputs=[a]); print(a.numpy().tolist())"
    )
    done = image.run("python", "-c", script, options=["--user", "1234:1234"])
    assert done.returncode == 0, done.stdout
    assert done.stdout.splitlines()[-1] == "[3.5, 3.5]"


def test_a_folder_that_cannot_be_written_is_named(image, output):
    output.chmod(0o755)
    done = image.run("true", options=["--volume", f"{output}:/opt/mimickit/output"])
    assert done.returncode == 2
    assert "/opt/mimickit/output cannot be written by user 1001" in done.stdout
    assert "user 1234" in done.stdout


def test_models_that_others_own_are_named_and_those_that_are_lent_to_be_read_are_not(image, output):
    output.chmod(0o755)
    done = image.run("true", options=["--volume", f"{output}:/opt/mimickit/data/models"])
    assert done.returncode == 2
    assert "/opt/mimickit/data/models cannot be written by user 1001" in done.stdout
    done = image.run("true", options=["--volume", f"{output}:/opt/mimickit/data/models:ro"])
    assert (done.returncode, done.stdout) == (0, "")


def test_a_gpu_that_is_wanted_and_not_there_is_an_error(image):
    done = image.run("true", options=["--env", "MIMICKIT_REQUIRE_GPU=1"])
    assert done.returncode == 2
    assert "no GPU in this container" in done.stdout


def test_nothing_of_the_machine_that_built_it_is_inside(image):
    script = "ls -A /etc/pip.conf /etc/apt/apt.conf.d; pip config list; env; cat /etc/apt/apt.conf.d/* /etc/pip.conf"
    done = image.run("sh", "-c", script)
    lent = image.context.parent / "lent"
    settings = [line.split(" = ")[1] for line in (lent / "pip.conf").read_text().splitlines()[1:]]
    assert str(LENT_SECONDS) in settings
    assert str(LENT_SECONDS) in (lent / "apt.conf").read_text()
    assert not [value for value in settings if value in done.stdout]


def test_its_contents_are_listed(image):
    done = image.run("cat", "/opt/venv/sbom.pip-inspect.json")
    bill = bill_of_materials(json.loads(done.stdout))
    versions = {component["name"]: component["version"] for component in bill["components"]}
    assert versions["newton"] == "1.8.0"
    assert versions["torch"].startswith("2.13.0")


def test_a_change_of_the_code_leaves_the_packages_and_the_kernels_alone(image):
    """After a change of the matrix and of learning no package is installed, and no kernel compiled."""
    mark = f"# changed at {time.time_ns()}"  # as no build before had it
    for name in ("ci/values.py", "mimickit/learning/ppo.py", "mimickit/envs/char_env.py", "README.md"):
        path = image.context / name
        path.write_text(path.read_text() + f"\n{mark}\n")
    second = image.build()
    print(f"first build {image.first.seconds:.0f} s, after a change {second.seconds:.0f} s, {image.size_gb:.2f} GB")
    kept = "\n".join(second.cached)
    for step in ("apt-get install", "pip install -c constraints.txt -e", "mimickit.kernels --device cpu"):
        assert step in kept, second.printed
    assert "COPY . ." not in kept
    assert second.seconds < 30.0
    done = image.run("tail", "-n", "1", "/opt/mimickit/ci/values.py")
    assert done.stdout.strip() == mark
