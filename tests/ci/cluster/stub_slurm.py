"""Slurm as far as jobs of a test need it: ``stub_slurm.py sbatch|srun|sacct|squeue|scancel [arguments]``.

Everything is in the folder that STUB_SLURM names: ID.sh and ID.json (a script and its header), JOB.state, JOB.pid (of
the task, as srun starts it), JOB.ends_as (a state that the end of the job has instead of what its exit code gives), and
calls.jsonl. A file ``hold`` there keeps jobs waiting, ``reason`` says why they wait, ``no_accounting`` has sacct fail,
``silent`` squeue, ``busy`` scancel.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ["STUB_SLURM"])
FIRST_ID = 4242
OVER = ("COMPLETED", "FAILED", "CANCELLED", "NODE_FAIL", "PREEMPTED")


def main() -> int:
    program, *arguments = sys.argv[1:]
    if program not in ("run", "srun"):
        with (FOLDER / "calls.jsonl").open("a") as calls:
            calls.write(json.dumps([program, *arguments]) + "\n")
    return PROGRAMS[program](arguments)


def fail(text: str) -> int:
    print(text, file=sys.stderr)
    return 1


def sbatch(arguments: list[str]) -> int:
    script = Path(arguments[-1]).read_text()
    words = [shlex.split(line[8:])[0] for line in script.splitlines() if line.startswith("#SBATCH ")]
    header = {name.removeprefix("--"): value for name, _, value in (word.partition("=") for word in words)}
    if header.get("partition") == "nowhere":
        return fail("sbatch: error: invalid partition specified: nowhere")
    number = FIRST_ID + len(list(FOLDER.glob("*.sh")))
    (FOLDER / f"{number}.sh").write_text(script)
    inherited = sorted(name for name in os.environ if name.startswith("SLURM_"))
    (FOLDER / f"{number}.json").write_text(json.dumps({"header": header, "inherited": inherited}))
    last = header["array"].partition("%")[0].partition("-")[2] if "array" in header else None
    jobs = [str(number)] if last is None else [f"{number}_{index}" for index in range(int(last) + 1)]
    for job in jobs:
        set_state(job, "PENDING")
    for job in jobs:
        quiet = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
        subprocess.Popen([sys.executable, __file__, "run", job], start_new_session=True, **quiet)
    print(f"Submitted batch job {number}")
    return 0


def run(arguments: list[str]) -> int:
    """A job from its start to its end."""
    (job,) = arguments
    array, _, index = job.partition("_")
    while (FOLDER / "hold").exists() and state(job) == "PENDING":
        time.sleep(0.05)
    if state(job) != "PENDING":
        return 0
    set_state(job, "RUNNING")
    variables = {"SLURM_JOB_ID": str(int(array) + int(index or 0) + 1) if index else array}
    if index:
        variables |= {"SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": index}
    script = ["bash", str(FOLDER / f"{array}.sh")]
    code = subprocess.run(script, env={**os.environ, **variables}, check=False).returncode
    forced = FOLDER / f"{job}.ends_as"
    set_state(job, forced.read_text() if forced.exists() else "COMPLETED" if code == 0 else "FAILED")
    return 0


def srun(arguments: list[str]) -> int:
    """Becomes the program of the step, with its output in a file."""
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    job = f"{array}_{index}" if array else os.environ["SLURM_JOB_ID"]
    while arguments[0].startswith("-"):
        option = arguments.pop(0)
        if option == "--output":
            name = arguments.pop(0).replace("%j", os.environ["SLURM_JOB_ID"]).replace("%t", "0")
            output = name.replace("%A", str(array)).replace("%a", str(index))
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    (FOLDER / f"{job}.pid").write_text(str(os.getpid()))
    os.execvp(arguments[0], arguments)


def sacct(arguments: list[str]) -> int:
    if (FOLDER / "no_accounting").exists():
        return fail("Slurm accounting storage is disabled")
    asked = next(word for word in arguments if word.startswith("--jobs=")).removeprefix("--jobs=").split(",")
    for array in asked:
        found = {job: state(job) for job in known() if job.partition("_")[0] == array}
        waiting = [job.partition("_")[2] for job, now in found.items() if now == "PENDING" and "_" in job]
        if waiting:
            print(f"{array}_[{','.join(waiting)}%2]|PENDING")
        for job, now in found.items():
            if now != "PENDING" or "_" not in job:
                print(f"{job}|{now}{' by 1000' if now == 'CANCELLED' else ''}")
    return 0


def squeue(arguments: list[str]) -> int:
    if (FOLDER / "silent").exists():
        return fail("slurm_load_jobs error: Unable to contact slurm controller (connect failure)")
    form = next(word for word in arguments if word.startswith("--format=")).removeprefix("--format=")
    reason = FOLDER / "reason"
    for job in known():
        now = state(job)
        if now not in OVER:
            why = reason.read_text() if now == "PENDING" and reason.exists() else "None"
            print(form.replace("%i", job).replace("%T", now).replace("%r", why))
    return 0


def scancel(arguments: list[str]) -> int:
    if (FOLDER / "busy").exists():
        return fail("scancel: error: Kill job error on job id 4242_0: Socket timed out on send/recv operation")
    number = signal.SIGKILL if "--signal=KILL" in arguments else signal.SIGTERM
    for job in (word for word in arguments if not word.startswith("-")):
        if state(job) == "PENDING":
            set_state(job, "CANCELLED")
        elif state(job) == "RUNNING":
            (FOLDER / f"{job}.ends_as").write_text("CANCELLED")
            os.kill(int((FOLDER / f"{job}.pid").read_text()), number)
    return 0


def known() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.state"))


def state(job: str) -> str:
    return (FOLDER / f"{job}.state").read_text()


def set_state(job: str, text: str) -> None:
    pending = FOLDER / f"{job}.pending"
    pending.write_text(text)
    pending.rename(FOLDER / f"{job}.state")


PROGRAMS = {"sbatch": sbatch, "run": run, "srun": srun, "sacct": sacct, "squeue": squeue, "scancel": scancel}

if __name__ == "__main__":
    sys.exit(main())
