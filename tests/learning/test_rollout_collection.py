"""What one iteration's buffer holds."""

import numpy as np
import scipy.stats
import torch

from mimickit.envs.terminations import Done


def test_the_buffer_holds_what_was_seen_done_and_received(make_agent):
    # Six steps of episodes of 3 and 4 steps. A point moves by a quarter of its action, which is 1 + 3 times the
    # normalised one and held within [-2, 4].
    agent = make_agent(num_envs=2, lengths=[3, 4], steps_per_iter=6)
    agent.begin_training()
    rollout = agent.collect()
    action = (1.0 + 3.0 * rollout.norm_action).clamp(-2.0, 4.0)
    np.testing.assert_allclose(rollout.next_obs, rollout.obs + 0.25 * action, atol=1e-6)
    np.testing.assert_allclose(rollout.reward, torch.exp(-rollout.next_obs.square().sum(-1)), atol=1e-6)
    ended = np.array([[0, 0], [0, 0], [1, 0], [0, 1], [0, 0], [1, 0]], dtype=bool)
    assert rollout.done.tolist() == np.where(ended, Done.TIME, Done.NULL).tolist()
    # The policy next sees the observation after the reset; the buffer's next_obs is the one before it.
    continued = (rollout.obs[1:] == rollout.next_obs[:-1]).all(-1).numpy()
    assert continued.tolist() == (~ended[:-1]).tolist()
    with torch.no_grad():
        mean = agent.policy(rollout.obs).mean
    np.testing.assert_allclose(
        rollout.log_prob, scipy.stats.norm(mean, 0.1).logpdf(rollout.norm_action).sum(-1), rtol=1e-4
    )
    assert agent.train_returns.totals[1:].tolist() == [3 + 3 + 4, 3]
