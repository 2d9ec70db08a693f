"""Exit codes of real failures: the entry point in a process of its own, something taken away from it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FULL = Path("/dev/full")


def start(arguments: list[str], **options) -> subprocess.Popen[str]:
    command = [sys.executable, "mimickit/run.py", *arguments]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.Popen(command, cwd=ROOT, text=True, **pipes)


@pytest.mark.skipif(sys.platform != "linux", reason="needs Mesa's EGL")
@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("__EGL_VENDOR_LIBRARY_FILENAMES", "/nonexistent", "No OpenGL"),
        ("MESA_GLSL_VERSION_OVERRIDE", "120", "ShaderException"),  # the viewer's shaders are of version 330
    ],
)
def test_nothing_can_be_drawn(tiny_case, variable, value, words):
    arguments = tiny_case.arguments(mode="test", num_envs="1", test_episodes="1", video="true", max_samples=None)
    environment = {key: text for key, text in os.environ.items() if key != "DISPLAY"}
    run = start(arguments, env=environment | {"MESA_GL_VERSION_OVERRIDE": "3.3", variable: value})
    _, err = run.communicate(timeout=120)
    assert run.returncode == 10, err
    assert "error (display): " in err
    assert words in err
    assert "Traceback" not in err


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
def test_a_log_on_a_full_disk_does_not_hide_the_exit_code(tiny_case):
    bad = tiny_case.arguments(num_envs="0")
    buffered = {key: text for key, text in os.environ.items() if key != "PYTHONUNBUFFERED"}
    with FULL.open("w") as full:
        run = start(bad, stdout=full, stderr=full, env=buffered)
        assert run.wait(120) == 2
        run = start([*tiny_case.arguments(), "--print_config", "true"], stdout=full, stderr=full, env=buffered)
        assert run.wait(120) == 8  # the configuration is shorter than a buffer: it fails at the very end
        run = start(tiny_case.arguments(), stdout=full, stderr=full, env=buffered)
        assert run.wait(120) == 8
    record = tiny_case.out_dir / "error.json"
    assert not record.exists() or json.loads(record.read_text())["kind"] == "disk_full"


def test_a_killed_process_is_named(tiny_case):
    run = start(tiny_case.arguments(devices="cpu cpu", max_samples="1000000000"))
    status, deadline = tiny_case.out_dir / "status.json", time.monotonic() + 120
    while not status.exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    children = Path(f"/proc/{run.pid}/task/{run.pid}/children").read_text().split()
    workers = [pid for pid in children if "spawn_main" in Path(f"/proc/{pid}/cmdline").read_text()]
    os.kill(int(workers[1]), signal.SIGKILL)
    _, err = run.communicate(timeout=120)
    assert run.returncode == 7
    assert "training process 1 (cpu) ended with SIGKILL" in err
    assert json.loads((tiny_case.out_dir / "error.json").read_text())["kind"] == "process_group"
