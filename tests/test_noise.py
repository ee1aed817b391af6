"""Corruptions keep one contract, follow their closed forms, and equal what scipy makes of the same random numbers."""

from __future__ import annotations

import json
import math
import re
from itertools import pairwise

import numpy as np
import pytest
import scipy.stats
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

from aecore.dials import Config
from aecore.errors import ConfigError
from aecore.noise import CORRUPTIONS, NO_NOISE, NONE, Corruption, NoiseConfig, check_strength, corrupt, draw

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPE = (2, 3, 9, 13)
ERRORS = 5  # standard errors a measured number may be off: it happens by chance once in 1.7 million draws
CHANCE = 6e-7  # the probability of being further off than that, where a test gives probabilities

SHAPES = [(1, 1, 8, 8), SHAPE, (4, 1, 28, 28), (3, 4, 17, 6), (2, 1, 1, 5)]


def images(shape: tuple[int, int, int, int] = SHAPE, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def flat(grey: float, *shape: int) -> Tensor:
    return torch.full(shape, float(grey))


def noisy(x: Tensor, name: str, strength: float | Tensor, *, seed: int = 0, clip: bool = False) -> Tensor:
    return corrupt(x, name, strength, generator=torch.Generator().manual_seed(seed), clip=clip)


@pytest.fixture(params=CORRUPTIONS)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


@pytest.fixture
def about(name: str) -> Corruption:
    return CORRUPTIONS[name]


def strengths_of(about: Corruption) -> list[float]:
    return sorted({about.low, *about.levels, about.usual, about.high})


# -- what every corruption keeps to ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_images_become_images(
    name: str, about: Corruption, shape: tuple[int, int, int, int], dtype: torch.dtype
) -> None:
    x = images(shape).to(dtype)
    before = x.clone()
    for strength in strengths_of(about):
        result = noisy(x, name, strength)
        assert (result.shape, result.dtype) == (x.shape, dtype)
        assert result.isfinite().all()
        assert torch.equal(x, before), "the images were changed"
        result.zero_()
        assert torch.equal(x, before), "the result shares memory with the images"


def test_the_seed_decides_what_is_drawn(name: str, about: Corruption) -> None:
    first, again, other = (noisy(images((8, 3, 9, 13)), name, about.usual, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert torch.equal(first, other) is not bool(about.fields)


def test_something_is_done(name: str, about: Corruption) -> None:
    x = images()
    distances = [float((noisy(x, name, level) - x).square().mean()) for level in about.levels]
    assert distances[0] > 0
    assert all(a < b for a, b in pairwise(distances)), "a stronger one is further off"


def test_one_generator_goes_on(name: str, about: Corruption) -> None:
    x, generator = images((8, 3, 9, 13)), torch.Generator().manual_seed(0)
    first, second = (corrupt(x, name, about.usual, generator=generator, clip=False) for _ in range(2))
    assert torch.equal(first, second) is not bool(about.fields)


def test_torchs_global_generator_plays_no_part(name: str, about: Corruption) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = noisy(images(), name, about.usual)
    assert torch.equal(torch.get_rng_state(), before), "it was touched"
    torch.manual_seed(2)
    assert torch.equal(noisy(images(), name, about.usual), first), "it made a difference"


def test_clipping_cuts_off_at_0_and_1_and_does_nothing_else(name: str, about: Corruption) -> None:
    for strength in strengths_of(about):
        cut, whole = (noisy(images(), name, strength, clip=clip) for clip in (True, False))
        assert cut.min() >= 0
        assert cut.max() <= 1
        assert torch.equal(cut, whole.clamp(0, 1))


def test_strength_0_leaves_the_images_as_they_are(name: str, about: Corruption) -> None:
    if about.low == 0:
        torch.testing.assert_close(noisy(images(), name, 0.0), images(), rtol=0, atol=1e-6)
    else:
        with pytest.raises(ConfigError, match="has strength 0, expected"):
            noisy(images(), name, 0.0)


def test_each_image_gets_its_own_strength(name: str, about: Corruption) -> None:
    shape = (4, 3, 9, 13)
    x, draws = images(shape), draw(name, shape, torch.Generator().manual_seed(0))
    strengths = torch.tensor([about.high, about.low, about.usual, about.levels[0]], dtype=torch.float64)
    together = about.apply(x, strengths.view(-1, 1, 1, 1), draws)
    torch.testing.assert_close(noisy(x, name, strengths), together, rtol=0, atol=0)
    for i, strength in enumerate(strengths):
        alone = about.apply(
            x[i : i + 1], strength.view(1, 1, 1, 1), {field: value[i : i + 1] for field, value in draws.items()}
        )
        torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-6)
        # one number for all images is that number for each of them
        torch.testing.assert_close(noisy(x, name, float(strength))[i : i + 1], alone, rtol=0, atol=1e-6)


def test_what_is_drawn_does_not_depend_on_the_strength(name: str, about: Corruption) -> None:
    draws, after = draw(name, SHAPE, torch.Generator().manual_seed(5)), []
    for strength in strengths_of(about):
        generator = torch.Generator().manual_seed(5)
        result = corrupt(images(), name, strength, generator=generator, clip=False)
        after.append(generator.get_state())
        expected = about.apply(images(), torch.full((2, 1, 1, 1), strength, dtype=torch.float64), draws)
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-6)
    assert all(torch.equal(state, after[0]) for state in after)


