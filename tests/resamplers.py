"""Which downsamplers and upsamplers may be tried together; for tests over both registries."""

from __future__ import annotations

from aecore.models import DOWNSAMPLERS, UPSAMPLERS


def pairs_that_go_together() -> list[tuple[str, str]]:
    """Every downsampler with every upsampler that does not need another one."""
    return [
        (down, up)
        for down in DOWNSAMPLERS
        for up, part in UPSAMPLERS.items()
        if down in part.needs.get("downsample", (down,))
    ]


def a_downsampler_for(upsample: str) -> str:
    """The first downsampler this upsampler works with."""
    return next(down for down, up in pairs_that_go_together() if up == upsample)
