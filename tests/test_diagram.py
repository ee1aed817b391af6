"""The diagram of a network: every tensor and every layer is in it, and it is well-formed."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from aecore.models import BODIES, UPSAMPLERS, ModelConfig, describe
from pages.ui.diagram import network_diagram
from pages.ui.palette import DARK, LIGHT

CONFIGS = [
    *(ModelConfig(body=body) for body in BODIES),
    *(ModelConfig(upsample=upsample, downsample="maxpool", image_shape=(3, 17, 23)) for upsample in UPSAMPLERS),
    ModelConfig(body="mlp", hidden_layers=4, latent_dim=256),
]


@pytest.mark.parametrize("config", CONFIGS, ids=lambda c: f"{c.body}-{c.upsample}-{c.image_shape[1]}-{c.latent_dim}")
def test_every_shape_is_named(config: ModelConfig) -> None:
    svg = ElementTree.fromstring(network_diagram(describe(config), LIGHT))
    texts = [element.text for element in svg.iter() if element.tag.endswith("text")]
    layers = describe(config)
    for layer, after in zip(layers, [*layers[1:], None], strict=True):
        if after is None or after.op != "crop":  # what is cut off at once is not drawn
            assert "×".join(map(str, layer.out_shape)) in texts
    assert {"image", "code", "reconstruction"} <= set(texts)
    assert texts.count("code") == 1
    assert "×".join(map(str, config.image_shape)) in texts


def test_blocks_stay_inside_the_picture() -> None:
    svg = ElementTree.fromstring(network_diagram(describe(ModelConfig(channels=64, stages=4)), DARK))
    width, height = float(svg.get("width", 0)), float(svg.get("height", 0))
    for block in (element for element in svg.iter() if element.tag.endswith("rect")):
        x, y, wide, tall = (float(block.get(name, -1)) for name in ("x", "y", "width", "height"))
        assert 0 <= x <= x + wide <= width
        assert 0 <= y <= y + tall <= height


def test_encoder_code_and_decoder_have_their_colours() -> None:
    drawn = network_diagram(describe(ModelConfig()), LIGHT)
    for tone in (LIGHT.target, LIGHT.encoder, LIGHT.code, LIGHT.decoder):
        assert tone.fill in drawn