def test_fields_are_drawn_as_they_say(name: str, about: Corruption) -> None:
    draws = draw(name, (50, 3, 40, 50), torch.Generator().manual_seed(0))
    assert draws.keys() == about.fields.keys()
    for field, values in draws.items():
        needed = about.fields[field]
        sizes = {"value": (50, 3, 40, 50), "pixel": (50, 1, 40, 50), "image": (50, 1, 1, 1)}
        assert values.shape == sizes[needed.per]
        assert values.dtype == torch.float32
        cumulative = scipy.stats.norm.cdf if needed.kind == "normal" else scipy.stats.uniform.cdf
        assert scipy.stats.kstest(values.flatten().double().numpy(), cumulative).pvalue > CHANCE
        if needed.kind == "uniform":
            assert values.min() >= 0
            assert values.max() < 1
    flattened = [values.flatten() for values in draws.values()]
    assert not any(torch.equal(a, b) for a, b in pairwise(flattened)), "two fields are one"


def test_its_strengths_are_in_order_and_a_slider_reaches_them(about: Corruption) -> None:
    assert about.low <= about.usual <= about.high
    weak, middle, strong = about.levels
    assert about.low < weak < middle < strong <= about.high
    for strength in (about.usual, about.high, *about.levels):
        steps = (strength - about.low) / about.step
        assert abs(steps - round(steps)) < 1e-9, f"{strength} is not on the slider"


def test_it_says_what_it_is(name: str, about: Corruption) -> None:
    assert about.title
    assert about.measure
    assert about.help.endswith("."), "help is a sentence"
    assert name == name.lower() != NO_NOISE, "names are typed on command lines"


@pytest.mark.parametrize("wrong", [-0.01, 1000.0, math.nan, math.inf, -math.inf])
def test_a_strength_out_of_range_is_refused_with_what_would_fit(name: str, about: Corruption, wrong: float) -> None:
    one_of_two = torch.tensor([about.usual, wrong], dtype=torch.float64)
    for strength in (wrong, one_of_two, one_of_two.flip(0)):
        with pytest.raises(ConfigError) as refused:
            noisy(images(), name, strength)
        for words in (about.title, f"strength {wrong:g}", f"{about.low:g} to {about.high:g}", about.measure):
            assert words in str(refused.value)
    with pytest.raises(ConfigError):
        check_strength(name, wrong)


def test_both_ends_of_the_range_belong_to_it(name: str, about: Corruption) -> None:
    for end, beyond in ((about.low, about.low - 1e-6), (about.high, about.high + 1e-6)):
        check_strength(name, end)
        with pytest.raises(ConfigError):
            check_strength(name, beyond)


