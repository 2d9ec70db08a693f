"""The committed settings of motion priors, and what is said of wrong ones."""

from pathlib import Path

import pytest

from mimickit.config.prior_config import PriorConfig, load_prior_config
from mimickit.errors import InputError

PRIORS = Path(__file__).parents[2] / "data" / "priors"


@pytest.mark.parametrize("name", ["prior_single_clip.yaml", "prior_multi_clip.yaml"])
def test_the_committed_priors_have_the_published_values(name: str) -> None:
    assert load_prior_config(PRIORS / name) == PriorConfig(
        num_layers=2,
        num_heads=4,
        head_size=64,
        num_diffusion_steps=50,
        min_std=0.2,
        batch_size=512,
        learning_rate=1e-4,
        iterations=50_000,
        ema_decay=0.995,
        ema_every=10,
        ema_start=5000,
    )


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("num_layers", "0", "at least 1"),
        ("num_heads", "0", "at least 1"),
        ("head_size", "0", "at least 1"),
        ("num_diffusion_steps", "1", "at least 2"),
        ("min_std", "0", "greater than 0"),
        ("batch_size", "0", "at least 1"),
        ("learning_rate", "0", "greater than 0"),
        ("iterations", "0", "at least 1"),
        ("ema_decay", "1.0", "at least 0 and less than 1"),
        ("ema_every", "0", "at least 1"),
        ("ema_start", "-1", "at least 0"),
    ],
)
def test_a_value_out_of_range_is_named(tmp_path: Path, key: str, value: str, expected: str) -> None:
    lines = (PRIORS / "prior_single_clip.yaml").read_text().splitlines()
    number = next(i for i, line in enumerate(lines) if line.startswith(f"{key}:"))
    lines[number] = f"{key}: {value}"
    path = tmp_path / "prior.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(InputError) as caught:
        load_prior_config(path)
    assert f"prior.yaml:{number + 1}: '{key}' must be {expected}" in str(caught.value)


def test_an_odd_width_has_no_place_for_pairs_of_sines_and_cosines(tmp_path: Path) -> None:
    text = (PRIORS / "prior_single_clip.yaml").read_text()
    (tmp_path / "prior.yaml").write_text(text.replace("num_heads: 4", "num_heads: 3").replace("size: 64", "size: 5"))
    with pytest.raises(InputError, match="'head_size' must be even when num_heads is odd, not 5"):
        load_prior_config(tmp_path / "prior.yaml")
