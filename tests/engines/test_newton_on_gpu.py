"""Newton on a GPU: against MuJoCo's C library with the bounds of the CPU, and its graphs against its kernels."""

import json

import pytest
import torch

from mimickit.bench.figures import Figure, figure_as_json
from mimickit.errors import CapacityError

pytestmark = pytest.mark.gpu
NUM_ENVS = 32
BOUND = 1e-3  # as in test_engine_parity.py
GPU = torch.device("cuda:0")


def test_every_character_agrees_with_mujoco(character, make_engine, median_difference, record_property):
    file, height = character
    reference = make_engine("mujoco", NUM_ENVS, char_file=file)
    engine = make_engine("newton", NUM_ENVS, char_file=file, device=GPU)

    difference = median_difference(reference, engine, height=height)

    name = f"{file.stem}: DoF positions on the GPU against MuJoCo, median over {NUM_ENVS} environments"
    record_property("figure", json.dumps(figure_as_json(Figure(name, "rad", [difference], at_most=BOUND))))
    assert engine.device_name == torch.cuda.get_device_name(0)
    assert difference < BOUND
    engine.check_capacity()


def test_a_captured_step_equals_an_uncaptured_one(character, make_engine, random_state, put):
    """As far as two uncaptured ones do: threads add forces in an order of their own, so that two runs of the same
    kernels differ by rounding, and where bodies touch later by more, in some environments by much: hence the median."""
    file, height = character
    captured, first, second = (
        make_engine("newton", NUM_ENVS, char_file=file, device=GPU, cuda_graph=graph) for graph in (True, False, False)
    )
    assert captured._step_graph is not None
    assert first._step_graph is None
    target = 0.3 * torch.randn(first.dof_pos.shape, generator=torch.Generator().manual_seed(5)).to(GPU)

    def differences(height, steps):
        for engine in (captured, first, second):
            put(engine, random_state(NUM_ENVS, target.shape[1], seed=4, height=height))
            for _ in range(steps):
                engine.step(target)
        return [
            max(
                float((getattr(first, name) - getattr(other, name)).abs().flatten(1).amax(dim=1).median())
                for name in ("root_pos", "root_vel", "dof_pos", "dof_vel", "body_pos")
            )
            for other in (captured, second)
        ]

    for place, steps, rounding in ((5.0, 5, 1e-6), (height, 10, 1e-4)):
        to_captured, to_uncaptured = differences(place, steps)
        print(f"\n{file.stem} from {place} m: captured {to_captured:.1e}, uncaptured {to_uncaptured:.1e}")
        assert to_captured <= 3.0 * to_uncaptured + rounding
    assert float(first.ground_force.abs().max()) > 0.0


def test_an_overflow_is_raised(make_engine, random_state, put):
    engine = make_engine("newton", NUM_ENVS, device=GPU, constraints_per_env=4)
    put(engine, random_state(NUM_ENVS, 28, seed=1, height=0.5))
    for _ in range(3):
        engine.step(torch.zeros(NUM_ENVS, 28, device=GPU))
    with pytest.raises(CapacityError, match=r"enlarge constraints_per_env \(now 4\)"):
        engine.check_capacity()