@pytest.mark.parametrize(("wrong", "near"), [("gausian", "gaussian"), ("salt_peper", "salt_and_pepper"), ("zzzz", "")])
def test_unknown_names_are_refused_with_the_nearest(wrong: str, near: str) -> None:
    for ask in (lambda: noisy(images(), wrong, 0.1), lambda: check_strength(wrong, 0.1)):
        with pytest.raises(ConfigError) as refused:
            ask()
        assert repr(wrong) in str(refused.value)
        assert all(known in str(refused.value) for known in CORRUPTIONS)
        assert ("Did you mean" in str(refused.value)) is bool(near)
        assert not near or f"Did you mean {near}?" in str(refused.value)


# -- closed forms ------------------------------------------------------------------------------------------------
# Every tolerance is ERRORS standard errors of the measured mean: sqrt(variance of one sample / number of samples).


def assert_mean(samples: Tensor, mean: float, variance: float) -> None:
    """The samples, each of this mean and variance, average to their mean within `ERRORS` standard errors."""
    error = math.sqrt(variance / samples.numel())
    assert float(samples.double().mean()) == pytest.approx(mean, abs=ERRORS * error)


@pytest.mark.parametrize("strength", [0.1, 0.5, 1.0])
def test_gaussian_noise_is_normal(strength: float) -> None:
    grey = flat(0.5, 10, 3, 100, 100).double()
    n = (noisy(grey, "gaussian", strength) - grey) / strength
    # moments of a normal number: n has variance 1, n^2 has 2, n^3 has 15, n^4 has 105 - 9
    assert_mean(n, 0, 1)
    assert_mean(n.square(), 1, 2)
    assert_mean(n**3, 0, 15)
    assert_mean(n**4, 3, 96)


def test_gaussian_noise_is_of_each_value_alone() -> None:
    n = noisy(flat(0, 10, 3, 100, 100), "gaussian", 1.0)
    for product in (n[1:] * n[:-1], n[:, 1:] * n[:, :-1], n[..., 1:, :] * n[..., :-1, :], n[..., 1:] * n[..., :-1]):
        assert_mean(product, 0, 1)


def test_of_clipped_gaussian_noise_on_black_the_positive_half_remains() -> None:
    s = 0.1  # so small that nothing reaches white
    y = noisy(flat(0, 10, 1, 200, 200), "gaussian", s, clip=True)
    assert_mean(y, s / math.sqrt(2 * math.pi), s**2 / 2 - s**2 / (2 * math.pi))
    assert_mean(y.square(), s**2 / 2, 3 * s**4 / 2 - s**4 / 4)
    assert_mean((y == 0).double(), 0.5, 0.25)


@pytest.mark.parametrize("strength", [0.25, 1.0])
def test_uniform_noise_is_even(strength: float) -> None:
    grey = flat(0.5, 10, 3, 100, 100).double()
    n = noisy(grey, "uniform", strength) - grey
    assert n.abs().max() <= strength
    for end in (n.max(), -n.min()):
        # the largest of N even numbers misses the end by the share q with probability (1 - q / 2)^N < exp(-q N / 2)
        assert end > strength * (1 - 2 * math.log(1 / CHANCE) / n.numel())
    assert_mean(n, 0, strength**2 / 3)
    assert_mean(n.square(), strength**2 / 3, strength**4 * (1 / 5 - 1 / 9))
    assert scipy.stats.kstest(n.flatten().numpy(), "uniform", (-strength, 2 * strength)).pvalue > CHANCE


@pytest.mark.parametrize("strength", [0.1, 0.4, 0.8])
def test_salt_and_pepper_hit_a_share_of_the_pixels(strength: float) -> None:
    y = noisy(flat(0.5, 10, 3, 100, 100), "salt_and_pepper", strength)
    assert torch.equal(y, y[:, :1].expand_as(y)), "all channels together"
    pixels = y[:, 0]
    assert set(pixels.unique().tolist()) == {0.0, 0.5, 1.0}
    hit = pixels != 0.5
    assert_mean(hit.double(), strength, strength * (1 - strength))
    assert_mean((pixels[hit] == 1).double(), 0.5, 0.25)


@pytest.mark.parametrize("strength", [0.25, 0.5, 0.95])
def test_masking_hits_a_share_of_the_pixels(strength: float) -> None:
    x = images((10, 3, 100, 100)) + 0.1
    y = noisy(x, "masking", strength)
    hit = y == 0
    assert torch.equal(hit, hit[:, :1].expand_as(hit)), "all channels together"
    assert torch.equal(y[~hit], x[~hit])
    assert_mean(hit[:, 0].double(), strength, strength * (1 - strength))


