"""One of several training processes: python process_worker.py RANK SIZE PORT prints what it saw as JSON."""

import hashlib
import json
import os
import sys

import torch
import torch.distributed as dist
from conftest import build_point_mass_agent, build_style_agent
from torch import nn

from mimickit.errors import ProcessGroupError
from mimickit.learning.actor_critic import normalized_advantages
from mimickit.learning.normalizer import Normalizer
from mimickit.learning.processes import Processes
from mimickit.learning.test_loop import run_test


def digest(module: nn.Module) -> str:
    return hashlib.sha256(b"".join(tensor.numpy().tobytes() for tensor in module.state_dict().values())).hexdigest()


def refusal(processes: Processes, module: nn.Module) -> str | None:
    """What require_equal has to say; None when it is content."""
    try:
        processes.require_equal(module)
    except ProcessGroupError as error:
        return str(error)
    return None


def main(rank: int, size: int) -> dict[str, object]:
    processes = Processes(rank, size, torch.device("cpu"))
    seen: dict[str, object] = {"first": processes.is_first}
    mine = torch.tensor([1.0, 10.0]) * (rank + 1)
    seen["sum"], seen["mine"] = processes.sum(mine).tolist(), mine.tolist()

    parameters = [nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.zeros(3)), nn.Parameter(torch.zeros(1))]
    parameters[0].grad = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) * (1 + 2 * rank)
    parameters[1].grad = torch.tensor([1.0, 0.0, -1.0]) + rank
    processes.average_gradients(parameters)
    seen["gradients"] = [None if p.grad is None else p.grad.tolist() for p in parameters]

    values = torch.tensor([[1.0, 2.0], [3.0, 4.0]]) if rank == 0 else torch.tensor([[10.0, 20.0]])
    normalized, mean, std = normalized_advantages(values, processes)
    seen["advantages"] = [normalized.tolist(), mean.item(), std.item()]

    normalizer = Normalizer(1)
    normalizer.record(values.view(-1, 1))
    normalizer.update(processes.sum(normalizer.new_statistics()))
    seen["normalizer"] = [normalizer.count, normalizer._mean.item(), normalizer._std.item()]

    # Different initial weights (made equal), different points, different noise.
    agent = build_point_mass_agent(num_envs=4, seed=rank, processes=processes)
    seen["start"] = digest(agent)
    agent.begin_training()
    for _ in range(2):
        agent.iterate()
    seen["obs"], seen["trained"], seen["refusal"] = agent.env.obs[0, 0].item(), digest(agent), refusal(processes, agent)
    seen["samples"] = agent.samples
    test = run_test(agent, 10)
    seen["test"] = [test.episodes.episodes, test.episodes.mean_return, test.samples]

    with torch.no_grad():
        agent._model._critic_out.bias += 1e-6 * rank
    seen["perturbed"] = refusal(processes, agent)

    styles = {}
    for name in ("AMP", "ADD", "ASE"):
        style = build_style_agent(name, num_envs=4, seed=rank, processes=processes)
        before = digest(style)
        style.begin_training()
        for _ in range(3):  # remembered samples join in the second
            style.iterate()
        styles[name] = {
            "start": before,
            "trained": digest(style),
            "refusal": refusal(processes, style),
            "scaled_samples": style._disc_obs_norm.count,
            "disc_obs": style.disc_obs.sum().item(),
        }
    seen["styles"] = styles

    agent = build_point_mass_agent(num_envs=4, seed=rank, processes=processes)
    processes.average_gradients = lambda parameters: None
    agent.begin_training()
    agent.iterate()
    seen["not_averaged"], seen["not_averaged_refusal"] = digest(agent), refusal(processes, agent)
    return seen


if __name__ == "__main__":
    rank, size, port = map(int, sys.argv[1:])
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=size)
    print(json.dumps(main(rank, size)), flush=True)
    dist.barrier()
    dist.destroy_process_group()
    os._exit(0)
