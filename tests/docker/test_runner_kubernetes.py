"""The values for Actions Runner Controller: the keys that its chart reads, and the files that they name."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
RUNNER = REPOSITORY / "docker" / "runner"
# Keys of values.yaml of the chart gha-runner-scale-set that are used here.
CHART = {
    "githubConfigUrl",
    "githubConfigSecret",
    "runnerScaleSetName",
    "minRunners",
    "maxRunners",
    "containerMode",
    "template",
}


@pytest.fixture(scope="module")
def values() -> Any:
    return yaml.safe_load((RUNNER / "arc-values.yaml").read_text())


@pytest.fixture(scope="module")
def runner(values) -> Any:
    (container,) = values["template"]["spec"]["containers"]
    assert container["name"] == "runner"  # the chart configures the container of this name
    return container


def environment(runner: Any) -> dict[str, str]:
    return {each["name"]: each["value"] for each in runner["env"]}


def test_the_keys_are_the_chart_s(values):
    assert set(values) == CHART
    assert values["containerMode"]["type"] == "kubernetes"
    claim = values["containerMode"]["kubernetesModeWorkVolumeClaim"]
    assert set(claim) == {"accessModes", "storageClassName", "resources"}
    assert values["minRunners"] == 0 < values["maxRunners"]
    assert isinstance(values["githubConfigSecret"], str)  # a name: no token in this file


def test_the_runner_asks_the_hook_and_wants_containers(runner):
    set_to = environment(runner)
    assert set_to["ACTIONS_RUNNER_HOOK_JOB_STARTED"] == "/opt/mimickit-runner/hooks/job-started.sh"
    assert set_to["ACTIONS_RUNNER_REQUIRE_JOB_CONTAINER"] == "true"
    assert set_to["ACTIONS_RUNNER_CONTAINER_HOOKS"] == "/opt/mimickit-runner/hooks/container-gate.js"
    assert set_to["ACTIONS_RUNNER_CONTAINER_HOOK_TEMPLATE"] == "/etc/mimickit-runner/arc-job-pod.yaml"
    assert all(isinstance(value, str) for value in set_to.values())  # Kubernetes takes nothing else
    assert runner["command"] == ["/home/runner/run.sh"]


def test_nobody_is_root(values, runner):
    pod = values["template"]["spec"]["securityContext"]
    assert pod["runAsNonRoot"] is True
    assert (pod["runAsUser"], pod["runAsGroup"], pod["fsGroup"]) == (1001, 1001, 1001)
    for container in (runner, job_container()):
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


def job_container() -> Any:
    (container,) = yaml.safe_load((RUNNER / "arc-job-pod.yaml").read_text())["spec"]["containers"]
    return container


def test_the_job_s_pod_has_a_gpu_and_nothing_of_the_cluster():
    """The container of this name is the workflow's; its own options do not reach Kubernetes."""
    spec = yaml.safe_load((RUNNER / "arc-job-pod.yaml").read_text())["spec"]
    container = job_container()
    assert container["name"] == "$job"
    assert container["resources"]["limits"]["nvidia.com/gpu"] == 1
    assert container["securityContext"]["runAsUser"] == 1001
    assert spec["automountServiceAccountToken"] is False
    (mount,) = container["volumeMounts"]
    (volume,) = spec["volumes"]
    assert (mount["mountPath"], volume["name"]) == ("/dev/shm", mount["name"])
    assert volume["emptyDir"]["medium"] == "Memory"


def test_both_pods_may_run_on_nodes_that_are_kept_for_gpus(values):
    """Some clusters add this to a pod that asks for a GPU, as the job's does: the runner's must be on the same node."""
    job = yaml.safe_load((RUNNER / "arc-job-pod.yaml").read_text())
    for pod in (values["template"], job):
        assert pod["spec"]["tolerations"] == [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]


def test_the_guide_labels_the_nodes_that_are_selected(values):
    ((label, value),) = values["template"]["spec"]["nodeSelector"].items()
    guide = (REPOSITORY / "docs" / "self-hosted-runners.md").read_text()
    assert f"kubectl label node NODE {label}={value}" in guide


def test_the_config_map_has_every_file_that_is_mounted(values):
    """The command in the file's head makes it."""
    text = (RUNNER / "arc-values.yaml").read_text()
    named = re.findall(r"--from-file (\S+)", text.split("githubConfigUrl")[0])
    volumes = {volume["name"]: volume for volume in values["template"]["spec"]["volumes"]}
    mounted = [item["key"] for name in ("hooks", "settings") for item in volumes[name]["configMap"]["items"]]
    assert sorted(Path(name).name for name in named) == sorted(mounted)
    assert all((REPOSITORY / name).is_file() for name in named if "/" in name)
    assert [volumes[name]["configMap"]["defaultMode"] for name in ("hooks", "settings")] == [0o555, 0o444]


def test_mounts_are_where_the_scripts_look(values, runner):
    mounts = {mount["name"]: mount for mount in runner["volumeMounts"]}
    assert {volume["name"] for volume in values["template"]["spec"]["volumes"]} == set(mounts)
    assert mounts["settings"]["mountPath"] + "/allowed.conf" in (RUNNER / "job-started.sh").read_text()
    assert mounts["hooks"]["readOnly"] is mounts["settings"]["readOnly"] is True
    state = environment(runner)["MIMICKIT_RUNNER_STATE"]
    assert mounts["state"]["mountPath"] == state
    assert f"'{state}/admitted'" in (RUNNER / "container-gate.js").read_text()


def test_the_hook_finds_its_check_in_a_config_map(tmp_path):
    """Kubernetes makes the files of a ConfigMap links into a folder that it replaces."""
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..data").symlink_to("..2026")
    for name in ("job-started.sh", "admission.py"):
        (tmp_path / "..2026" / name).write_bytes((RUNNER / name).read_bytes())
        (tmp_path / name).symlink_to(f"..data/{name}")
    line = next(line for line in (RUNNER / "job-started.sh").read_text().splitlines() if line.startswith("hooks="))
    script = line.replace("${BASH_SOURCE[0]}", str(tmp_path / "job-started.sh")) + '\nls "$hooks/admission.py"'
    subprocess.run(["bash", "-c", script], check=True)
