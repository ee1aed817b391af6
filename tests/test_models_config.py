"""A model's configuration allows what can be built, refuses the rest, and says what would fit."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from resamplers import pairs_that_go_together

from aecore.errors import ConfigError
from aecore.models import BODIES, BOTTLENECKS, DOWNSAMPLERS, UPSAMPLERS, ModelConfig, build_model, describe
from aecore.models.activations import ACTIVATIONS
from aecore.models.bottlenecks import SPARSITIES
from aecore.models.config import LARGEST_SIDE, MOST_CHANNELS, SMALLEST_SIDE


@pytest.mark.parametrize(
    ("dial", "registry"),
    [
        ("body", BODIES),
        ("bottleneck", BOTTLENECKS),
        ("sparsity", SPARSITIES),
        ("downsample", DOWNSAMPLERS),
        ("upsample", UPSAMPLERS),
        ("activation", ACTIVATIONS),
    ],
)
def test_what_is_registered_can_be_chosen_and_nothing_else(dial: str, registry: dict[str, object]) -> None:
    assert list(ModelConfig.dials()[dial].choices) == list(registry)
    with pytest.raises(ConfigError) as refused:
        ModelConfig(**{dial: "nonsense"})
    assert f"{dial} is 'nonsense', expected one of {', '.join(registry)}" in str(refused.value)


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((0, 28, 28), "0 channels, expected 1 to 4"),
        ((5, 28, 28), "5 channels, expected 1 to 4"),
        ((1, 7, 28), "7x28 pixels do not fit: each side must have 8 to 64 pixels. Resize them first."),
        ((1, 28, 65), "28x65 pixels do not fit"),
        ((28, 28), "expected three whole numbers (channels, height, width)"),
        ((1, 28, 28, 1), "expected three whole numbers"),
        ((1, 28.0, 28), "expected three whole numbers"),
        ((True, 28, 28), "expected three whole numbers"),
        ((1, None, 28), "expected three whole numbers"),
        ([1, 28, 28], "expected three whole numbers"),
        ("1,28,28", "expected three whole numbers"),
        (28, "expected three whole numbers"),
        (None, "expected three whole numbers"),
    ],
)
def test_images_that_cannot_be_are_refused(shape: object, words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ModelConfig(image_shape=shape)
    assert words in str(refused.value)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"latent_dim": 0}, "from 1 to 256"),
        ({"latent_dim": 257}, "from 1 to 256"),
        ({"stages": 5}, "from 1 to 4"),
        ({"hidden_layers": 0}, "from 1 to 4"),
        ({"upsample": "transpose"}, "Did you mean transpose"),
        ({"body": "Conv"}, "Did you mean conv?"),
        ({"bottleneck": "vae"}, "one of plain, variational"),
        ({"beta": -0.1}, "from 0 to 100,000"),
        ({"target_activation": 0.0}, "from 0.001 to 0.5"),
        ({"target_activation": 1.0}, "from 0.001 to 0.5"),
        ({"codewords": 1}, "from 2 to 1,024"),
        ({"word_size": 0}, "from 1 to 32"),
    ],
)
def test_sizes_and_names_that_cannot_be_are_refused(bad: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError) as refused:
        ModelConfig.from_dict(bad)
    assert words in str(refused.value)


def test_parts_that_need_each_other_are_held_together() -> None:
    with pytest.raises(ConfigError, match=r"Max-unpooling .* needs downsample to be maxpool, but it is stride\."):
        ModelConfig(upsample="max_unpool")
    assert ModelConfig(upsample="max_unpool", downsample="maxpool").upsample == "max_unpool"
    assert ModelConfig(upsample="max_unpool", body="mlp").body == "mlp", "where there is no pooling, it does not matter"


def test_the_same_model_for_other_images() -> None:
    config = ModelConfig(body="mlp", latent_dim=7).for_images((3, 9, 13))
    assert config == ModelConfig(body="mlp", latent_dim=7, image_shape=(3, 9, 13))
    with pytest.raises(ConfigError, match="pixels do not fit"):
        config.for_images((3, 100, 100))


def test_json_lists_become_shapes_again() -> None:
    assert ModelConfig.from_dict({"image_shape": [3, 32, 32]}).image_shape == (3, 32, 32)


@settings(max_examples=60, deadline=None)
@given(
    body=st.sampled_from(list(BODIES)),
    bottleneck=st.sampled_from(list(BOTTLENECKS)),
    sparsity=st.sampled_from(list(SPARSITIES)),
    codewords=st.integers(2, 50),
    word_size=st.integers(1, 32),
    channels=st.integers(1, MOST_CHANNELS),
    height=st.integers(SMALLEST_SIDE, LARGEST_SIDE),
    width=st.integers(SMALLEST_SIDE, LARGEST_SIDE),
    latent_dim=st.integers(1, 256),
    stages=st.integers(1, 4),
    resamplers=st.sampled_from(pairs_that_go_together()),
)
def test_whatever_is_allowed_can_be_built(
    channels: int, height: int, width: int, resamplers: tuple[str, str], **choices: object
) -> None:
    downsample, upsample = resamplers
    shape = (channels, height, width)
    config = ModelConfig(
        image_shape=shape, channels=4, hidden_units=8, downsample=downsample, upsample=upsample, **choices
    )
    images = torch.zeros(2, channels, height, width)
    model = build_model(config, seed=0)
    assert model(images).shape == images.shape
    assert model.encode(images).shape == (2, config.latent_dim)
    terms = model.loss_terms(images, images, "mse", torch.Generator().manual_seed(0))
    assert terms.total().isfinite()


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_the_largest_networks_can_be_described(bottleneck: str) -> None:
    for body in BODIES:
        config = ModelConfig(
            body=body,
            bottleneck=bottleneck,
            codewords=1024,
            word_size=1,
            image_shape=(MOST_CHANNELS, LARGEST_SIDE, LARGEST_SIDE),
            latent_dim=256,
            channels=64,
            stages=4,
            hidden_units=1024,
            hidden_layers=4,
        )
        assert describe(config)[-1].out_shape == config.image_shape


@pytest.mark.parametrize("stages", [1, 2, 3, 4])
@pytest.mark.parametrize("side", [8, 13, 28, 64])
def test_each_stage_halves_the_sides_and_doubles_the_channels(side: int, stages: int) -> None:
    layers = describe(ModelConfig(image_shape=(1, side, side), channels=4, stages=stages))
    flatten = next(layer for layer in layers if layer.op == "flatten")
    expected = side
    for _ in range(stages):
        expected = math.ceil(expected / 2)
    assert flatten.in_shape == (4 * 2 ** (stages - 1), expected, expected)
    assert (
        max(layer.out_shape[1] for layer in layers if layer.part == "decoder" and len(layer.out_shape) == 3) < side + 2
    )


def test_the_dials_of_a_bottleneck_matter_only_with_it() -> None:
    own = {
        "plain": set(),
        "variational": {"beta"},
        "sparse": {"sparsity", "sparsity_weight"},
        "contractive": {"contraction_weight"},
        "vector_quantized": {"codewords", "word_size", "commitment"},
    }
    dials = {name for name, dial in ModelConfig.dials().items() if "bottleneck" in dial.when}
    assert set(own) == set(BOTTLENECKS)
    for bottleneck, expected in own.items():
        config = ModelConfig(bottleneck=bottleneck)
        assert {name for name in dials if config.matters(name)} == expected
    assert ModelConfig(bottleneck="sparse", sparsity="kl").matters("target_activation")
    assert not ModelConfig(bottleneck="plain", sparsity="kl").matters("target_activation")
