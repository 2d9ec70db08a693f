"""Training speed, start-up and memory of single cases, each in a fresh process, in turns."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mimickit.bench.figures import Figure
from mimickit.bench.part import Bench, python
from mimickit.bench.programs import ProgramError
from mimickit.bench.record import PartRecord

DEADLINE = 300.0
ITERATIONS = 5
WARM_UP = 3
FIRST_ITERATION_SECONDS = 2.0  # with warm kernels


@dataclass(frozen=True)
class SpeedCase:
    """A case and its bounds: samples per second, seconds to build the environment, GPU memory in 1e9 bytes."""

    case: str
    num_envs: int
    samples_per_s: float | None = None
    build_s: float | None = None
    memory_gb: float | None = None

    @property
    def name(self) -> str:
        return f"{self.case} {self.num_envs}"


CASES = (
    SpeedCase("deepmimic_humanoid_ppo", 4096, 170e3, build_s=3.0, memory_gb=6.6),
    SpeedCase("deepmimic_humanoid_ppo", 8192, 250e3, memory_gb=12.3),
    SpeedCase("amp_humanoid", 4096, 160e3, memory_gb=12.5),
    SpeedCase("deepmimic_smpl_ppo", 4096, 90e3, memory_gb=8.1),
    SpeedCase("deepmimic_go2_ppo", 4096),
    SpeedCase("add_humanoid", 4096),
    SpeedCase("ase_humanoid", 4096),
    SpeedCase("deepmimic_pi_plus_ppo", 2048),
)


def measure(bench: Bench, part: PartRecord, cases: Sequence[SpeedCase] = CASES) -> None:
    """Every case once, then every case again: so a machine that slows down shows in all of them."""
    results: dict[str, list[dict[str, Any]]] = {case.name: [] for case in cases}
    for repeat in range(bench.options.repeats):
        for case in cases:
            name = f"{case.name} turn {repeat + 1}"
            words = ("--arg-file", f"args/{case.case}_args.txt", "--num-envs", case.num_envs)
            times = ("--device", bench.devices[0], "--warm-up", WARM_UP, "--iterations", ITERATIONS)
            command = python("-m", "mimickit.bench.one_case", *words, *times)
            try:
                results[case.name].append(bench.programs.run(name, command, DEADLINE).result())
            except ProgramError as error:
                part.failed(error)
            part.details["cases"] = results
            part.figures[:] = [figure for each in cases for figure in figures(each, results[each.name])]
            bench.save()
    for name, found in results.items():
        compiled = sum(result["new_kernel_files"] for result in found)
        if compiled:
            part.notes.append(
                f"{name}: {compiled} files came into warp's kernel cache while it ran, so its start was not warm; "
                "run part kernels first"
            )
        if not all(result["finite"] for result in found):
            part.fail(name, "the state of an environment became NaN or infinite")


def figures(case: SpeedCase, results: Sequence[dict[str, Any]]) -> list[Figure]:
    """What `mimickit.bench.one_case` found of one case, over all turns; nothing when it never did."""
    if not results:
        return []

    def one_each(*keys: str) -> list[float]:
        return [sum(float(result[key]) for key in keys) for result in results]

    rates = [
        result["samples_per_iteration"] / (collect + update)
        for result in results
        for collect, update in zip(result["collect_s"], result["update_s"], strict=True)
    ]
    found = [
        Figure(f"{case.name}, training", "samples/s", rates, at_least=case.samples_per_s),
        Figure(f"{case.name}, imports", "s", one_each("imports_s", "engine_import_s")),
        Figure(f"{case.name}, environment build", "s", one_each("build_s"), at_most=case.build_s),
        Figure(f"{case.name}, agent and its buffers", "s", one_each("agent_s")),
        Figure(f"{case.name}, first iteration", "s", one_each("first_iteration_s"), at_most=FIRST_ITERATION_SECONDS),
        Figure(f"{case.name}, rollout", "s", [each for result in results for each in result["collect_s"]]),
        Figure(f"{case.name}, update", "s", [each for result in results for each in result["update_s"]]),
    ]
    if all(result["peak_memory_gb"] is not None for result in results):
        memory = one_each("peak_memory_gb")
        found.append(Figure(f"{case.name}, GPU memory in use", "GB", memory, at_most=case.memory_gb))
    return found


# "deepmimic_humanoid_ppo_4096" and so on.
STEPS = {case.name.replace(" ", "_"): partial(measure, cases=(case,)) for case in CASES}
