"""Stands in for the framework in the tests of the matrix: writes what mimickit writes, or a named fault.

``stub_trainer.py ROLE FAULTS [the framework's arguments]``: ROLE is run, data, prior or checkpoint; FAULTS is a file of
fault names with their values, one ``name value`` a line.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FRAMES = 12
TIMED_SAMPLES = 400_000  # of a training that ends by time
SIZE = 64


def main() -> int:
    role, faults_file, *arguments = sys.argv[1:]
    faults = dict(line.split(maxsplit=1) for line in Path(faults_file).read_text().splitlines())
    if role == "data":
        if "data_missing" in faults:
            print("data/motions/humanoid/humanoid_walk.pkl is missing and no recipe makes it.", file=sys.stderr)
            return 11
        if "data_bug" in faults:
            raise RuntimeError("no such recipe")
        time.sleep(float(faults.get("data_takes", 0.0)))
        return 0
    if role == "prior":
        return prior(parse(arguments), Path(faults_file).with_name("calls.jsonl"), faults)
    if role == "checkpoint":
        return checkpoint(Path(arguments[0]))
    options = parse(arguments)
    out_dir = Path(options["out_dir"][0])
    stage = "train" if options["mode"] == ["train"] else "viz" if options["video"] == ["true"] else "test"
    with Path(faults_file).with_name("calls.jsonl").open("a") as calls:
        wanted = ("NCCL_P2P_DISABLE", "MESA_GL_VERSION_OVERRIDE")
        environment = {name: os.environ.get(name) for name in wanted}
        calls.write(json.dumps({"stage": stage, "options": options, "environment": environment}) + "\n")
    (out_dir / "status.json").write_text(json.dumps({"stage": stage, "samples": 5, "max_samples": 10}))
    here = f"{case_of(options)}:{out_dir.name}"
    if faults.get("sleep_in") in (here, f"{here}:{options['num_envs'][0]}"):
        (out_dir / "model.pt").write_text("half")
        if out_dir.name == "long":
            (out_dir / "train_state.pt").write_text("state")
        announce(Path(faults_file).with_name("asleep"), str(os.getpid()))
        time.sleep(600)
    if faults.get("silent_exit_in") == out_dir.name:
        return 1
    began = time.time()
    time.sleep(float(faults.get("stage_takes", 0.0)))
    code = STAGES[stage](options, out_dir, faults)
    if "spans" in faults:
        with Path(faults["spans"]).open("a") as spans:
            spans.write(f"{case_of(options)} {began} {time.time()}\n")
    return code


def prior(options: dict[str, list[str]], calls: Path, faults: dict[str, str]) -> int:
    with calls.open("a") as handle:
        handle.write(json.dumps({"stage": "prior", "options": options}) + "\n")
    if "prior_fails" in faults:
        print("the case's clips hold nothing that moves", file=sys.stderr)
        return 2
    if "prior_not_written" not in faults:
        Path(options["out_file"][0]).write_text("a prior")
    return 0


def parse(arguments: list[str]) -> dict[str, list[str]]:
    options: dict[str, list[str]] = {}
    for word in arguments:
        if word.startswith("--"):
            values = options[word[2:]] = []
        else:
            values.append(word)
    return options


def case_of(options: dict[str, list[str]]) -> str:
    return Path(options["arg_file"][0]).stem


def fail(out_dir: Path, kind: str, code: int, message: str) -> int:
    (out_dir / "error.json").write_text(json.dumps({"kind": kind, "exit_code": code, "message": message}))
    print(message, file=sys.stderr)
    return code


def checkpoint(model: Path) -> int:
    values = json.loads(model.read_text())
    finite = "NaN" not in model.read_text()
    report = {"tensors": 1, "parameters": len(values), "finite": finite, "bad": [] if finite else ["_actor.weight"]}
    print(json.dumps(report))
    return 0 if finite else 1


def train(options: dict[str, list[str]], out_dir: Path, faults: dict[str, str]) -> int:
    num_envs = int(options["num_envs"][0])
    samples = int(options["max_samples"][0]) if "max_samples" in options else TIMED_SAMPLES
    if "resume" in options and not (out_dir / "train_state.pt").exists():
        return fail(out_dir, "input", 2, "nothing to resume")
    if out_dir.name == "long" and "long_group_lost" in faults and not Path(faults["long_group_lost"]).exists():
        Path(faults["long_group_lost"]).write_text("once")
        (out_dir / "train_state.pt").write_text("state")
        return fail(out_dir, "process_group", 7, "process 1 is gone")
    if "train_port_taken" in faults:
        with Path(faults["ports"]).open("a") as ports:
            ports.write(options["master_port"][0] + "\n")
        if len(Path(faults["ports"]).read_text().split()) <= int(faults["train_port_taken"]):
            return fail(out_dir, "process_group", 7, f"port {options['master_port'][0]} is in use")
    if num_envs > int(faults.get("train_oom_above", num_envs)):
        return fail(out_dir, "out_of_memory", 3, f"{num_envs} environments do not fit")
    if num_envs > int(faults.get("train_capacity_above", num_envs)):
        return 4
    if num_envs > int(faults.get("train_oom_text_above", num_envs)):
        print("RuntimeError: CUDA out of memory. Tried to allocate 2 GiB")
        return 1
    if "train_divergence" in faults:
        return fail(out_dir, "divergence", 6, "actor loss is NaN at iteration 2, out of memory is not the reason")
    if "train_traceback" in faults:
        raise RuntimeError("no such thing")
    if "train_hang" in faults:
        hang(Path(faults["train_hang"]))
    if "train_fork_bomb" in faults:
        fork_bomb()
    if "train_disk_full" in faults:
        Path("/dev/full").write_text("a model")  # as Linux has it: every write fails with ENOSPC
    if "train_sleep" in faults:
        announce(Path(faults["train_sleep"]), str(os.getpid()))
        time.sleep(600)
    if "train_killed" in faults:
        os.kill(os.getpid(), signal.SIGKILL)
    if "train_leaves_child" in faults:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(faults["train_leaves_child"]).write_text(str(child.pid))
    nan = float("nan")
    if "train_no_model" not in faults:
        (out_dir / "model.pt").write_text(
            json.dumps([0.5, nan if "model_nan" in faults or faults.get("model_nan_in") == out_dir.name else 1.0])
        )
    loss = "nan" if "train_log_nan" in faults else "0.25"
    (out_dir / "log.txt").write_text(f"Iteration  Samples  Loss\n0  {samples // 2}  0.5\r\n1  {samples}  {loss}\r\n")
    summary = {
        "samples": samples - ("train_few_samples" in faults or faults.get("train_few_samples_in") == out_dir.name),
        "iterations": 2,
        "num_envs": num_envs,
        "num_processes": len(options["devices"]),
        "samples_per_s": 1234.5,
        "wall_s": 12.5 if "max_samples" in options else float(options["max_seconds"][0]) + 0.5,
        "interrupted": 0,
        "ended_by": "max_samples" if "max_samples" in options else "max_seconds",
        **tested(10),
        **provenance(options),
        "devices": ["cpu"] if "train_on_cpu" in faults else options["devices"],
    }
    if options["devices"][0].startswith("cuda"):
        summary["gpu_memory_peak_gb"] = 1.5
    if faults.get("no_summary_in") != out_dir.name:
        write_summary(out_dir / "train_summary.json", summary, faults)
    print("training done, all is well\nMean Return: 5.0")
    return 1 if "train_exit_1_after_success" in faults else 0


def tested(episodes: int) -> dict[str, object]:
    return {"mean_return": 5.25, "mean_ep_len": 20.5, "episodes": episodes}


def provenance(options: dict[str, list[str]]) -> dict[str, object]:
    return {
        "seed": int(options["rand_seed"][0]),
        "engine": "mujoco",
        "devices": options["devices"],
        "device": options["devices"][0],
        "device_name": "Stub",
        "versions": {"mujoco": "3.17.0", "torch": "2.13.0"},
    }


def write_summary(path: Path, values: dict[str, object], faults: dict[str, str]) -> None:
    """With what the fault ``says_in_STAGE`` puts into it, an object in JSON."""
    path.write_text(json.dumps({**values, **json.loads(faults.get(f"says_in_{path.parent.name}", "{}"))}))


def test(options: dict[str, list[str]], out_dir: Path, faults: dict[str, str]) -> int:
    if "test_silent" in faults:
        return 0
    if "test_out_of_memory" in faults:
        return fail(out_dir, "out_of_memory", 3, "no room for the test")
    episodes = int(options["test_episodes"][0]) - ("test_few_episodes" in faults)
    value = float("nan") if "test_nan" in faults or faults.get("test_nan_in") == case_of(options) else 5.25
    metrics = {
        **tested(episodes),
        "mean_return": value,
        "num_envs": int(options["num_envs"][0]),
        "model_file": options["model_file"][0],
        **provenance(options),
    }
    if "test_writes_model" in faults:
        Path(options["model_file"][0]).write_text("[666.0]")
    if "test_no_metrics" not in faults:
        write_summary(out_dir / "test_metrics.json", metrics, faults)
    printed = 7.0 if "test_prints_otherwise" in faults else value
    print(f"Mean Return: {printed}\nMean Episode Length: 20.5\nEpisodes: {episodes}")
    return 0


def viz(options: dict[str, list[str]], out_dir: Path, faults: dict[str, str]) -> int:
    import imageio_ffmpeg
    import numpy as np
    from PIL import Image

    test(options, out_dir, {name: said for name, said in faults.items() if name == "says_in_viz"})
    last_drawn = int(faults.get("viz_frozen_from", FRAMES))  # the same frame from then on
    last_moved = int(faults.get("viz_rests_from", FRAMES))  # as the character lies there
    frames = np.full((FRAMES, SIZE, SIZE, 3), 90, np.uint8)
    if "viz_black" not in faults:
        frames[:, : SIZE // 2] = 160
        for index in range(FRAMES):
            left = 8 + 3 * min(index, last_drawn)
            frames[index, 20:44, left : left + 10] = 250
    count = 2 if "viz_short" in faults else FRAMES
    writer = imageio_ffmpeg.write_frames(str(out_dir / "video.mp4"), (SIZE, SIZE), fps=30, macro_block_size=1)
    writer.send(None)
    for frame in frames[:count]:
        writer.send(np.ascontiguousarray(frame))
    writer.close()
    if "viz_cut_video" in faults:
        (out_dir / "video.mp4").write_bytes((out_dir / "video.mp4").read_bytes()[:200])
    Image.fromarray(frames[0]).save(out_dir / "contact_sheet.png")
    measured = [] if "viz_no_coverage" in faults else list(range(0, count, 10))
    coverage = [0.0 if "viz_out_of_view" in faults else 0.05] * len(measured)
    moved = [0.05 if index <= last_moved else 0.0 for index in range(1, count)]
    if "viz_only_starts_anew" in faults:
        moved = [0.5 if index % 5 == 0 else 0.0 for index in range(1, count)]
    if "viz_move_untold" in faults:
        moved.pop()
    numbers = {"frames": count, "fps": 30, "coverage": coverage, "coverage_frames": measured, "moved": moved}
    (out_dir / "frames.json").write_text(json.dumps(numbers))
    return fail(out_dir, "render", 5, "no EGL") * 0 if "viz_error_but_exit_0" in faults else 0


def hang(pids: Path) -> None:
    """Ignore TERM, with a child that ignores it too."""
    ignore = "import signal, time; signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", ignore], stdout=subprocess.PIPE)
    assert child.stdout is not None
    child.stdout.readline()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    announce(pids, f"{os.getpid()} {child.pid}")
    time.sleep(600)


def fork_bomb() -> None:
    """Never end; processes that are deaf to TERM, in sessions of their own, and gone from each pid in a moment.

    Not one to be afraid of: there are never more of them than a few, and after a minute none.
    """
    until = time.monotonic() + 60.0
    for _ in range(8):
        if os.fork() == 0:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            while time.monotonic() < until:
                os.setsid()
                time.sleep(0.05)
                if os.fork() > 0:
                    os._exit(0)
            os._exit(0)
    time.sleep(60.0)


def announce(path: Path, text: str) -> None:
    """Write a file in one step, so that who waits for it finds it whole."""
    path.with_suffix(".pending").write_text(text)
    path.with_suffix(".pending").rename(path)


STAGES = {"train": train, "test": test, "viz": viz}

if __name__ == "__main__":
    sys.exit(main())
