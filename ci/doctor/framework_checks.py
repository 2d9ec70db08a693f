"""Checks of what is run: cases, characters, clips, priors, kernels, torch, drawing and an engine."""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ci.cases import NONTRAINABLE
from ci.doctor.finding import Finding, few, fix, look, ok
from ci.doctor.machine import INSTALL, Machine, installed_version
from ci.doctor.probes import GL, TORCH, ask
from ci.stage_kinds import ENVIRONMENTS

GIT_SECONDS = 30.0


def check_cases(machine: Machine) -> Finding:
    """Every arg file in args/ and the files it names can be read."""
    if not machine.cases:
        return fix("args/ holds no case", "run this in the repository: git checkout -- args")
    read = [machine.configurations[case.arg_file] for case in machine.cases]
    broken = [each for each in read if each.problem and not each.settings]
    if broken:
        return fix(few([f"{each.name}: {each.problem}" for each in broken]), "correct the line that the message names")
    return ok(f"{len(read)} in args/, all readable")


def check_characters(machine: Machine) -> Finding:
    """Every character is there; which of them are not the repository's own."""
    assets = machine.repository / "data" / "assets"
    folders = sorted(path for path in assets.glob("*") if path.is_dir() and path.name != "objects")
    empty = [path.name for path in folders if not any(path.glob("*.xml"))]
    if empty or not folders:
        return fix(f"no character in data/assets/{', '.join(empty)}", "git checkout -- data/assets")
    changed = sorted({Path(name).parts[2] for name in _changed_files(machine.repository, "data/assets")})
    if changed:
        return ok(f"{len(folders)}; {', '.join(changed)}: not the repository's (the published archive's, or your own)")
    return ok(f"{len(folders)}, the repository's own")


def check_clips(machine: Machine) -> Finding:
    """The motion clips that the case asked about needs, or those of all cases."""
    needs = machine.clips
    broken = [need["problem"] for need in needs.values() if need["problem"]]
    unknown = sorted({clip for need in needs.values() for clip in need["unknown"]})
    missing = {Path(name).stem: need["missing"] for name, need in needs.items() if need["missing"]}
    if broken:
        return fix(few(broken), "correct the file that the message names")
    if unknown:
        remedy = "correct the name, or unpack the published data archive into data/"
        return fix(f"missing, and no recipe builds it: {few(unknown)}", remedy)
    clips = {clip for need in needs.values() for clip in need["clips"]}
    if missing:
        found = f"{len(set().union(*missing.values()))} of {len(clips)} not built, for {few(missing)}"
        return look(found, "nox -s data builds all; a run of the matrix builds what it needs")
    own = sum(str(Path(clip).relative_to("data/motions")) not in machine.built_clips for clip in clips if _ours(clip))
    found = f"{len(clips)} of {len(needs)} case(s), all there"
    return ok(found + (f"; {own} not built here (the published archive's, or your own)" if own else ""))


def check_priors(machine: Machine) -> Finding:
    """The motion priors that the case asked about names, or those of all cases."""
    named: dict[str, str] = {}
    for arg_file in machine.asked:
        setting = machine.configurations[arg_file].settings.get("agent.smp_prior_model")
        if setting is not None:
            named.setdefault(str(setting.value), arg_file)
    missing = {model: arg_file for model, arg_file in named.items() if not (machine.repository / model).is_file()}
    if missing:
        remedy = f"python -m mimickit.learning.smp_prior --arg_file {next(iter(missing.values()))}"
        found = f"{len(missing)} of {len(named)} not trained: {few(missing)}"
        return look(found, f"{remedy}; a run of the matrix trains a small one for itself")
    return ok(f"{len(named)} named, all there" if named else "none is named")


def check_kernels(machine: Machine) -> Finding:
    """Warp keeps the kernels it compiles; without them Newton's first start takes minutes."""
    if machine.engine_name != "newton":
        return ok(f"the engine {machine.engine_name} compiles none")
    count = _kernel_count(machine)
    folder = machine.kernels
    if count == 0:
        remedy = "name a folder that lasts as WARP_CACHE_PATH (in a container: a volume), and start Newton once"
        return look(f"cold: none for {machine.device} in {folder}; Newton's first start takes a minute or two", remedy)
    return ok(f"warm: {count} modules for {machine.device} in {folder}")


