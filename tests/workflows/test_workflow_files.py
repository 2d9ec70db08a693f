"""The workflows and the container's files, held against what they promise; no workflow is run here."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ci.gate.jobs import RESULTS, SUCCESS, judge_jobs

REPOSITORY = Path(__file__).resolve().parents[2]
GITHUB = REPOSITORY / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
GATED = ("pull-request.yml", "nightly.yml")
DIGEST = "sha256:" + 64 * "7"
SCHEMAS = {
    "vendor.github-workflows": WORKFLOWS,
    "vendor.github-actions": ACTIONS,
    "vendor.compose-spec": [*sorted(REPOSITORY.glob("compose*.yaml")), *sorted((REPOSITORY / "docker").glob("*.yaml"))],
}


def read(path: Path) -> dict[str, Any]:
    content = yaml.safe_load(path.read_text())
    return {("on" if key is True else key): value for key, value in content.items()}  # YAML 1.1 reads on as true


def workflow(name: str) -> dict[str, Any]:
    return read(GITHUB / "workflows" / name)


def steps() -> list[tuple[str, dict[str, Any]]]:
    """Every step of every job and action, with where it is."""
    found = []
    for path in WORKFLOWS:
        for name, job in read(path)["jobs"].items():
            found += [(f"{path.name}: {name}", step) for step in job.get("steps", [])]
    for path in ACTIONS:
        found += [(path.parent.name, step) for step in read(path)["runs"]["steps"]]
    return found


def program(name: str) -> str:
    """A program of the environment, or of the machine."""
    found = shutil.which(name, path=str(Path(sys.executable).parent)) or shutil.which(name)
    assert found is not None, f"{name} is not installed: python -m pip install -c constraints.txt -e .[dev]"
    return found


def run(linter: str, *arguments: str | Path) -> None:
    """A linter must have nothing to say."""
    command = [program(linter), *map(str, arguments)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_zizmor_finds_nothing() -> None:
    run("zizmor", "--offline", "--persona", "pedantic", "--config", GITHUB / "zizmor.yml", GITHUB)


def test_actionlint_finds_nothing() -> None:
    """With the scripts of the steps, by shellcheck."""
    run("actionlint", "-shellcheck", program("shellcheck"), *WORKFLOWS)


def test_shellcheck_finds_nothing() -> None:
    scripts = [*REPOSITORY.glob("docker/**/*.sh"), *GITHUB.glob("actions/*/*.sh"), REPOSITORY / ".ci" / "run"]
    assert len(scripts) > 8
    run("shellcheck", *scripts)


def test_hadolint_finds_nothing() -> None:
    run("hadolint", REPOSITORY / "docker" / "Dockerfile")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_files_follow_their_schema(schema: str) -> None:
    assert SCHEMAS[schema]
    run("check-jsonschema", "--builtin-schema", schema, *SCHEMAS[schema])


@pytest.mark.parametrize("name", GATED)
def test_the_gate_needs_every_job_before_it(name: str) -> None:
    """A job that the gate does not know of may fail unseen. What comes after the gate needs it."""
    jobs = workflow(name)["jobs"]
    after = {job for job, about in jobs.items() if "all_pass" in needs_of(about)}
    assert set(needs_of(jobs["all_pass"])) == set(jobs) - after - {"all_pass"}
    assert jobs["all_pass"]["if"] == "always()"


@pytest.mark.parametrize("name", GATED)
def test_whatever_a_lost_runner_leaves_is_looked_into(name: str) -> None:
    """GitHub calls a row whose machine was taken away failed, or cancelled: the gate excuses both if it is repeated."""
    looked_into = set(re.findall(r'"(\w+)"', workflow(name)["jobs"]["lost"]["if"]))
    repeated = {"cases": "again"}
    excused = {result for result in RESULTS if not judge_jobs({"cases": result, "again": SUCCESS}, (), repeated)}
    assert looked_into == excused - {SUCCESS} == {"failure", "cancelled"}


def needs_of(job: dict[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else needs


def verdicts(name: str) -> list[dict[str, str]]:
    """What the gate of a workflow is asked, once for each plan."""
    steps = workflow(name)["jobs"]["all_pass"]["steps"]
    return [step["with"] for step in steps if step.get("uses") == "./.github/actions/verdict"]


def words(text: str) -> list[str]:
    return [word for word in text.split(",") if word]


@pytest.mark.parametrize("name", GATED)
def test_what_the_gate_excuses_are_jobs_that_may_rest(name: str) -> None:
    """A job that may be skipped is one with a condition; one that is repeated, one of the shards."""
    jobs = workflow(name)["jobs"]
    for asked in verdicts(name):
        assert set(words(asked.get("optional", ""))) <= {job for job, about in jobs.items() if "if" in about}
        for pair in words(asked.get("retried", "")):
            first, again = (jobs[job] for job in pair.split("="))
            assert first["steps"] == again["steps"]


@pytest.mark.parametrize("name", GATED)
def test_every_job_is_looked_at_by_one_verdict_at_least(name: str) -> None:
    needs = needs_of(workflow(name)["jobs"]["all_pass"])
    about = [words(asked.get("about", "")) or needs for asked in verdicts(name)]
    assert set().union(*about) == set(needs)
    assert {asked["needs"] for asked in verdicts(name)} == {"${{ toJSON(needs) }}"}


def test_no_failure_is_hidden() -> None:
    assert not [place for place, step in steps() if "continue-on-error" in step]
    assert not [
        f"{path.name}: {name}"
        for path in WORKFLOWS
        for name, job in read(path)["jobs"].items()
        if "continue-on-error" in job
    ]


def test_every_foreign_action_is_a_commit_with_its_version_beside_it() -> None:
    for path in [*WORKFLOWS, *ACTIONS]:
        for line in path.read_text().splitlines():
            if "uses:" in line and "uses: ./" not in line:
                assert re.search(r"uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$", line), f"{path.name}: {line}"


def test_one_action_has_one_version() -> None:
    pins: dict[str, set[str]] = {}
    for path in [*WORKFLOWS, *ACTIONS]:
        for name, commit in re.findall(r"uses: ([\w-]+/[\w-]+)@(\S+)", path.read_text()):
            pins.setdefault(name, set()).add(commit)
    assert {name: commits for name, commits in pins.items() if len(commits) > 1} == {}


def test_no_expression_stands_in_a_script() -> None:
    assert not [place for place, step in steps() if "${{" in step.get("run", "")]


def test_workflows_may_read_and_no_more_where_a_job_does_not_say() -> None:
    assert {path.name: read(path)["permissions"] for path in WORKFLOWS} == {
        path.name: {"contents": "read"} for path in WORKFLOWS
    }


def jobs_of_cases() -> list[tuple[str, dict[str, Any]]]:
    """The jobs that run shards, with where they are."""
    every = [(f"{name}: {job}", about) for name in GATED for job, about in workflow(name)["jobs"].items()]
    found = [(place, job) for place, job in every if "container" in job]
    assert len(found) == 5
    return found


def test_jobs_of_the_cases_are_the_same_everywhere() -> None:
    (_, first), *others = jobs_of_cases()
    for place, job in others:
        for key in ("container", "steps", "runs-on", "timeout-minutes"):
            assert job[key] == first[key], f"{place}: {key}"


def test_jobs_of_the_cases_have_no_secret() -> None:
    for place, job in jobs_of_cases():
        assert "secrets." not in str(job), place
        assert "token" not in str(job), place
        assert "permissions" not in job, place


def test_nothing_is_started_by_an_event_that_lends_a_fork_our_rights() -> None:
    for path in WORKFLOWS:
        assert not set(read(path)["on"]) & {"pull_request_target", "workflow_run", "issue_comment"}, path.name


def test_a_push_supersedes_the_one_before_but_not_on_main() -> None:
    concurrency = workflow("pull-request.yml")["concurrency"]
    assert concurrency["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
    assert "github.event.pull_request.number || github.sha" in concurrency["group"]
    assert workflow("nightly.yml")["concurrency"]["cancel-in-progress"] is False


def test_shards_do_not_end_each_other_and_have_limits() -> None:
    for _, job in jobs_of_cases():
        assert job["strategy"]["fail-fast"] is False
        assert job["timeout-minutes"] == "${{ matrix.timeout_minutes }}"
        (work,) = [step for step in job["steps"] if step.get("name") == "Train, test and render"]
        assert work["timeout-minutes"] == "${{ matrix.step_timeout_minutes }}"
        assert '--deadline "$DEADLINE"' in work["run"]


def test_a_run_that_is_cancelled_gives_no_more_work_to_the_runners() -> None:
    """A condition with always() holds on when a run is cancelled."""
    assert not [place for place, job in jobs_of_cases() if "always()" in str(job.get("if", ""))]


def test_the_required_check_has_its_name_to_itself() -> None:
    named = [job.get("name") for path in WORKFLOWS for job in read(path)["jobs"].values()]
    assert named.count("all_pass") == 1


def test_the_gpu_is_asserted_before_any_work() -> None:
    for _, job in jobs_of_cases():
        uses = [step.get("uses", step.get("run", "")) for step in job["steps"]]
        work = next(number for number, text in enumerate(uses) if "ci e2e" in text)
        assert uses.index("./.github/actions/assert-gpu") < work


def run_step(folder: Path, script: str, stubs: dict[str, str], **variables: str) -> subprocess.CompletedProcess[str]:
    """The script of an action's step as GitHub runs it, with made programs before those of the machine."""
    for name, text in stubs.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    environment = {**os.environ, "PATH": os.pathsep.join([str(folder), os.environ["PATH"]]), **variables}
    environment |= {"GITHUB_OUTPUT": str(folder / "output"), "GITHUB_WORKSPACE": str(folder)}
    command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("nvidia_smi", "python", "code"),
    [
        ("echo name, driver; echo H100, 580", "echo 1.0 computed on H100", 0),
        ("echo 'NVIDIA-SMI has failed' >&2; exit 9", "echo computed on nothing", 1),
        ("exit 127", "echo computed on nothing", 1),
        ("echo H100, 580", "echo 'torch finds no GPU' >&2; exit 1", 1),
    ],
)
def test_a_runner_without_a_gpu_is_red(tmp_path: Path, nvidia_smi: str, python: str, code: int) -> None:
    (step,) = read(GITHUB / "actions" / "assert-gpu" / "action.yml")["runs"]["steps"]
    done = run_step(tmp_path, step["run"], {"nvidia-smi": nvidia_smi, "python": python})
    assert done.returncode == code, done.stdout + done.stderr


