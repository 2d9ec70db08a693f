"""Steps as CUDA graphs: what must hold of what they work on, and on a GPU that they do what the steps do."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from mimickit.learning.normalizer import Normalizer
from mimickit.learning.step_graphs import WARM_UP_STEPS, GraphMemory, StepGraphs, tensors_of


class Counter:
    """Counts what it is asked for, and where: in a step, or while a graph is captured."""

    __module__ = "mimickit.played"  # places of ours are looked at

    def __init__(self, device: str):
        self.generator = torch.Generator(device).manual_seed(1)
        self.state = torch.zeros(3, device=device)
        self.noise = torch.zeros(3, device=device)
        self.owned: list[Any] = []
        self.calls: list[str] = []

    def before(self) -> None:
        self.calls.append("before")
        self.noise.copy_(torch.rand(3, generator=self.generator, device=self.noise.device))

    def physics(self) -> None:
        self.calls.append("physics")
        self.state += self.noise

    def after(self) -> None:
        self.calls.append("after")
        self.state *= 2.0


def graphs_of(counter: Counter) -> StepGraphs:
    memory: Any = GraphMemory() if counter.state.is_cuda else None
    return StepGraphs(
        counter.before, counter.physics, counter.after, (counter.generator,), {"counter": counter}, memory
    )


@pytest.fixture
def played_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture that runs the function, as Python does when one is captured, and a replay that does nothing."""

    def capture(function: Callable[[], None], *others: object) -> SimpleNamespace:
        function()
        return SimpleNamespace(replay=lambda: None)

    monkeypatch.setattr("mimickit.learning.step_graphs.captured", capture)


def test_the_first_steps_are_taken_one_operation_after_the_other() -> None:
    counter = Counter("cpu")
    graphs = graphs_of(counter)
    for _ in range(WARM_UP_STEPS):
        graphs()
    assert counter.calls == ["before", "physics", "after"] * WARM_UP_STEPS
    graphs.require_places()  # nothing is captured, so anything may move


def test_a_tensor_that_was_put_elsewhere_after_the_capture_is_named(played_captures: None) -> None:
    counter = Counter("cpu")
    counter.owned.append({"deep": torch.zeros(2)})
    graphs = graphs_of(counter)
    for _ in range(WARM_UP_STEPS + 2):
        graphs()
    graphs.require_places()
    counter.state = counter.state + 1.0
    counter.owned[0]["deep"] = torch.ones(2)
    with pytest.raises(RuntimeError, match=r"in place: counter\.owned\[0\]\[deep\], counter\.state$"):
        graphs.require_places()


def test_a_captured_function_that_replaces_a_tensor_is_told_of_at_once(played_captures: None) -> None:
    """After the capture Python does not run it again, so the tensor would stay where it was put last."""
    counter = Counter("cpu")
    graphs = graphs_of(counter)

    def replace() -> None:
        counter.noise = counter.noise + 1.0

    graphs._after = replace
    for _ in range(WARM_UP_STEPS):
        graphs()
    with pytest.raises(RuntimeError, match=r"in place: counter\.noise$"):
        graphs()


def test_places_of_modules_and_of_what_holds_tensors_for_us() -> None:
    module = nn.Sequential(nn.Linear(2, 3), Normalizer(4))
    owner = SimpleNamespace(hidden=torch.zeros(1))  # of another library: not looked into
    found = tensors_of({"a": [module, owner], "b": {"again": module}})
    expected = {tensor.data_ptr() for tensor in (*module.parameters(), *module.buffers())}
    assert expected == {tensor.data_ptr() for tensor in found.values()}
    assert all(name.startswith("a[0].") for name in found)


@pytest.mark.gpu
def test_replayed_steps_are_those_that_were_captured() -> None:
    plain, graphed = Counter("cuda"), Counter("cuda")
    graphs = graphs_of(graphed)
    for _ in range(10):
        plain.before()
        plain.physics()
        plain.after()
        graphs()
    assert torch.equal(plain.state, graphed.state)
    # The two functions were called in the warm-up and in the capture; the physics is no part of the graphs.
    assert graphed.calls.count("before") == graphed.calls.count("after") == WARM_UP_STEPS + 1
    assert graphed.calls.count("physics") == 10
