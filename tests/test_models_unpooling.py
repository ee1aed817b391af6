"""Max-unpooling puts every value where the pooling found it, and the switches find their way past the code."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecore.models import ModelConfig, build_model
from aecore.models.unpooling import BedOfNails2d, Decoder, Encoder, MaxUnpool2d, SwitchPool2d, with_switches_for

SIDES = [(1, 1), (2, 2), (4, 6), (7, 5), (9, 13)]


def image(height: int, width: int) -> Tensor:
    return torch.randn(3, 2, height, width, generator=torch.Generator().manual_seed(height * width))


@pytest.mark.parametrize("sides", SIDES)
def test_values_come_back_to_where_they_were_found(sides: tuple[int, int]) -> None:
    x = image(*sides)
    values, switches = SwitchPool2d()(x)
    torch.testing.assert_close(values, F.max_pool2d(x, 2, ceil_mode=True))
    back = MaxUnpool2d()(values, switches)
    assert back.shape[2:] == (2 * values.shape[2], 2 * values.shape[3])
    inside = back[:, :, : sides[0], : sides[1]]
    assert torch.equal(inside[inside != 0], x[inside != 0]), "whatever is there is what was there"
    assert (back != 0).sum() == values.numel() == (inside != 0).sum(), "one value for each block, none outside"


@pytest.mark.parametrize("sides", [(4, 6), (2, 2)])
def test_on_even_sides_it_is_torchs(sides: tuple[int, int]) -> None:
    values, places = F.max_pool2d(image(*sides), 2, return_indices=True)
    ours = MaxUnpool2d()(*SwitchPool2d()(image(*sides)))
    torch.testing.assert_close(ours, F.max_unpool2d(values, places, 2))


def test_gradients_go_the_way_the_values_went() -> None:
    x = image(4, 6).requires_grad_()
    back = MaxUnpool2d()(*SwitchPool2d()(x))
    (gradient,) = torch.autograd.grad((back * torch.arange(24.0).view(4, 6)).sum(), x)
    assert torch.equal(gradient, (back != 0) * torch.arange(24.0).view(4, 6))


def test_a_code_alone_is_decoded_as_a_bed_of_nails() -> None:
    x = image(3, 4)
    assert torch.equal(MaxUnpool2d()(x), BedOfNails2d()(x))


def test_the_last_pooling_is_undone_first() -> None:
    encoder = Encoder(SwitchPool2d(), nn.Identity(), SwitchPool2d())
    decoder = Decoder(MaxUnpool2d(), nn.Identity(), MaxUnpool2d())
    x = image(8, 12)
    code, switches = encoder.with_switches(x)
    assert [tuple(places.shape[2:]) for places in switches] == [(4, 6), (2, 3)]
    back = decoder(code, switches)
    assert torch.equal(back[back != 0], x[back != 0])
    assert (back != 0).sum() == code.numel()
    assert torch.equal(encoder(x), code)


def test_switches_are_only_made_where_they_are_used() -> None:
    poolings = [nn.MaxPool2d(2, ceil_mode=True)]
    assert not isinstance(with_switches_for([nn.Identity()], poolings)[0], SwitchPool2d)
    assert isinstance(with_switches_for([MaxUnpool2d()], poolings)[0], SwitchPool2d)


def test_a_network_with_switches_knows_more_than_its_code() -> None:
    model = build_model(ModelConfig(downsample="maxpool", upsample="max_unpool", latent_dim=4), seed=0)
    x = torch.rand(2, 1, 28, 28, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert not torch.allclose(model(x), model.decode(model.encode(x)), atol=1e-3)
