"""Networks: sizes, initial values, and the names and shapes of published model files."""

import dataclasses
import math

import pytest
import torch
from torch import nn

from mimickit.learning.networks import ActorCritic, build_hidden_layers
from mimickit.learning.ppo import PPOAgent
from mimickit.learning.processes import Processes

SIZES = {
    "fc_2layers_1024units": [1024, 512],
    "fc_2layers_512units": [512, 256],
    "fc_2layers_256units": [256, 128],
    "fc_2layers_128units": [128, 64],
    "fc_3layers_1024units": [1024, 1024, 512],
}

# The published humanoid DeepMimic model.
PUBLISHED = {
    "_obs_norm._count": (1,),
    "_obs_norm._mean": (464,),
    "_obs_norm._std": (464,),
    "_a_norm._count": (1,),
    "_a_norm._mean": (28,),
    "_a_norm._std": (28,),
    "_model._actor_layers.0.weight": (1024, 464),
    "_model._actor_layers.0.bias": (1024,),
    "_model._actor_layers.2.weight": (512, 1024),
    "_model._actor_layers.2.bias": (512,),
    "_model._action_dist._logstd_net": (28,),
    "_model._action_dist._mean_net.weight": (28, 512),
    "_model._action_dist._mean_net.bias": (28,),
    "_model._critic_layers.0.weight": (1024, 464),
    "_model._critic_layers.0.bias": (1024,),
    "_model._critic_layers.2.weight": (512, 1024),
    "_model._critic_layers.2.bias": (512,),
    "_model._critic_out.weight": (1, 512),
    "_model._critic_out.bias": (1,),
}


@pytest.mark.parametrize("name", SIZES)
def test_hidden_layers(name):
    layers, output_size = build_hidden_layers(name, 7)
    linear = layers[::2]
    assert [layer.in_features for layer in linear] == [7, *SIZES[name][:-1]]
    assert [layer.out_features for layer in linear] == SIZES[name]
    assert all(isinstance(layer, nn.ReLU) for layer in layers[1::2])
    assert len(layers) == 2 * len(SIZES[name])
    assert output_size == SIZES[name][-1]
    assert all(not layer.bias.any() for layer in linear)


def test_state_dict_has_the_published_names_and_shapes(config, make_agent):
    env = make_agent(num_envs=1).env
    env.obs_size, env.action_size = 464, 28
    env.action_low, env.action_high = -torch.ones(28), torch.ones(28)
    model = dataclasses.replace(config.model, actor_net="fc_2layers_1024units", critic_net="fc_2layers_1024units")
    agent = PPOAgent(dataclasses.replace(config, model=model), env, Processes(0, 1, env.device), 0)
    assert {name: tuple(tensor.shape) for name, tensor in agent.state_dict().items()} == PUBLISHED


def test_policy_output_starts_within_its_scale_and_biases_at_zero(config):
    model = ActorCritic(dataclasses.replace(config.model, actor_init_output_scale=0.02), 5, 30)
    weight = model._action_dist._mean_net.weight
    # Of 30 * 64 uniform draws the largest is above 95% of the bound but for one chance in 10^42.
    assert 0.019 < weight.abs().max().item() <= 0.02
    assert abs(weight.mean().item()) < 4 * 0.02 / math.sqrt(3 * weight.numel())
    assert not model._action_dist._mean_net.bias.any()
    assert not model._critic_out.bias.any()


@pytest.mark.parametrize(
    ("kind", "learned"),
    [("FIXED", set()), ("CONSTANT", {"_logstd_net"}), ("VARIABLE", {"_logstd_net.weight", "_logstd_net.bias"})],
)
def test_standard_deviation_kinds(config, kind, learned):
    torch.manual_seed(0)
    model = ActorCritic(dataclasses.replace(config.model, actor_std_type=kind, action_std=0.3), 5, 4)
    head = dict(model._action_dist.named_parameters())
    optimized = {id(parameter) for parameter in model.actor_parameters()}
    assert {name for name in head if name.startswith("_logstd") and id(head[name]) in optimized} == learned
    obs = torch.randn(6, 5)
    distribution = model.actor(obs)
    assert distribution.log_std.shape == (6, 4)
    tolerance = {"VARIABLE": 0.1}.get(kind, 1e-6)
    assert distribution.log_std.exp().tolist() == [pytest.approx([0.3] * 4, rel=tolerance)] * 6
    spread = distribution.log_std.std(dim=0).max().item()
    assert (spread > 1e-5) == (kind == "VARIABLE")


def test_actor_and_critic_share_no_parameter(config):
    model = ActorCritic(config.model, 5, 4)
    actor, critic = model.actor_parameters(), model.critic_parameters()
    assert not {id(parameter) for parameter in actor} & {id(parameter) for parameter in critic}
    learned = sum(parameter.requires_grad for parameter in model.parameters())
    assert len(actor) + len(critic) == learned
    assert model.critic(torch.zeros(3, 2, 5)).shape == (3, 2)
