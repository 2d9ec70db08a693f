"""The denoiser: a small transformer over the frames of a window, which predicts the noise in it.

The noise level enters every block through adaptive layer norms (Peebles, Xie 2023): it scales and shifts what a block
reads, and scales what it writes. These writes start at 0, so that an untrained network is one linear map of each
frame.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm, scaled_dot_product_attention

LONGEST_PERIOD = 10_000.0  # of the sinusoids that encode steps and places
HIDDEN_FACTOR = 4  # width of a block's hidden layer, in widths of the network


def sinusoids(positions: Tensor, size: int) -> Tensor:
    """Positions ``(M,)`` as sines and cosines ``(M, size)`` of geometrically spaced periods (Vaswani 2017, 3.5)."""
    half = size // 2
    exponents = torch.arange(half, device=positions.device, dtype=torch.float32) / half
    angles = positions.unsqueeze(-1) * torch.exp(-math.log(LONGEST_PERIOD) * exponents)
    return torch.cat((torch.sin(angles), torch.cos(angles)), dim=-1)


class AdaptiveBlock(nn.Module):
    """Attention between frames, then two layers on each; both read a layer norm and add to what they read."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        self.attention_in = nn.Linear(width, 3 * width)
        self.attention_out = nn.Linear(width, width)
        hidden = HIDDEN_FACTOR * width
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        # Scale, shift and gate of each half.
        self.modulation = nn.Linear(width, 6 * width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        """Tokens ``(M, S, width)`` under a noise level ``(M, width)`` or ``(1, width)``."""
        scale_1, shift_1, gate_1, scale_2, shift_2, gate_2 = self.modulation(condition).unsqueeze(1).chunk(6, dim=-1)
        tokens = tokens + gate_1 * self._attend(_modulated(tokens, scale_1, shift_1))
        return tokens + gate_2 * self.layers(_modulated(tokens, scale_2, shift_2))

    def _attend(self, tokens: Tensor) -> Tensor:
        heads = self.attention_in(tokens).unflatten(-1, (3, self.num_heads, -1))  # (M, S, 3, heads, head size)
        query, key, value = heads.permute(2, 0, 3, 1, 4)
        mixed = scaled_dot_product_attention(query, key, value)
        return self.attention_out(mixed.transpose(1, 2).flatten(-2))


def _modulated(tokens: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    return layer_norm(tokens, tokens.shape[-1:]) * (1.0 + scale) + shift


class Denoiser(nn.Module):
    """Predicts the noise in windows of S frames with F channels."""

    _places: Tensor

    def __init__(self, num_frames: int, num_channels: int, num_layers: int, num_heads: int, head_size: int):
        super().__init__()
        width = num_heads * head_size
        self.width = width
        self.frame_in = nn.Linear(num_channels, width)
        self.step_layers = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.blocks = nn.ModuleList([AdaptiveBlock(width, num_heads) for _ in range(num_layers)])
        self.frame_out = nn.Linear(width, num_channels)
        self.register_buffer("_places", sinusoids(torch.arange(num_frames), width), persistent=False)

    def forward(self, noisy: Tensor, steps: Tensor) -> Tensor:
        """The noise in ``(M, S, F)``.

        Args:
            steps: ``(M,)``, or ``(1,)`` when all windows are at one noise level.
        """
        condition = self.step_layers(sinusoids(steps, self.width).to(noisy.dtype))
        tokens = self.frame_in(noisy) + self._places
        for block in self.blocks:
            tokens = block(tokens, condition)
        return self.frame_out(tokens)