@pytest.mark.parametrize("name", ["salt_and_pepper", "masking"])
def test_growing_strength_only_adds_pixels(name: str) -> None:
    grey, about = flat(0.5, 4, 2, 30, 40), CORRUPTIONS[name]
    for weaker, stronger in pairwise(noisy(grey, name, strength) for strength in strengths_of(about)):
        hit = weaker != 0.5
        assert torch.equal(stronger[hit], weaker[hit]), "what was hit stays as it is"
        assert (stronger != 0.5).sum() > hit.sum()


def patch_of(image: Tensor) -> tuple[int, int, int, int]:
    """(top, left, height, width) of the smallest rectangle around what is black in a white image (C, H, W)."""
    black = image == 0
    assert ((image == 1) | black).all()
    assert torch.equal(black, black[:1].expand_as(black)), "all channels together"
    rows, columns = black[0].any(1).nonzero().flatten().tolist(), black[0].any(0).nonzero().flatten().tolist()
    height, width = rows[-1] - rows[0] + 1, columns[-1] - columns[0] + 1
    assert int(black[0].sum()) == height * width, "one patch, filled"
    return rows[0], columns[0], height, width


@pytest.mark.parametrize(
    ("strength", "height", "width", "side"),
    [
        # the shorter side is 5: 1.25 is rounded to 1, 2 stays, 2.5 is rounded up, 4 stays
        (0.25, 5, 7, 1),
        (0.4, 5, 7, 2),
        (0.5, 7, 5, 3),
        (0.8, 5, 5, 4),
    ],
)
def test_occlusion_is_one_square_patch_anywhere_inside(strength: float, height: int, width: int, side: int) -> None:
    count = 4000
    found = [patch_of(image) for image in noisy(flat(1, count, 2, height, width), "occlusion", strength)]
    assert {(h, w) for _, _, h, w in found} == {(side, side)}
    places = [(top, left) for top in range(height - side + 1) for left in range(width - side + 1)]
    times = [found.count((*place, side, side)) for place in places]
    assert sum(times) == count, "a patch lies outside"
    assert scipy.stats.chisquare(times).pvalue > CHANCE, "all places are equally likely"


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.3, 0.55, 0.8])
def test_the_patch_is_rounded_to_whole_pixels(strength: float) -> None:
    y = noisy(flat(1, 50, 1, 28, 32), "occlusion", strength)
    assert (y == 0).sum((1, 2, 3)).tolist() == [math.floor(strength * 28 + 0.5) ** 2] * 50


@pytest.mark.parametrize("strength", [0.25, 2.0])
def test_speckle_grows_with_the_brightness(strength: float) -> None:
    x = torch.tensor([0.0, 0.1, 0.5, 1.0], dtype=torch.float64).view(4, 1, 1, 1).expand(4, 1, 200, 200)
    n = noisy(x, "speckle", strength) - x
    assert (n[0] == 0).all(), "black stays black"
    for brightness, values in zip((0.1, 0.5, 1.0), n[1:], strict=True):
        variance = (strength * brightness) ** 2
        assert_mean(values, 0, variance)
        assert_mean(values.square(), variance, 2 * variance**2)


@pytest.mark.parametrize("strength", [0.05, 0.25, 1.0])
def test_shot_noise_counts_photons(strength: float) -> None:
    x = torch.tensor([0.0, 0.1, 0.5, 1.0], dtype=torch.float64).view(4, 1, 1, 1).expand(4, 1, 150, 150)
    y = noisy(x, "poisson", strength)
    photons = y / strength**2
    torch.testing.assert_close(photons, photons.round(), rtol=0, atol=1e-9)
    assert (y[0] == 0).all(), "no light, no photons"
    for brightness, values in zip((0.1, 0.5, 1.0), y[1:], strict=True):
        rate = brightness / strength**2
        assert_mean(values, brightness, strength**2 * brightness)
        # the fourth central moment of a Poisson number is 3 rate^2 + rate, so its squared deviation varies by this much
        squares = (values - brightness).square() / strength**4
        assert_mean(squares, rate, 2 * rate**2 + rate)