def _kernel_count(machine: Machine) -> int:
    """Compiled modules of Newton's solver for the device, of the installed version."""
    version = installed_version("warp-lang") or "*"
    endings = (".cubin", ".ptx") if machine.device.startswith("cuda") else (".o",)
    files = machine.kernels.glob(f"{version}/wp_mujoco_warp*/*")
    return sum(path.suffix in endings for path in files)


def check_torch(machine: Machine) -> Finding:
    """torch can be imported and computes on every GPU."""
    answer = ask([sys.executable, "-c", TORCH], machine.repository, machine.probe_seconds)
    found = answer.json()
    if found is None:
        return fix(f"torch does not work: {answer.reason}", f"{INSTALL}; and see that the driver is not too old for it")
    gpus, devices = machine.gpus.found, found["devices"]
    shown = f"{found['version']}, built for {'CUDA ' + found['cuda'] if found['cuda'] else 'the CPU'}"
    if gpus and not found["cuda"]:
        remedy = "python -m pip install --force-reinstall -c constraints.txt torch, without PyTorch's CPU wheel index"
        return fix(f"{shown}: it cannot use the GPU", remedy)
    if gpus and not devices:
        remedy = f"unset CUDA_VISIBLE_DEVICES, or update the driver ({gpus[0].driver}) to one for CUDA {found['cuda']}"
        return fix(f"{shown}: it finds no GPU", remedy)
    if len(devices) < len(gpus):
        return look(f"{shown}; it sees {len(devices)} of {len(gpus)} GPUs", "unset CUDA_VISIBLE_DEVICES to use all")
    return ok(f"{shown}; computes on {len(devices)} GPU(s)" if devices else shown)


def check_gl(machine: Machine) -> Finding:
    """A frame can be drawn without a display, as every case's video is."""
    answer = ask([sys.executable, "-c", GL], machine.repository, machine.probe_seconds, ENVIRONMENTS["viz"])
    found = answer.json()
    if found is None:
        remedy = f"{INSTALL}; apt-get install -y --no-install-recommends libegl1 libgl1 libgl1-mesa-dri libx11-6"
        return fix(f"drawing does not work: {answer.reason}", remedy)
    if "problem" in found:
        return fix(found["problem"], found["remedy"])
    if found["levels"] == 0:
        return fix(f"{found['renderer']} draws nothing but one colour", "set LIBGL_ALWAYS_SOFTWARE=1, or update Mesa")
    return ok(f"a frame of {found['shape'][1]} x {found['shape'][0]} in {answer.seconds:.1f} s by {found['renderer']}")


def check_engine(machine: Machine) -> Finding:
    """The engine starts: a case without training, in one environment, through the framework's own entry point."""
    case = next((case for case in machine.cases if case.case_type == NONTRAINABLE and not case.problem), None)
    if case is None:
        return look("args/ holds no case without training to start it with", "git checkout -- args")
    before = _kernel_count(machine)
    with tempfile.TemporaryDirectory(prefix="mimickit_doctor_") as folder:
        argv = [
            *(sys.executable, "mimickit/run.py", "--arg_file", case.arg_file, "--engine_config", machine.engine),
            *("--mode", "train", "--num_envs", "1", "--max_samples", "1", "--rand_seed", "1", "--logger", "txt"),
            *("--devices", machine.device, "--visualize", "false", "--video", "false", "--out_dir", folder),
        ]
        answer = ask(argv, machine.repository, machine.engine_seconds)
        summary = Path(folder) / "train_summary.json"
        engine = json.loads(summary.read_text()).get("engine") if answer.returncode == 0 and summary.is_file() else None
    named = f"{machine.engine_name} on {machine.device}"
    if engine != machine.engine_name:
        reason = answer.reason if answer.returncode != 0 else "it reported success and left no train_summary.json"
        command = " ".join(argv[1:-1])
        return fix(f"{named} does not start: {reason}", f"see all it says: python {command} output/doctor")
    compiled = _kernel_count(machine) - before
    note = f", {compiled} kernel modules compiled" if compiled > 0 else ""
    return ok(f"{named}: {case.name} ran in {answer.seconds:.1f} s{note}")


def _changed_files(repository: Path, folder: str) -> list[str]:
    """Tracked files below ``folder`` that differ from the commit; none outside a git checkout."""
    if shutil.which("git") is None:
        return []
    command = ["git", "-C", str(repository), "diff", "--name-only", "HEAD", "--", folder]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=GIT_SECONDS, check=False)
    return answer.stdout.split() if answer.returncode == 0 else []


def _ours(clip: str) -> bool:
    return Path(clip).is_relative_to("data/motions")
