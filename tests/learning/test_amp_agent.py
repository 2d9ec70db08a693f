"""AMP: rewards, the discriminator's samples, scale and optimizer by hand, and learning to rest where the demos do."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from mimickit.config.agent_config import OptimizerConfig
from mimickit.learning import amp
from mimickit.learning.actor_critic import PolicySamples
from mimickit.learning.amp import AMPAgent
from mimickit.learning.logger import Logger, read_log
from mimickit.learning.normalizer import Normalizer
from mimickit.learning.train_loop import check_finite, train


def discriminator_by_hand(agent: AMPAgent, disc_obs: Tensor) -> np.ndarray:
    """Logits ``(...)`` of raw observations ``(..., size)`` with numpy, from the model file's numbers."""
    state = {name: tensor.double().numpy() for name, tensor in agent.state_dict().items()}
    obs = (disc_obs.double().numpy() - state["_disc_obs_norm._mean"]) / state["_disc_obs_norm._std"]
    for layer in ("_disc_layers.0", "_disc_layers.2", "_disc_logits"):
        obs = np.clip(obs, -10, 10) if layer == "_disc_layers.0" else np.maximum(obs, 0.0)
        obs = obs @ state[f"_model.{layer}.weight"].T + state[f"_model.{layer}.bias"]
    return obs[..., 0]