@pytest.mark.parametrize("strength", [0.05, 0.1, 0.5, 1.0])
def test_photons_are_scipys_quantiles_of_the_same_uniform_numbers(strength: float) -> None:
    shape = (2, 3, 40, 50)
    x = images(shape)
    x[0, 0, :2] = torch.tensor([0.0, 1.0]).view(2, 1)
    u = draw("poisson", shape, torch.Generator().manual_seed(7))["uniform"].double().numpy()
    expected = scipy.stats.poisson.ppf(u, x.double().numpy() / strength**2)
    photons = noisy(x, "poisson", strength, seed=7).double().numpy() / strength**2
    # scipy calls the quantile of u = 0 -1
    np.testing.assert_array_equal(np.rint(photons), np.maximum(expected, 0))


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 3, 9, 13), (1, 1, 40, 5)], ids=str)
@pytest.mark.parametrize("sigma", [0.1, 0.3, 0.7, 1.0, 1.5, 2.3, 3.0])
def test_blur_is_scipys(sigma: float, shape: tuple[int, int, int, int]) -> None:
    x = images(shape)
    expected = gaussian_filter(x.double().numpy(), (0, 0, sigma, sigma), mode="nearest", truncate=4)
    np.testing.assert_allclose(noisy(x, "gaussian_blur", sigma), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("grey", [0.0, 0.3, 1.0])
def test_blur_leaves_flat_images_flat(grey: float) -> None:
    x = flat(grey, 2, 3, 9, 13)
    torch.testing.assert_close(noisy(x, "gaussian_blur", 2.5), x, rtol=0, atol=1e-6)


# -- what a network is trained to undo ---------------------------------------------------------------------------


def test_no_noise_gives_the_very_same_images() -> None:
    x, generator = images(), torch.Generator().manual_seed(0)
    before = generator.get_state()
    assert NoiseConfig() == NONE
    assert not NONE.on
    assert NONE.corrupt(x, generator) is x
    assert torch.equal(generator.get_state(), before)
    assert (NONE.range(), NONE.describe()) == ((0.0, 0.0), "")


def test_no_noise_is_no_noise_whatever_the_other_dials_say() -> None:
    x = images()
    off = NoiseConfig(strength=1.7, weakest=0.1, clip=False)
    assert off.corrupt(x, torch.Generator().manual_seed(0)) is x
    assert (off.range(), off.describe()) == ((0.0, 0.0), "")
    assert not any(off.matters(name) for name in ("strength", "weakest", "clip"))


def test_every_corruption_can_be_chosen(name: str, about: Corruption) -> None:
    noise = NoiseConfig(corruption=name)
    assert noise.on
    assert all(noise.matters(other) for other in ("strength", "weakest", "clip"))
    assert NoiseConfig.dials()["corruption"].choices[name] == about.title
    NoiseConfig(corruption=name, strength=about.high)


def test_strength_0_takes_the_usual_one(name: str, about: Corruption) -> None:
    noise = NoiseConfig(corruption=name)
    assert noise.range() == (about.usual, about.usual)
    result = noise.corrupt(images(), torch.Generator().manual_seed(0))
    torch.testing.assert_close(result, noisy(images(), name, about.usual, clip=True), rtol=0, atol=0)


@pytest.mark.parametrize("clip", [True, False])
def test_one_strength_is_what_corrupt_does(name: str, about: Corruption, clip: bool) -> None:
    for level in about.levels:
        noise = NoiseConfig(corruption=name, strength=level, clip=clip)
        assert noise.range() == (level, level)
        result = noise.corrupt(images(), torch.Generator().manual_seed(2))
        torch.testing.assert_close(result, noisy(images(), name, level, seed=2, clip=clip), rtol=0, atol=0)


@pytest.mark.parametrize("weakest", [0.0, 0.3, 1.0])
def test_noise_survives_json(name: str, about: Corruption, weakest: float) -> None:
    noise = NoiseConfig(corruption=name, strength=about.levels[1], weakest=weakest, clip=False)
    restored = NoiseConfig.from_dict(json.loads(json.dumps(noise.to_dict())))
    assert restored == noise
    assert isinstance(restored, Config)
    assert hash(restored) == hash(noise)
    first, again = (config.corrupt(images(), torch.Generator().manual_seed(1)) for config in (noise, restored))
    assert torch.equal(first, again)


@pytest.mark.parametrize(
    ("noise", "span", "words"),
    [
        (NoiseConfig(corruption="gaussian", strength=0.5, weakest=0.2), (0.1, 0.5), "Gaussian 0.1 to 0.5 of white"),
        (NoiseConfig(corruption="gaussian", strength=0.5), (0.5, 0.5), "Gaussian 0.5 of white"),
        (NoiseConfig(corruption="masking", strength=0.4, weakest=0), (0, 0.4), "Masking 0 to 0.4 of the pixels"),
        (NoiseConfig(corruption="speckle", strength=0.5), (0.5, 0.5), "Speckle 0.5"),
        (NoiseConfig(corruption="gaussian_blur", strength=2, weakest=0.5), (1, 2), "Gaussian blur 1 to 2 pixels"),
    ],
)
def test_noise_in_numbers_and_words(noise: NoiseConfig, span: tuple[float, float], words: str) -> None:
    assert noise.range() == pytest.approx(span)
    assert noise.describe() == words


def test_blind_noise_stays_in_the_range_of_its_corruption(name: str, about: Corruption) -> None:
    noise = NoiseConfig(corruption=name, strength=about.high, weakest=0)
    assert noise.range() == (about.low, about.high)
    assert noise.corrupt(images((64, 1, 8, 8)), torch.Generator().manual_seed(0)).isfinite().all()


@pytest.mark.parametrize(("strongest", "weakest"), [(0.5, 0.2), (1.0, 0.0), (0.3, 0.9)])
def test_blind_strengths_are_evenly_spread(strongest: float, weakest: float) -> None:
    count, values = 400, 100 * 100
    noise = NoiseConfig(corruption="gaussian", strength=strongest, weakest=weakest, clip=False)
    low, high = noise.range()
    n = noise.corrupt(flat(0, count, 1, 100, 100), torch.Generator().manual_seed(0))
    measured = n.double().flatten(1).std(1)
    error = strongest / math.sqrt(2 * values)  # of a standard deviation, at most
    assert measured.min() >= low - ERRORS * error
    assert measured.max() <= high + ERRORS * error
    assert scipy.stats.kstest(measured.numpy(), "uniform", (low, high - low)).pvalue > CHANCE


def test_blind_strengths_are_those_of_the_generator(name: str) -> None:
    noise = NoiseConfig(corruption=name, weakest=0.1)
    x = images((8, 3, 9, 13))
    first, again, other = (noise.corrupt(x, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ({"corruption": "gausian"}, ["corruption is 'gausian'", "Did you mean gaussian?"]),
        ({"corruption": None}, ["corruption is None", NO_NOISE]),
        (
            {"corruption": "gaussian", "strength": 1.5},
            ["Gaussian noise has strength 1.5", "0 to 1 of white", "standard deviation"],
        ),
        ({"corruption": "poisson", "strength": 0.01}, ["strength 0.01", "0.05 to 1 of white"]),
        ({"corruption": "speckle", "strength": math.nan}, ["strength is nan"]),
        ({"strength": -0.1}, ["strength is -0.1"]),
        ({"corruption": "gaussian", "weakest": 1.1}, ["weakest is 1.1", "from 0 to 1 of the strength"]),
        ({"clip": 1}, ["clip is 1", "type bool"]),
    ],
)
def test_noise_that_does_not_fit_is_refused(bad: dict[str, object], words: list[str]) -> None:
    for make in (lambda: NoiseConfig(**bad), lambda: NoiseConfig.from_dict(bad)):
        with pytest.raises(ConfigError) as refused:
            make()
        assert [word for word in words if word not in str(refused.value)] == []


def test_a_strength_out_of_its_range_is_refused_for_every_corruption(name: str, about: Corruption) -> None:
    beyond = about.high + about.step
    with pytest.raises(ConfigError, match=re.escape(f"{beyond:g}")):
        NoiseConfig(corruption=name, strength=beyond)
