"""Running statistics that bring observations, and differences of them, to a common scale."""

import torch
from torch import Tensor, nn

MIN_STD = 1e-4
CLIP = 10.0


class Normalizer(nn.Module):
    """Maps values to ``(x - mean) / std``, clipped to +-``clip``.

    New samples are collected by ``record`` and enter the statistics at ``update``, so that one rollout and the update
    after it see one normalisation. Names and shapes of the buffers are those of published checkpoints.
    """

    _count: Tensor
    _mean: Tensor
    _std: Tensor

    def __init__(self, size: int, clip: float = CLIP):
        super().__init__()
        self.clip = clip
        self.register_buffer("_count", torch.zeros(1, dtype=torch.long))
        self.register_buffer("_mean", torch.zeros(size))
        self.register_buffer("_std", torch.ones(size))
        self.register_buffer("_new_sum", torch.zeros(size, dtype=torch.float64), persistent=False)
        self.register_buffer("_new_square_sum", torch.zeros(size, dtype=torch.float64), persistent=False)
        self.register_buffer("_new_count", torch.zeros(1, dtype=torch.float64), persistent=False)

    @property
    def count(self) -> int:
        """Samples in the statistics."""
        return int(self._count)

    def record(self, values: Tensor) -> None:
        """Collect ``(M, size)`` samples for the next update."""
        values = values.double()
        # Deviations from the current mean keep the difference of squares below well conditioned.
        deviation = values - self._mean.double()
        self._new_sum += deviation.sum(dim=0)
        self._new_square_sum += deviation.square().sum(dim=0)
        self._new_count += len(values)

    def new_statistics(self) -> Tensor:
        """Collected sums as one tensor ``(2 size + 1,)`` float64, to be added up over processes."""
        return torch.cat((self._new_sum, self._new_square_sum, self._new_count))

    def update(self, statistics: Tensor | None = None) -> None:
        """Merge what was collected (or the given sum over processes) into mean and std, and start collecting anew."""
        statistics = self.new_statistics() if statistics is None else statistics
        size = len(self._mean)
        new_count = statistics[-1]
        new_mean_offset = statistics[:size] / new_count
        new_variance = statistics[size : 2 * size] / new_count - new_mean_offset.square()
        old_count = self._count.double()
        total = old_count + new_count
        weight_new, weight_old = new_count / total, old_count / total
        mean = self._mean.double() + weight_new * new_mean_offset
        # Parallel variance (Chan et al. 1979); the first update has no old samples, whatever std was set to.
        variance = (
            weight_old * self._std.double().square()
            + weight_new * new_variance
            + weight_old * weight_new * new_mean_offset.square()
        )
        self._mean.copy_(mean)
        self._std.copy_(variance.clamp(min=0.0).sqrt().clamp(min=MIN_STD))
        self._count += new_count.long()
        self._new_sum.zero_()
        self._new_square_sum.zero_()
        self._new_count.zero_()

    def set_range(self, low: Tensor, high: Tensor) -> None:
        """Fix the statistics so that ``[low, high]`` maps to [-1, 1]."""
        self._mean.copy_(0.5 * (low + high))
        self._std.copy_(0.5 * (high - low))

    def normalize(self, values: Tensor) -> Tensor:
        """``(..., size)`` to normalised values within +-``clip``."""
        return ((values - self._mean) / self._std).clamp(-self.clip, self.clip)

    def unnormalize(self, values: Tensor) -> Tensor:
        """Inverse of ``normalize`` without the clip."""
        return values * self._std + self._mean


class DifferenceNormalizer(nn.Module):
    """Divides differences by their running mean absolute value, so that no difference stays 0 (Zhang, Peng 2025).

    ``record`` and ``update`` as for `Normalizer`.
    """

    _count: Tensor
    _mean_abs: Tensor

    def __init__(self, size: int, clip: float = CLIP):
        super().__init__()
        self.clip = clip
        self.register_buffer("_count", torch.zeros(1, dtype=torch.long))
        self.register_buffer("_mean_abs", torch.ones(size))
        self.register_buffer("_new_sum", torch.zeros(size, dtype=torch.float64), persistent=False)
        self.register_buffer("_new_count", torch.zeros(1, dtype=torch.float64), persistent=False)

    @property
    def count(self) -> int:
        """Samples in the statistics."""
        return int(self._count)

    def record(self, values: Tensor) -> None:
        """Collect ``(M, size)`` differences for the next update."""
        self._new_sum += values.double().abs().sum(dim=0)
        self._new_count += len(values)

    def new_statistics(self) -> Tensor:
        """Collected sums as one tensor ``(size + 1,)`` float64, to be added up over processes."""
        return torch.cat((self._new_sum, self._new_count))

    def update(self, statistics: Tensor) -> None:
        """Merge the sums (of all processes) into the mean, and start collecting anew."""
        new_count, old_count = statistics[-1], self._count.double()
        total = old_count * self._mean_abs.double() + statistics[:-1]
        self._mean_abs.copy_(total / (old_count + new_count))
        self._count += new_count.long()
        self._new_sum.zero_()
        self._new_count.zero_()

    def normalize(self, values: Tensor) -> Tensor:
        """``(..., size)`` to normalised differences within +-``clip``."""
        return (values / self._mean_abs.clamp(min=MIN_STD)).clamp(-self.clip, self.clip)
