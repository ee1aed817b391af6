"""Weights begin so that values keep their size, and a fresh network's output begins at the mean image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from resamplers import a_downsampler_for, pairs_that_go_together
from torch import Tensor, nn

from aecore.data import load_dataset
from aecore.models import BODIES, BOTTLENECKS, DOWNSAMPLERS, UPSAMPLERS, ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder
from aecore.models.initialisation import Weighted, fans, weighted_layers
from aecore.training.loop import mean_image

WIDE = {"channels": 32, "stages": 3, "hidden_units": 256, "hidden_layers": 3, "latent_dim": 64}
LAYERS: dict[str, Weighted] = {
    "linear": nn.Linear(5, 3),
    "conv": nn.Conv2d(2, 3, 3, padding=1),
    "strided": nn.Conv2d(2, 3, 3, stride=2, padding=1),
    **{
        f"transpose{kernel}": nn.ConvTranspose2d(
            2, 3, kernel, stride=2, padding=(kernel - 1) // 2, output_padding=2 + 2 * ((kernel - 1) // 2) - kernel
        )
        for kernel in (2, 3, 4, 5)
    },
}


def connections(layer: Weighted, side: int = 8) -> tuple[float, float]:
    """Links per output and per input, counted one by one away from the edges."""
    if isinstance(layer, nn.Linear):
        return layer.in_features, layer.out_features
    with torch.no_grad():
        layer.weight.fill_(1)
    derivative = torch.autograd.functional.jacobian(layer, torch.zeros(1, 2, side, side), vectorize=True)
    jacobian = derivative[0, :, :, :, 0] != 0  # (C', H', W', C, H, W)
    rows, columns = (size // 4 for size in jacobian.shape[1:3])
    inputs = jacobian[:, rows:-rows, columns:-columns].float().sum((3, 4, 5)).mean()
    quarter = side // 4
    outputs = jacobian.float().sum((0, 1, 2))[:, quarter:-quarter, quarter:-quarter].mean()
    return inputs.item(), outputs.item()


@pytest.mark.parametrize("layer", LAYERS.values(), ids=LAYERS)
def test_fans_are_the_numbers_of_links(layer: Weighted) -> None:
    assert fans(layer) == pytest.approx(connections(layer), rel=1e-6)


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
@pytest.mark.parametrize("body", BODIES)
def test_variances_are_as_described(body: str, bottleneck: str) -> None:
    model = build_model(ModelConfig(body=body, bottleneck=bottleneck, **WIDE), seed=0)
    *hidden, last = weighted_layers(model.encoder) + weighted_layers(model.decoder)
    expected = {layer: 1 / fans(layer)[0] for layer in hidden}
    expected |= {layer: 2 / sum(fans(layer)) for layer in (*weighted_layers(model.bottleneck), last)}
    assert len(expected) == len(weighted_layers(model)), "every layer is drawn anew"
    for layer, variance in expected.items():
        count = layer.weight.numel()
        # the variance of a sample of n normal values spreads by sqrt(2 / n)
        assert layer.weight.var().item() == pytest.approx(variance, rel=5 * math.sqrt(2 / count))
        assert abs(layer.weight.mean().item()) < 5 * math.sqrt(variance / count)
        assert not layer.bias.any()


def test_zeros_between_nails_do_not_count_as_inputs() -> None:
    model = build_model(ModelConfig(upsample="bed_of_nails", channels=32, stages=3), seed=0)
    first = next(layer for layer in weighted_layers(model.decoder) if isinstance(layer, nn.Conv2d))
    assert first.weight.var().item() == pytest.approx(4 / (9 * first.in_channels), rel=0.02)
    with torch.no_grad():
        images = torch.randn(8, first.in_channels, 8, 8, generator=torch.Generator().manual_seed(0))
        doubled = model.decoder[3:5](images)
    assert doubled.var().item() == pytest.approx(1, rel=0.2), "values keep their size"


@pytest.mark.parametrize("downsample", DOWNSAMPLERS)
@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_networks_that_differ_in_their_upsampler_begin_with_the_same_encoder(downsample: str, bottleneck: str) -> None:
    rivals = [
        build_model(ModelConfig(downsample=downsample, upsample=up, bottleneck=bottleneck), seed=3)
        for down, up in pairs_that_go_together()
        if down == downsample
    ]
    alike = [weighted_layers(half) for half in (rivals[0].encoder, rivals[0].bottleneck)]
    for rival in rivals:
        for layers, half in zip(alike, (rival.encoder, rival.bottleneck), strict=True):
            for layer, other in zip(layers, weighted_layers(half), strict=True):
                assert torch.equal(layer.weight, other.weight)
        for mine, theirs in zip(rivals[0].bottleneck.buffers(), rival.bottleneck.buffers(), strict=True):
            assert torch.equal(mine, theirs)
        assert torch.equal(weighted_layers(rival.decoder)[0].weight, weighted_layers(rivals[0].decoder)[0].weight)


def test_icnr_begins_with_four_equal_kernels_for_each_block() -> None:
    model = build_model(ModelConfig(upsample="pixel_shuffle_icnr"), seed=0)
    convolutions = [layer for layer in model.decoder if isinstance(layer, nn.Conv2d)]
    assert len(convolutions) == 2
    for layer in convolutions:
        blocks = layer.weight.unflatten(0, (-1, 4))
        assert torch.equal(blocks, blocks[:, :1].expand_as(blocks))
        assert len(blocks[:, 0].unique()) > blocks[:, 0].numel() / 2, "blocks differ from each other"


@pytest.mark.parametrize("body", BODIES)
def test_a_deep_network_still_tells_images_apart_when_it_begins(body: str) -> None:
    digits = load_dataset("digits").test[:50] / torch.tensor(255.0)
    deep = {**WIDE, "stages": 4, "hidden_layers": 4}
    with torch.no_grad():
        codes = build_model(ModelConfig(body=body, **deep), seed=0).encode(digits)
    assert codes.std(0).mean() > 0.005  # with torch's own weights it is below 0.001


def silent(model: Autoencoder) -> Autoencoder:
    """The model with its last weights at 0, so that only its last bias speaks."""
    with torch.no_grad():
        weighted_layers(model.decoder)[-1].weight.zero_()
    return model


def image(channels: int) -> Tensor:
    return torch.linspace(0.1, 0.9, channels * 64).reshape(channels, 8, 8)


@pytest.mark.parametrize("body", ["linear", "mlp"])
def test_a_bias_for_each_value_begins_at_the_mean_image(body: str) -> None:
    model = silent(build_model(ModelConfig(body=body, image_shape=(3, 8, 8)), seed=0))
    model.start_from(image(3))
    torch.testing.assert_close(model(torch.rand(2, 3, 8, 8)), image(3).expand(2, -1, -1, -1))


@pytest.mark.parametrize("upsample", UPSAMPLERS)
def test_a_bias_for_each_channel_begins_at_the_channels_mean(upsample: str) -> None:
    model = silent(
        build_model(
            ModelConfig(upsample=upsample, downsample=a_downsampler_for(upsample), image_shape=(3, 8, 8)), seed=0
        )
    )
    model.start_from(image(3))
    expected = image(3).mean((1, 2), keepdim=True).expand(2, 3, 8, 8)
    torch.testing.assert_close(model(torch.rand(2, 3, 8, 8)), expected)


def test_pixels_that_are_always_black_or_white_stay_within_reach_of_a_sigmoid() -> None:
    model = silent(build_model(ModelConfig(body="mlp", image_shape=(1, 8, 8)), seed=0))
    model.start_from(torch.tensor([0.0, 1.0]).repeat(32).reshape(1, 8, 8))
    assert model(torch.rand(1, 1, 8, 8)).unique().tolist() == pytest.approx([0.01, 0.99])


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
@pytest.mark.parametrize("body", BODIES)
def test_a_trained_network_is_left_alone(body: str, bottleneck: str) -> None:
    model = build_model(ModelConfig(body=body, bottleneck=bottleneck, image_shape=(1, 8, 8)), seed=0)
    model.start_from(image(1))
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.start_from(1 - image(1))
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize("count", [1, 999, 1000, 2500])
def test_the_mean_image_is_numpys(count: int) -> None:
    images = torch.randint(256, (count, 3, 4, 5), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    expected = (images.numpy().astype(np.float64) / 255).mean(axis=0)
    np.testing.assert_allclose(mean_image(images).numpy(), expected, rtol=1e-6)


def test_networks_that_differ_in_their_bottleneck_begin_with_the_same_features() -> None:
    models = [build_model(ModelConfig(bottleneck=bottleneck), seed=3) for bottleneck in BOTTLENECKS]
    for model in models:
        for mine, first in zip(model.encoder.parameters(), models[0].encoder.parameters(), strict=True):
            assert torch.equal(mine, first)


def test_fresh_words_are_where_fresh_codes_are() -> None:
    """Else one word would be nearest to all images, and nothing would be told apart."""
    images = load_dataset("digits").test[:200] / torch.tensor(255.0)
    for body in BODIES:
        model = build_model(ModelConfig(body=body, bottleneck="vector_quantized", latent_dim=8), seed=0)
        with torch.no_grad():
            assert len(model.encode(images).unique(dim=0)) > 20, body
