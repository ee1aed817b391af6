"""Rows counted pixel by pixel: the same network, and no map is copied to make a row of it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from aecore.models import BOTTLENECKS, ModelConfig, build_model
from aecore.models.autoencoder import Autoencoder
from aecore.models.bottlenecks import EXACT_UNITS
from aecore.models.maps import FlattenMap, MapLayer, MapLinear, UnflattenMap

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (3, 4, 5)


def by_pixel(model: Autoencoder) -> Autoencoder:
    """A copy whose rows are counted pixel by pixel."""
    model = copy.deepcopy(model)
    layers = [layer for layer in model.modules() if isinstance(layer, MapLayer)]
    assert {type(layer) for layer in layers} == {FlattenMap, UnflattenMap, MapLinear}
    for layer in layers:
        layer.by_pixel = True
    return model


def maps(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(6, *SHAPE, generator=torch.Generator().manual_seed(0), dtype=dtype)


def pixel_rows(images: Tensor) -> Tensor:
    """Rows in which the channels of a pixel stand side by side, value by value."""
    channels, height, width = images.shape[1:]
    places = [(c, y, x) for y in range(height) for x in range(width) for c in range(channels)]
    return torch.stack([images[:, c, y, x] for c, y, x in places], dim=1)


# -- the layers, one by one --------------------------------------------------------------------------------------


def test_a_map_flattened_by_pixel_has_the_channels_of_a_pixel_side_by_side() -> None:
    layer = FlattenMap()
    assert torch.equal(layer(maps()), maps().flatten(1))
    layer.by_pixel = True
    assert torch.equal(layer(maps()), pixel_rows(maps()))


def test_unflattening_undoes_flattening_either_way() -> None:
    flatten, unflatten = FlattenMap(), UnflattenMap(SHAPE)
    for flatten.by_pixel, unflatten.by_pixel in ((False, False), (True, True)):
        assert torch.equal(unflatten(flatten(maps())), maps())


@pytest.mark.parametrize("takes", [7, (2, 3, 4)], ids=["row", "map"])
@pytest.mark.parametrize("gives", [5, (3, 2, 4)], ids=["row", "map"])
def test_a_linear_layer_takes_and_gives_rows_in_that_order(
    takes: int | tuple[int, int, int], gives: int | tuple[int, int, int]
) -> None:
    layer = MapLinear(takes, gives).double()
    chance = torch.Generator().manual_seed(0)
    x = torch.randn(4, layer.in_features, generator=chance, dtype=torch.float64)
    expected = layer(x)
    layer.by_pixel = True
    given = x if isinstance(takes, int) else pixel_rows(x.unflatten(1, takes))
    wanted = expected if isinstance(gives, int) else pixel_rows(expected.unflatten(1, gives))
    torch.testing.assert_close(layer(given), wanted, rtol=0, atol=1e-12)


def test_no_map_is_copied_where_its_channels_lie_last() -> None:
    lying = maps().contiguous(memory_format=torch.channels_last)
    flatten, unflatten = FlattenMap(), UnflattenMap(SHAPE)
    assert flatten(lying).data_ptr() != lying.data_ptr(), "counted by channel it has to be copied"
    flatten.by_pixel = unflatten.by_pixel = True
    row = flatten(lying)
    assert row.is_contiguous()
    assert row.data_ptr() == lying.data_ptr()
    again = unflatten(row)
    assert again.is_contiguous(memory_format=torch.channels_last)
    assert again.data_ptr() == lying.data_ptr()


# -- whole networks ----------------------------------------------------------------------------------------------


def loss_and_gradients(model: Autoencoder) -> dict[str, Tensor]:
    """Of one step in training, with what the step leaves in the buffers."""
    chance = torch.Generator().manual_seed(1)
    x = torch.rand(5, *model.config.image_shape, generator=chance, dtype=torch.float64)
    terms = model.train().loss_terms(x, x.flip(0), "mse", chance)
    terms.total().backward()
    gradients = {f"gradient of {name}": parameter.grad for name, parameter in model.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    return {**terms.named(), **dict(model.named_buffers()), **gradients}


@pytest.mark.parametrize("latent_dim", [3, EXACT_UNITS + 4])
@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_a_network_is_the_same_either_way(bottleneck: str, latent_dim: int) -> None:
    config = ModelConfig(image_shape=(2, 10, 13), channels=4, latent_dim=latent_dim, bottleneck=bottleneck)
    usual = build_model(config, seed=0).double()
    other = by_pixel(usual)
    x = torch.rand(4, *config.image_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    with torch.no_grad():
        torch.testing.assert_close(other(x), usual(x), rtol=0, atol=1e-12)
        torch.testing.assert_close(other.encode(x), usual.encode(x), rtol=0, atol=1e-12)
        torch.testing.assert_close(other.decode(usual.encode(x)), usual.decode(usual.encode(x)), rtol=0, atol=1e-12)
    ours, theirs = loss_and_gradients(other), loss_and_gradients(usual)
    for name, expected in theirs.items():
        torch.testing.assert_close(
            ours[name], expected, rtol=1e-12, atol=1e-12, msg=lambda text, n=name: f"{n}: {text}"
        )


@pytest.mark.parametrize("bottleneck", BOTTLENECKS)
def test_what_is_kept_does_not_know_of_it(bottleneck: str) -> None:
    usual = build_model(ModelConfig(image_shape=(1, 8, 8), channels=4, bottleneck=bottleneck), seed=0)
    ours, theirs = by_pixel(usual).state_dict(), usual.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], tensor) for name, tensor in theirs.items())