class Watch:
    """Stands in for a function: keeps what it is called with, and calls it."""

    def __init__(self, function: Any):
        self.function = function
        self.calls: list[tuple[Any, ...]] = []
        self.results: list[Any] = []

    def __call__(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        self.results.append(self.function(*arguments))
        return self.results[-1]


def parts(agent: AMPAgent) -> dict[str, list[nn.Parameter]]:
    model = agent._model
    return {
        "actor": model.actor_parameters(),
        "critic": model.critic_parameters(),
        "discriminator": model.discriminator_parameters(),
    }


def test_the_window_is_that_of_the_step_before_any_reset(make_style_agent: Any) -> None:
    # The newest of a window's three positions is where the step led, the others those before it in this episode.
    agent = make_style_agent("AMP", num_envs=2, lengths=[3, 4], steps_per_iter=6)
    agent.begin_training()
    rollout = agent.collect()
    window = agent.disc_obs.view(6, 2, 3, 2)
    assert torch.equal(window[:, :, 2], rollout.next_obs)
    assert torch.equal(window[:, :, 1], rollout.obs)
    went_on = rollout.done[:-1] == 0
    assert went_on.tolist() == [[1, 1], [1, 1], [0, 1], [1, 0], [1, 1]]
    assert torch.equal(window[1:, :, 0][went_on], rollout.obs[:-1][went_on])


def test_the_reward_mixes_the_task_s_and_the_discriminator_s(make_style_agent: Any) -> None:
    agent = make_style_agent("AMP", disc_reward_scale=2.0, task_reward_weight=0.3, disc_reward_weight=0.7)
    agent._disc_obs_norm.set_range(torch.arange(6.0) / 4, 1.0 + torch.arange(6.0))
    agent.begin_training()
    rollout = agent.collect()
    task = np.exp(-rollout.next_obs.double().square().sum(-1).numpy())
    disc = 2.0 * np.logaddexp(0.0, discriminator_by_hand(agent, agent.disc_obs))
    assert disc.std() > 0.05  # it depends on the window
    metrics = agent.shape_rewards(rollout)
    np.testing.assert_allclose(rollout.reward, 0.3 * task + 0.7 * disc, rtol=1e-4)
    assert metrics["Task_Reward_Mean"].item() == pytest.approx(task.mean(), rel=1e-5)
    assert metrics["Disc_Reward_Mean"].item() == pytest.approx(disc.mean(), rel=1e-4)
    assert metrics["Disc_Reward_Std"].item() == pytest.approx(disc.std(), rel=1e-4)


def test_the_policy_learns_from_the_mixed_reward_and_the_log_keeps_the_environment_s(make_style_agent: Any) -> None:
    # With no discount an action's return is its own reward; episodes of one step each return the task's.
    agent = make_style_agent("AMP", lengths=[1] * 8, discount=0.0, task_reward_weight=0.3, disc_reward_weight=0.7)
    agent.begin_training()
    agent.update_critic = Watch(agent.update_critic)
    before = agent._model.discriminator
    rewards = []

    def discriminator(obs: Tensor) -> Tensor:
        rewards.append(torch.nn.functional.softplus(before(obs)))
        return before(obs)

    agent._model.discriminator = discriminator
    metrics = agent.iterate()
    task = torch.exp(-agent.rollout.next_obs.square().sum(-1))
    mixed = 0.3 * task + 0.7 * 2.0 * rewards[0].detach()
    ((_, returns),) = agent.update_critic.calls
    np.testing.assert_allclose(returns, mixed.flatten(), rtol=1e-4)
    assert metrics["Reward_Mean"].item() == pytest.approx(mixed.mean().item(), rel=1e-4)
    total, length, episodes = agent.train_returns.totals.tolist()
    assert (length, episodes) == (128, 128)
    assert total == pytest.approx(task.sum().item(), rel=1e-5)


def test_remembered_samples_join_after_the_first_iteration(make_style_agent: Any, monkeypatch: Any) -> None:
    # 8 environments, 16 steps and 4 samples of each are 4 minibatches of 32 an epoch.
    agent = make_style_agent("AMP", disc_replay_samples=50, disc_buffer_size=80, normalizer_samples=0)
    watch = Watch(amp.discriminator_loss)
    monkeypatch.setattr(amp, "discriminator_loss", watch)
    agent.begin_training()
    rollouts = []
    for iteration in range(3):
        agent.iterate()
        rollouts.append(agent.disc_obs.flatten(0, 1).clone())
        assert agent.replay.count == [50, 80, 80][iteration]
    sides = [(call[2], call[3]) for call in watch.calls]
    assert [len(own) for own, _ in sides] == [32] * 8 + [64] * 16
    assert [len(demo) for _, demo in sides] == [32] * 24

    def rows(tensor: Tensor) -> set[tuple[float, ...]]:
        return {tuple(row) for row in tensor.tolist()}

    for iteration in range(3):
        batches = sides[8 * iteration : 8 * iteration + 8]
        for epoch in (batches[:4], batches[4:]):  # an epoch has every sample of this rollout once
            own = torch.cat([agent_obs[:32] for agent_obs, _ in epoch])
            assert sorted(own.tolist()) == sorted(rollouts[iteration].tolist())
        remembered = set().union(*[rows(agent_obs[32:]) for agent_obs, _ in batches])
        earlier = [len(remembered & rows(rollout)) for rollout in rollouts]
        # 256 draws out of 50; and out of 80, 50 of which are the second rollout's. Few are missed: 50 e^-5 and 80 e^-3.
        assert sum(earlier) == len(remembered)
        assert earlier[iteration:] == [0] * (3 - iteration)
        assert iteration < 1 or 44 <= sum(earlier[:iteration]) <= 80
        assert iteration != 1 or earlier[0] <= 50
        assert iteration != 2 or (earlier[0] <= 30 < earlier[1] <= 50)
    assert len(set().union(*[rows(demo) for _, demo in sides])) == 32 * 24  # demos are new ones every time


def test_what_is_remembered_is_not_more_than_a_rollout(make_style_agent: Any) -> None:
    agent = make_style_agent("AMP", disc_replay_samples=1000)
    agent.begin_training()
    agent.iterate()
    assert agent.replay.count == 128
    drawn = {tuple(row) for row in agent.replay.draw(4000, agent.generator).tolist()}
    assert drawn == {tuple(row) for row in agent.disc_obs.flatten(0, 1).tolist()}


def test_the_scale_is_that_of_both_sides_and_freezes(make_style_agent: Any) -> None:
    # 128 samples an iteration; 200 are reached in the second. The second epoch's demos do not count.
    agent = make_style_agent("AMP", normalizer_samples=200)
    assert isinstance(agent._disc_obs_norm, Normalizer)
    agent.begin_training()
    agent.env.sample_demo = Watch(agent.env.sample_demo)
    own, states = [], []
    for _ in range(4):
        agent.iterate()
        own.append(agent.disc_obs.flatten(0, 1).clone())
        norm = agent._disc_obs_norm
        states.append([norm.count, *norm._mean.tolist(), *norm._std.tolist()])
    demos = agent.env.sample_demo.results
    assert [len(demo) for demo in demos] == [32] * 32  # of 4 iterations, 2 epochs and 4 minibatches
    seen = np.empty((0, 6))
    for iteration in range(2):
        seen = np.concatenate([seen, own[iteration], *demos[8 * iteration : 8 * iteration + 4]])
        np.testing.assert_allclose(states[iteration], [len(seen), *seen.mean(0), *seen.std(0)], rtol=1e-4, atol=1e-5)
    assert states[1][0] == 512
    assert states[2] == states[1]
    assert states[3] == states[1]


def test_one_scale_serves_an_iteration_and_the_next_one_is_new(make_style_agent: Any, monkeypatch: Any) -> None:
    agent = make_style_agent("AMP")
    watch = Watch(amp.discriminator_loss)
    monkeypatch.setattr(amp, "discriminator_loss", watch)
    agent.begin_training()
    for _ in range(2):
        mean, std = agent._disc_obs_norm._mean.clone(), agent._disc_obs_norm._std.clone()
        watch.calls.clear()
        agent.env.sample_demo = Watch(agent.env.sample_demo)
        agent.iterate()
        own = [((agent.disc_obs.flatten(0, 1) - mean) / std).clamp(-10, 10)] * 2  # in each of two epochs
        given = torch.cat([call[2][:32] for call in watch.calls])
        np.testing.assert_allclose(sorted(given.tolist()), sorted(torch.cat(own).tolist()), atol=1e-5)
        demos = ((torch.cat(agent.env.sample_demo.results) - mean) / std).clamp(-10, 10)
        np.testing.assert_allclose(torch.cat([call[3] for call in watch.calls]), demos, atol=1e-5)
        assert not torch.equal(mean, agent._disc_obs_norm._mean)


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_every_optimizer_moves_its_own_network(make_style_agent: Any, kind: str) -> None:
    decaying = OptimizerConfig(type=kind, learning_rate=1e-3, weight_decay=0.1)  # which moves what gets no gradient
    optimizers = {f"{name}_optimizer": decaying for name in ("actor", "critic", "disc")}
    agent = make_style_agent("AMP", model={"actor_std_type": "CONSTANT"}, **optimizers)
    agent.begin_training()
    agent.iterate()
    everything = parts(agent)
    identities = [id(parameter) for part in everything.values() for parameter in part]
    assert len(identities) == len(set(identities)) == len(list(agent.parameters()))
    for name, optimizer in zip(everything, ("actor", "critic", "disc"), strict=True):
        optimized = getattr(agent, f"{optimizer}_optimizer").param_groups[0]["params"]
        assert {id(parameter) for parameter in optimized} == {id(parameter) for parameter in everything[name]}
    disc_obs, obs = agent.disc_obs.flatten(0, 1), agent.rollout.obs.flatten(0, 1)
    rewards = agent.rollout.reward.flatten()
    steps = {
        "actor": lambda: agent.update_actor(
            amp_samples(agent, agent._obs_norm.normalize(obs), agent.rollout.norm_action.flatten(0, 1))
        ),
        "critic": lambda: agent.update_critic(obs, rewards),
        "discriminator": lambda: agent.update_discriminator(disc_obs, False),
    }
    for moved, step in steps.items():
        before = {name: [p.detach().clone() for p in part] for name, part in everything.items()}
        step()
        for name, part in everything.items():
            changed = [not torch.equal(old, new) for old, new in zip(before[name], part, strict=True)]
            assert all(changed) if name == moved else not any(changed), (moved, name)


def amp_samples(agent: AMPAgent, norm_obs: Tensor, norm_action: Tensor) -> PolicySamples:
    with torch.no_grad():
        log_prob = agent._model.actor(norm_obs).log_prob(norm_action)
    return PolicySamples(norm_obs, norm_action, log_prob, torch.ones(len(norm_obs)))


def test_the_discriminator_comes_to_tell_policy_and_demos_apart(make_style_agent: Any) -> None:
    agent = make_style_agent("AMP", disc_grad_penalty=0.01, disc_epochs=40)
    agent.begin_training()
    agent.collect()
    own, demo = agent.disc_obs.flatten(0, 1), agent.env.sample_demo(500)
    agent.update_discriminator(own, True)
    agent._disc_obs_norm.update(agent._disc_obs_norm.new_statistics())
    metrics = agent.update_discriminator(own, False)
    logits = [agent._model.discriminator(agent._disc_obs_norm.normalize(side)) for side in (own, demo)]
    assert (logits[0] < 0).float().mean() > 0.95  # 1 with seeds 0 to 4, for the demos too
    assert (logits[1] > 0).float().mean() > 0.95
    assert metrics["Disc_Agent_Logit"] < -1 < 1 < metrics["Disc_Demo_Logit"]


def test_a_training_run_logs_the_discriminator(make_style_agent: Any, tmp_path: Path) -> None:
    agent = make_style_agent("AMP")
    with_log = Logger("txt", tmp_path)
    train(agent, tmp_path, 3 * 128, with_log, None, test_episodes=8, save_int_models=False)
    with_log.close()
    log = read_log(tmp_path / "log.txt")
    names = ("Reward_Mean", "Reward_Std", "Agent_Acc", "Demo_Acc", "Agent_Logit", "Demo_Logit", "Loss", "Grad_Penalty")
    assert {"Task_Reward_Mean", *[f"Disc_{name}" for name in names]} <= set(log)
    assert all(math.isfinite(value) for column in log.values() for value in column)
    assert all(0 <= value <= 1 for value in log["Disc_Agent_Acc"] + log["Disc_Demo_Acc"])


@pytest.mark.parametrize("name", ["AMP", "ADD", "ASE"])
def test_one_environment_and_one_step_an_iteration_are_enough(make_style_agent: Any, name: str) -> None:
    agent = make_style_agent(name, num_envs=1, steps_per_iter=1)
    agent.begin_training()
    for _ in range(3):
        check_finite(agent, {key: float(value) for key, value in agent.iterate().items()}, 0)


def trained(make_style_agent: Any, seed: int) -> tuple[list[float], list[float], list[float]]:
    """Accuracy on the policy, discriminator reward and mean distance to the demos' place of 40 iterations."""
    adam = OptimizerConfig(type="Adam", learning_rate=3e-3)
    agent = make_style_agent(
        "AMP",
        num_envs=32,
        seed=seed,
        lengths=[60] * 32,
        model={"action_std": 0.2},
        actor_optimizer=adam,
        critic_optimizer=adam,
        disc_optimizer=adam,
        actor_epochs=5,
        disc_grad_penalty=0.1,
        disc_buffer_size=500,
    )
    agent.begin_training()
    accuracy, reward, distance = [], [], []
    for _ in range(40):
        metrics = agent.iterate()
        accuracy.append(metrics["Disc_Agent_Acc"].item())
        reward.append(metrics["Disc_Reward_Mean"].item())
        distance.append((agent.rollout.next_obs - agent.env.place).norm(dim=-1).mean().item())
    return accuracy, reward, distance


def test_points_come_to_rest_where_the_demos_do(make_style_agent: Any) -> None:
    accuracy, reward, distance = trained(make_style_agent, 0)
    # Measured with seeds 0 to 4. Accuracy: 0.90 to 0.95 at its best in the first 15 iterations, 0.27 to 0.57 in the
    # last five. Reward: 0.04 to 0.27 at its worst, 1.34 to 1.44 in the end. Distance: 1.25 to 1.49 in the first
    # iteration, 3.5 to 4.8 at its worst, 0.15 to 0.34 in the end; the demos' own is 0.15.
    assert max(accuracy[3:15]) > 0.85
    assert np.mean(accuracy[-5:]) < max(accuracy[3:15]) - 0.25
    assert min(reward[:15]) < 0.4
    assert np.mean(reward[-5:]) > 1.2
    assert distance[0] > 1.0
    assert np.mean(distance[-5:]) < 0.5
