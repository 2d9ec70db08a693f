"""The denoiser of a motion prior against numpy, and what an untrained one does."""

import numpy as np
import pytest
import torch

from mimickit.learning.smp_prior.network import AdaptiveBlock, Denoiser, sinusoids

FRAMES, CHANNELS, LAYERS, HEADS, HEAD_SIZE = 5, 3, 2, 2, 4
WIDTH = HEADS * HEAD_SIZE


def denoiser(seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    return Denoiser(FRAMES, CHANNELS, LAYERS, HEADS, HEAD_SIZE).double().requires_grad_(False)


def shaken(network: torch.nn.Module, seed: int = 1) -> None:
    """Random values in place of the zeros a block starts with."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in network.parameters():
        parameter.data = 0.5 * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)


def windows(count: int = 4) -> torch.Tensor:
    return torch.randn(count, FRAMES, CHANNELS, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def weights(module: torch.nn.Module) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in module.state_dict().items()}


def test_sinusoids_by_hand() -> None:
    # Size 4: periods of 2 pi and 2 pi * 10,000^(1/2).
    expected = [[0.0, 0.0, 1.0, 1.0], [np.sin(3.0), np.sin(0.03), np.cos(3.0), np.cos(0.03)]]
    np.testing.assert_allclose(sinusoids(torch.tensor([0, 3]), 4), expected, atol=1e-6)


def test_untrained_the_network_is_one_linear_map_of_each_frame() -> None:
    network, seen = denoiser(), windows()
    own = weights(network)
    places = sinusoids(torch.arange(FRAMES), WIDTH).double().numpy()
    tokens = seen.numpy() @ own["frame_in.weight"].T + own["frame_in.bias"] + places
    expected = tokens @ own["frame_out.weight"].T + own["frame_out.bias"]
    for step in (0, 7, 49):
        np.testing.assert_allclose(network(seen, torch.tensor([step])), expected, atol=1e-12)


def normed(tokens: np.ndarray) -> np.ndarray:
    return (tokens - tokens.mean(-1, keepdims=True)) / np.sqrt(tokens.var(-1, keepdims=True) + 1e-5)


def test_a_block_by_hand() -> None:
    block = AdaptiveBlock(WIDTH, HEADS).double().requires_grad_(False)
    shaken(block)
    own = weights(block)
    generator = torch.Generator().manual_seed(3)
    tokens = torch.randn(1, FRAMES, WIDTH, generator=generator, dtype=torch.float64)
    condition = torch.randn(1, WIDTH, generator=generator, dtype=torch.float64)

    x = tokens[0].numpy()
    modulation = own["modulation.weight"] @ condition[0].numpy() + own["modulation.bias"]
    scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = np.split(modulation, 6)
    seen = normed(x) * (1 + scale_1) + shift_1
    query, key, value = np.split(seen @ own["attention_in.weight"].T + own["attention_in.bias"], 3, axis=-1)
    mixed = []
    for head in range(HEADS):
        part = slice(head * HEAD_SIZE, (head + 1) * HEAD_SIZE)
        score = np.exp(query[:, part] @ key[:, part].T / np.sqrt(HEAD_SIZE))
        mixed.append(score / score.sum(-1, keepdims=True) @ value[:, part])
    x = x + gate_1 * (np.concatenate(mixed, axis=-1) @ own["attention_out.weight"].T + own["attention_out.bias"])
    seen = normed(x) * (1 + scale_2) + shift_2
    hidden = torch.nn.functional.gelu(torch.tensor(seen @ own["layers.0.weight"].T + own["layers.0.bias"])).numpy()
    assert hidden.shape == (FRAMES, 4 * WIDTH)
    x = x + gate_2 * (hidden @ own["layers.2.weight"].T + own["layers.2.bias"])
    np.testing.assert_allclose(block(tokens, condition)[0], x, atol=1e-10)


def test_a_block_starts_as_the_identity() -> None:
    block = AdaptiveBlock(WIDTH, HEADS)
    tokens = torch.randn(2, FRAMES, WIDTH)
    assert torch.equal(block(tokens, torch.randn(2, WIDTH)), tokens)


def test_the_noise_level_matters_and_one_may_stand_for_all() -> None:
    network, seen = denoiser(), windows()
    shaken(network)
    steps = torch.tensor([0, 7, 7, 30])
    mixed = network(seen, steps)
    np.testing.assert_allclose(mixed[1:3], network(seen, torch.tensor([7]))[1:3], atol=1e-12)
    assert not torch.allclose(mixed[3], network(seen, torch.tensor([7]))[3], atol=1e-3)


def test_frames_see_each_other_and_their_places_but_not_other_windows() -> None:
    network, seen = denoiser(), windows()
    shaken(network)
    step = torch.tensor([5])
    before = network(seen, step)
    touched = seen.clone()
    touched[0, 0] += 1.0
    after = network(touched, step)
    assert not torch.allclose(after[0, -1], before[0, -1], atol=1e-3)
    np.testing.assert_allclose(after[1:], before[1:], atol=1e-12)
    # Frames in another order are another window, not the same answers in another order.
    assert not torch.allclose(network(seen.flip(1), step).flip(1), before, atol=1e-3)


def test_the_published_sizes() -> None:
    network = Denoiser(10, 114, 2, 4, 64)
    assert network(torch.zeros(3, 10, 114), torch.tensor([4])).shape == (3, 10, 114)
    width = 256
    block = (3 + 1 + 4 + 4 + 6) * width * width + (3 + 1 + 4 + 1 + 6) * width
    outside = 2 * width * width + 2 * width + 2 * 114 * width + width + 114
    assert sum(parameter.numel() for parameter in network.parameters()) == 2 * block + outside


@pytest.mark.parametrize("value", ["weight", "bias"])
def test_what_a_block_writes_starts_at_zero_and_learns(value: str) -> None:
    network = denoiser().requires_grad_(True)
    seen = windows()
    (network(seen, torch.tensor([3])) - seen).square().mean().backward()
    assert not getattr(network.blocks[0].modulation, value).any()
    gate = getattr(network.blocks[0].modulation, value).grad.chunk(6)[2]
    assert gate.abs().max() > 0