def test_what_asserts_a_gpu_computes_on_it(tmp_path: Path) -> None:
    """Here there is none, and the script says so."""
    (step,) = read(GITHUB / "actions" / "assert-gpu" / "action.yml")["runs"]["steps"]
    done = run_step(
        tmp_path, step["run"], {"nvidia-smi": "true", "python": f'exec {sys.executable} "$@"'}, CUDA_VISIBLE_DEVICES=""
    )
    assert done.returncode == 1
    assert "finds no GPU" in done.stderr


def test_a_cache_that_misses_is_filled(tmp_path: Path) -> None:
    machine, downloads, kernels, *fill = read(GITHUB / "actions" / "caches" / "action.yml")["runs"]["steps"]
    stubs = {"nvidia-smi": "echo 9.0", "python": f'echo "$MIMICKIT_CACHE$WARP_CACHE_PATH: $*" >> {tmp_path}/asked'}
    assert run_step(tmp_path, machine["run"], stubs, DEVICE="cuda").returncode == 0
    assert (tmp_path / "output").read_text() == "model=9.0\n"
    stubs["nvidia-smi"] = "exit 9"
    assert run_step(tmp_path, machine["run"], stubs, DEVICE="cuda").returncode == 9
    for step, cache in zip(fill, (downloads, kernels), strict=True):
        assert step["if"] == f"steps.{cache['id']}.outputs.cache-hit != 'true'"
        assert (
            run_step(tmp_path, step["run"], stubs, DEVICE="cuda:0", MIMICKIT_CACHE="", WARP_CACHE_PATH="").returncode
            == 0
        )
    assert (tmp_path / "asked").read_text().splitlines() == [
        f"{tmp_path}/{downloads['with']['path']}: -m mimickit.data build",
        f"{tmp_path}/{kernels['with']['path']}: -m mimickit.kernels --device cuda:0",
    ]


def test_kernels_are_compiled_anew_when_what_they_depend_on_changes() -> None:
    """The key of their cache is made of what the image's stage of them copies."""
    stage = (REPOSITORY / "docker" / "Dockerfile").read_text().split("AS kernels")[1].split("\nRUN")[0]
    copied = {word for line in re.findall(r"COPY (.*?[^\\])\n", stage, re.DOTALL) for word in line.split()[:-1]}
    shared = {"\\", "mimickit/__init__.py", "mimickit/devices.py", "mimickit/errors.py", "mimickit/files.py"}
    caches = {step.get("id"): step for step in read(GITHUB / "actions" / "caches" / "action.yml")["runs"]["steps"]}
    hashed = {name.removesuffix("/**") for name in re.findall(r"'([\w./*]+)'", caches["kernels"]["with"]["key"])}
    assert hashed - {"constraints.txt"} == copied - shared


def test_every_checkout_forgets_its_token() -> None:
    checkouts = [(place, step) for place, step in steps() if "actions/checkout@" in step.get("uses", "")]
    assert len(checkouts) > 8
    assert not [place for place, step in checkouts if step.get("with", {}).get("persist-credentials") is not False]


def test_planning_installs_what_it_imports() -> None:
    """The light environment has what ``ci matrix`` and ``ci merge`` import, and not the framework's packages."""
    (install,) = [step["run"] for place, step in steps() if place == "light-python" and "run" in step]
    names = install.split("constraints.txt")[1].split("echo")[0].replace("\\", " ").split()
    modules = {"pyyaml": "yaml", "junit-xml": "junit_xml", "pillow": "PIL"}
    allowed = {modules.get(name, name) for name in names} | {"markupsafe", "six", "markdown_it", "mdurl", "pygments"}
    script = (
        "import sys\n"
        "from ci.__main__ import COMMANDS\n"
        "import importlib\n"
        "[importlib.import_module(COMMANDS[name]) for name in ('matrix', 'merge', 'lost', 'trend')]\n"
        "print(*{name.split('.')[0] for name, module in sys.modules.items()\n"
        "        if 'site-packages' in (getattr(module, '__file__', None) or '')})"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    found = {name for name in done.stdout.split() if not name.startswith(("_distutils_hack", "__editable__"))}
    assert found <= allowed


def test_the_bases_of_the_image_are_the_same_everywhere() -> None:
    dockerfile = (REPOSITORY / "docker" / "Dockerfile").read_text()
    cuda = re.search(r"^ARG BASE=(\S+)$", dockerfile, re.MULTILINE)
    assert cuda is not None
    cpu = read(REPOSITORY / "docker" / "compose.cpu.yaml")["x-build"]["build"]["args"]["BASE"]
    rows = workflow("image.yml")["jobs"]["build"]["strategy"]["matrix"]["include"]
    assert {row["variant"]: row["base"] for row in rows} == {"cuda": cuda[1], "cpu": cpu}
    action = (GITHUB / "actions" / "image" / "action.yml").read_text()
    assert f"'{cpu}' || '{cuda[1]}'" in action


def test_settings_are_committed_and_variables_go_over_them(tmp_path: Path) -> None:
    """A fork's run has no variables, so what it needs is in the file."""

    def outputs(variables: str, file: str | None = None) -> dict[str, str]:
        place = tmp_path / "output"
        place.unlink(missing_ok=True)
        page = tmp_path / "page"
        page.unlink(missing_ok=True)
        files = {"GITHUB_OUTPUT": str(place), "GITHUB_STEP_SUMMARY": str(page)}
        environment = {**os.environ, "VARIABLES": variables, **files}
        folder = REPOSITORY
        if file is not None:
            folder = tmp_path
            (tmp_path / ".github").mkdir(exist_ok=True)
            (tmp_path / ".github" / "matrix.json").write_text(file)
        script = str(GITHUB / "actions" / "settings" / "settings.py")
        done = subprocess.run([sys.executable, script], cwd=folder, env=environment, capture_output=True, text=True)
        if done.returncode != 0:
            return {"error": done.stdout}
        pages.append(page.read_text().strip())
        return dict(line.split("=", 1) for line in place.read_text().splitlines())

    pages: list[str] = []
    committed = outputs("{}")
    assert committed == outputs("null") | {}
    assert committed["profile"] == "pr"
    assert committed["device"] == ""
    assert json.loads(committed["runner_labels"]) == ["self-hosted", "linux", "x64", "gpu"]
    labels = '["mimickit-gpu"]'
    given = json.dumps(
        {"MIMICKIT_PROFILE": "smoke", "MIMICKIT_SHARDS": "3", "MIMICKIT_RUNNER_LABELS": labels, "DEVICE": "cpu"}
    )
    assert outputs(given) == {**committed, "profile": "smoke", "shards": "3", "runner_labels": '["mimickit-gpu"]'}
    assert pages[:2] == ["", ""]
    assert pages[2].startswith("Not as committed")
    assert f"`MIMICKIT_RUNNER_LABELS={labels}`" in pages[2]
    for name, value in (
        ("SHARDS", "0"),
        ("SHARDS", "many"),
        ("DEVICE", "tpu"),
        ("RUNNER_LABELS", "[]"),
        ("PROFILE", "a b"),
    ):
        assert f"the variable MIMICKIT_{name}" in outputs(json.dumps({f"MIMICKIT_{name}": value}))["error"]
    assert "are both longcycle" in outputs('{"MIMICKIT_NIGHTLY_PROFILE": "longcycle"}')["error"]
    assert "its keys are profile, expected" in outputs("{}", '{"profile": "pr"}')["error"]


@pytest.mark.parametrize(
    ("answer", "code", "outputs"),
    [
        (f"echo WARNING: slow >&2; echo {DIGEST}", 0, {"reference": f"ghcr.io/some/one/environment@{DIGEST}"}),
        ("echo sha256:77", 1, {}),
        ("echo 'ERROR: ghcr.io/x: not found' >&2; exit 1", 0, {}),
        ("echo 'ERROR: denied: requested access to the resource is denied' >&2; exit 1", 0, {}),
        ("echo 'ERROR: unexpected status: 403 Forbidden' >&2; exit 1", 0, {}),
        ("echo 'ERROR: name unknown' >&2; exit 1", 0, {}),
        ("echo 'ERROR: 401 Unauthorized' >&2; exit 1", 1, {}),
        ("echo 'ERROR: i/o timeout' >&2; exit 1", 1, {}),
    ],
)
def test_an_image_is_built_only_when_the_registry_says_that_it_is_not_there(
    tmp_path: Path, answer: str, code: int, outputs: dict[str, str]
) -> None:
    (tmp_path / "docker").write_text(f"#!/bin/sh\n{answer}\n")
    (tmp_path / "docker").chmod(0o755)
    given = {
        "REGISTRY": "ghcr.io",
        "VARIANT": "cpu",
        "CONTENT": "0123456789abcdef0123",
        "GITHUB_REPOSITORY": "Some/One",
    }
    path = os.pathsep.join([str(tmp_path), os.environ["PATH"]])
    environment = {**os.environ, **given, "PATH": path, "GITHUB_OUTPUT": str(tmp_path / "output")}
    done = subprocess.run([GITHUB / "actions" / "image" / "find.sh"], env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stdout
    found = dict(line.split("=", 1) for line in (tmp_path / "output").read_text().splitlines())
    name = "ghcr.io/some/one/environment"
    assert found == {"name": name, "tag": f"{name}:cpu-0123456789abcdef", **outputs}


def test_of_several_attempts_the_newest_counts(tmp_path: Path) -> None:
    for name in ("shard-1-of-attempt-1", "shard-2-of-attempt-1", "shard-2-of-attempt-10", "shard-2-of-attempt-9", "x"):
        (tmp_path / name).mkdir()
    subprocess.run([GITHUB / "actions" / "verdict" / "newest.sh", tmp_path], check=True, capture_output=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["shard-1-of-attempt-1", "shard-2-of-attempt-10", "x"]


def test_compose_files_have_the_same_services() -> None:
    services = read(REPOSITORY / "docker" / "services.yaml")["services"]
    for name in ("compose.yaml", "compose.cpu.yaml"):
        own = read(REPOSITORY / "docker" / name)["services"]
        assert set(own) == set(services) == {"e2e", "train", "doctor", "kernels", "dashboard"}
        assert {about["extends"]["service"] for about in own.values()} == set(own)
        included = read(REPOSITORY / name)  # from the root, so that a file .env there counts
        assert included == {"name": read(REPOSITORY / "docker" / name)["name"], "include": [f"docker/{name}"]}
    assert {name for name, about in services.items() if "profiles" not in about} == {"dashboard"}
    gpu = read(REPOSITORY / "docker" / "compose.yaml")["services"]
    for name in ("e2e", "train", "doctor", "kernels"):
        (device,) = gpu[name]["deploy"]["resources"]["reservations"]["devices"]
        assert device == {"driver": "nvidia", "count": "all", "capabilities": ["gpu"]}
        assert gpu[name]["environment"] == {"MIMICKIT_REQUIRE_GPU": "1"}
