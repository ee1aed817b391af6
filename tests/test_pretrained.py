"""What is shipped is what its card says: re-measured from the files, on the data the card names."""

from __future__ import annotations

import json
import math
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from aecore import pretrained
from aecore.__main__ import cli
from aecore.analysis.denoising import DENOISERS, curve_strengths, denoising_curve, trained, typical_errors
from aecore.checkpoint import CARD_FILE, WEIGHTS_FILE, Checkpoint
from aecore.data import DATASETS, ImageDataset, is_available, load_dataset
from aecore.errors import CheckpointError
from aecore.models import ModelConfig, build_model, describe
from aecore.noise import CORRUPTIONS, NONE, NoiseConfig
from aecore.pretrained import (
    AVERAGED,
    COMPARISON,
    DENOISING_FILE,
    EXAMPLES_FILE,
    FILTERS_ON,
    PAIRS,
    RECIPES,
    TWINS,
    TYPICAL_OF,
    WEIGHTS,
    best_match,
    denoiser_and_twin,
    denoising,
    example_strip,
    filters,
    load,
    make,
    make_filters,
    shipped_names,
)
from aecore.training import TrainConfig, evaluate, loss_of

MEGABYTE = 1_000_000


def load_if_here(dataset: str) -> ImageDataset:
    """The dataset; the test is skipped where its files are not on this machine."""
    if not is_available(dataset):
        pytest.skip(f"the files of {dataset} are not here: set AECORE_DATA to a folder that holds them")
    return load_dataset(dataset)


@pytest.fixture(
    params=[pytest.param(name, marks=pytest.mark.mnist if name.startswith("mnist") else ()) for name in RECIPES]
)
def name(request: pytest.FixtureRequest) -> str:
    chosen: str = request.param
    return chosen


def test_there_is_a_folder_for_every_recipe_and_no_other() -> None:
    folders = sorted(path.name for path in WEIGHTS.iterdir() if path.is_dir())
    assert folders == sorted([*RECIPES, "filters"])
    assert shipped_names() == sorted(RECIPES)


def test_all_of_it_is_small_enough_to_ship() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) < 30 * MEGABYTE


def test_the_numbers_on_the_card_are_those_of_the_file(name: str) -> None:
    checkpoint = load(name)
    data = load_if_here(checkpoint.dataset)
    assert checkpoint.dataset_checksum == data.checksum, "the data are not those it was trained on"
    training = checkpoint.train_config
    result = evaluate(checkpoint.build(), data.test, loss_of(checkpoint.model_config, training), training.noise)
    assert checkpoint.metrics["test_mse"] == pytest.approx(result.mse, rel=1e-4)
    assert checkpoint.metrics["test_psnr"] == pytest.approx(result.psnr, rel=1e-4)
    assert checkpoint.metrics["test_loss"] == pytest.approx(result.loss, rel=1e-4)


def test_the_card_is_that_of_its_recipe(name: str) -> None:
    recipe, card = RECIPES[name], json.loads((WEIGHTS / name / CARD_FILE).read_text(encoding="utf-8"))
    assert card["name"] == name
    assert card["dataset"]["name"] == recipe.dataset
    assert card["model"] == recipe.fitted_model.to_dict()
    assert card["training"] == recipe.training.to_dict()
    assert card["layers"] == [layer.to_dict() for layer in describe(recipe.fitted_model)]
    assert card["metrics"]["parameters"] == sum(layer["parameters"] for layer in card["layers"])


def test_the_command_on_the_card_is_one_the_command_line_knows(name: str) -> None:
    words = shlex.split(load(name).command)
    assert words[:3] == ["python", "-m", "aecore"]
    with cli.make_context("aecore", words[3:]) as context:
        weights = cli.get_command(context, words[3])
        assert weights is not None
        assert weights.make_context("weights", words[4:], parent=context).params["only"] == (name,)


def test_it_beats_showing_the_mean_image_by_far(name: str) -> None:
    checkpoint = load(name)
    images = load_if_here(checkpoint.dataset).test.double() / 255
    mean_image = images.var(dim=0, correction=0).mean()
    if name in AVERAGED.values():
        assert checkpoint.metrics["test_mse"] == pytest.approx(float(mean_image), rel=0.02), "it is there to fail"
        assert checkpoint.metrics["active_units"] == 0
    else:
        far = 0.5 if checkpoint.model_config.latent_dim > 2 else 0.65  # two numbers cannot say as much
        assert checkpoint.metrics["test_mse"] < far * mean_image


def test_pictures_go_along_only_where_the_licence_allows_it(name: str) -> None:
    folder, checkpoint = WEIGHTS / name, load(name)
    files = {path.name for path in folder.iterdir()}
    allowed = DATASETS[checkpoint.dataset].redistributable
    on_the_bench = {DENOISING_FILE} if RECIPES[name].twin or name in TWINS else set()
    assert files == {CARD_FILE, WEIGHTS_FILE} | ({EXAMPLES_FILE} if allowed else set()) | on_the_bench
    assert checkpoint.extra.get("examples") == (EXAMPLES_FILE if allowed else None)


def test_the_pictures_are_ten_test_images_with_every_class(name: str) -> None:
    path = WEIGHTS / name / EXAMPLES_FILE
    if not path.exists():
        assert not DATASETS[RECIPES[name].dataset].redistributable
        return
    data = load_dataset(RECIPES[name].dataset)
    channels, _, width = data.image_shape
    strip = torch.from_numpy(np.array(Image.open(path)))
    planes = strip[None] if channels == 1 else strip.permute(2, 0, 1)
    labels = [data.test_labels[(data.test == image).all(dim=(1, 2, 3))].tolist() for image in planes.split(width, 2)]
    assert [len(found) for found in labels] == [1] * 10, "each is one test image, unchanged"
    classes = len(data.test_labels.unique())
    assert [found[0] for found in labels[:classes]] == list(range(classes))


@pytest.mark.mnist
def test_the_linear_one_on_mnist_is_as_good_as_pca() -> None:
    metrics = load("mnist-linear").metrics
    # floors of PCA with 32 components: 0.01683 on the test set, 0.01724 on the training set
    assert metrics["test_mse"] <= 1.03 * 0.01683
    assert metrics["train_mse"] >= 0.01724 * (1 - 1e-3)
    assert load("mnist-conv").metrics["test_mse"] < 0.0050


# -- making and choosing -----------------------------------------------------------------------------------------


TINY = pretrained.Recipe(
    dataset="digits8",
    model=ModelConfig(body="mlp", hidden_units=8, latent_dim=2),
    training=TrainConfig(budget=3, budget_unit="steps"),
)


def test_making_one_writes_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "digits8-tiny", TINY)
    made = make("digits8-tiny", tmp_path)
    assert shipped_names(tmp_path) == ["digits8-tiny"]
    assert load("digits8-tiny", tmp_path).card() == made.card()
    assert made.model_config.image_shape == (1, 8, 8)
    assert made.command == "python -m aecore weights --only digits8-tiny"
    assert made.extra == {"name": "digits8-tiny", "examples": EXAMPLES_FILE}
    assert Image.open(tmp_path / "digits8-tiny" / EXAMPLES_FILE).size == (80, 8)
    assert not math.isnan(made.metrics["test_mse"])


def test_images_that_may_not_be_passed_on_are_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECIPES, "digits8-tiny", TINY)
    monkeypatch.setitem(DATASETS, "digits8", replace(DATASETS["digits8"], redistributable=False))
    assert make("digits8-tiny", tmp_path).extra == {"name": "digits8-tiny"}
    assert {path.name for path in (tmp_path / "digits8-tiny").iterdir()} == {CARD_FILE, WEIGHTS_FILE}


def test_colour_images_stay_in_colour() -> None:
    shapes = load_dataset("shapes")
    strip = np.array(example_strip(shapes))
    assert strip.shape == (32, 320, 3)
    first = int((shapes.test_labels == 0).nonzero()[0])
    assert np.array_equal(strip[:, :32], shapes.test[first].permute(1, 2, 0).numpy())


def test_with_few_classes_the_strip_is_filled_up_without_repeats() -> None:
    shapes = load_dataset("shapes")  # four classes
    tiles = np.split(np.array(example_strip(shapes)), 10, axis=1)
    assert len({tile.tobytes() for tile in tiles}) == 10


def test_an_unknown_name_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no shipped model 'nonsense'; there are digits-conv, "):
        load("nonsense")
    with pytest.raises(CheckpointError, match="there are none"):
        load("digits-conv", tmp_path)
    with pytest.raises(CheckpointError, match="no shipped model"):
        load("../weights/digits-conv")


def test_the_best_match_is_of_the_same_data_and_if_it_can_be_the_same_body() -> None:
    assert best_match("digits", ModelConfig(body="linear")) == "digits-linear"
    assert best_match("digits", ModelConfig(body="conv", latent_dim=2)) == "digits-conv"
    assert best_match("digits", ModelConfig(body="mlp")) == "digits-plane"
    assert best_match("shapes", ModelConfig(body="mlp")) in COMPARISON
    assert best_match("mnist", ModelConfig(body="linear")) == "mnist-linear"
    assert best_match("cifar10", ModelConfig()) is None


def test_the_best_match_has_the_same_bottleneck_and_about_as_many_numbers() -> None:
    variational = ModelConfig(body="mlp", bottleneck="variational", latent_dim=2)
    assert best_match("digits", variational) == "digits-vae"
    assert best_match("digits", replace(variational, latent_dim=16)) == "digits-vae-10", "not the one that was averaged"
    assert best_match("digits", replace(variational, body="conv", latent_dim=32)) == "digits-vae-10"


@pytest.mark.parametrize("names", PAIRS.values())
def test_a_pair_differs_in_the_bottleneck_alone(names: tuple[str, str]) -> None:
    plain, variational = (RECIPES[name] for name in names)
    assert plain.model.bottleneck == "plain"
    assert variational == replace(plain, model=replace(plain.model, bottleneck="variational"))


@pytest.mark.parametrize("name", AVERAGED)
def test_averaging_over_the_pixels_is_a_beta_of_their_number(name: str) -> None:
    """The gradient of the averaged loss is that of beta = D, divided by D."""
    summed, averaged = RECIPES[name], RECIPES[AVERAGED[name]]
    assert averaged == replace(
        summed, model=replace(summed.model, beta=float(math.prod(summed.fitted_model.image_shape)))
    )
    model = build_model(averaged.fitted_model, seed=0)
    images = torch.rand(8, *averaged.fitted_model.image_shape, generator=torch.Generator().manual_seed(0))
    terms = model.loss_terms(images, images, "bce", torch.Generator().manual_seed(1))
    pixels = images[0].numel()
    over_pixels = (terms.reconstruction / pixels + terms.bottleneck["kl"]).mean()
    parameters = list(model.parameters())
    wanted = torch.autograd.grad(over_pixels, parameters, retain_graph=True)
    for ours, theirs in zip(torch.autograd.grad(terms.total(), parameters), wanted, strict=True):
        torch.testing.assert_close(ours / pixels, theirs)


def test_the_best_match_for_a_denoiser_is_a_denoiser() -> None:
    noise = NoiseConfig(corruption="masking")
    assert best_match("mnist", ModelConfig(body="conv"), noise) == "mnist-denoiser"
    assert best_match("mnist", ModelConfig(body="mlp"), noise) == "mnist-mlp-denoiser"
    assert best_match("shapes", ModelConfig(), noise) in RECIPES, "without a denoiser of these images, another model"
    assert best_match("digits", ModelConfig(body="conv"), NONE) == "digits-conv", "not the twin of a denoiser"


# -- denoisers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("twin", TWINS)
def test_a_denoiser_and_its_twin_differ_in_the_noise_alone(twin: str) -> None:
    denoiser, plain = RECIPES[TWINS[twin]], RECIPES[twin]
    assert denoiser.training.noise.on
    assert not plain.training.noise.on
    assert replace(denoiser.training, noise=NONE) == plain.training
    assert (denoiser.model, denoiser.dataset) == (plain.model, plain.dataset)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=pytest.mark.mnist if "mnist" in n else ()) for n in TWINS.values()]
)
def test_the_shipped_curves_are_those_of_the_model(name: str) -> None:
    dataset = RECIPES[name].dataset
    data, model, about = load_if_here(dataset), load(name).build(), denoising(name)
    assert about is not None
    assert set(about["measured"]) == set(CORRUPTIONS)
    assert about["typical"] == pytest.approx(typical_errors(model, data.test[:TYPICAL_OF]), rel=2e-3)
    for corruption in ("gaussian", "occlusion"):
        strengths = curve_strengths(corruption)
        known = about["measured"][corruption]
        assert known["strengths"] == strengths
        place = len(strengths) // 2
        (row,) = denoising_curve(
            {name: trained(model, name)}, data, corruption, strengths[place : place + 1], images=200
        )
        assert known["rows"][name]["psnr_of_mean_mse"][place][0] == pytest.approx(row.psnr_of_mean_mse.value, abs=0.01)
        assert known["rows"][name]["ssim"][place][0] == pytest.approx(row.ssim.value, abs=1e-3)


@pytest.mark.parametrize(
    "dataset", [pytest.param(n, marks=pytest.mark.mnist if n == "mnist" else ()) for n in FILTERS_ON]
)
def test_the_shipped_curves_of_the_filters_are_theirs(dataset: str) -> None:
    data, known = load_if_here(dataset), filters(dataset)
    assert known is not None
    assert {corruption: set(curves["rows"]) for corruption, curves in known.items()} == {
        corruption: set(DENOISERS) for corruption in CORRUPTIONS
    }
    for corruption, curves in known.items():
        assert curves["strengths"] == curve_strengths(corruption)
        for row in curves["rows"].values():
            for of_images, of_mean in zip(row["psnr_mean_of_images"], row["psnr_of_mean_mse"], strict=True):
                assert of_images[0] >= of_mean[0] - 2e-3, "Jensen's inequality, and rounding"
    quick = {name: DENOISERS[name] for name in ("identity", "median", "gaussian", "wiener")}
    strengths = curve_strengths("speckle")
    rows = denoising_curve(quick, data, "speckle", strengths[6:7], images=200)
    for row in rows:
        curve = known["speckle"]["rows"][row.denoiser]
        assert curve["psnr_mean_of_images"][6][0] == pytest.approx(row.psnr_mean_of_images.value, abs=2e-3)
        if row.setting:
            assert known["speckle"]["settings"][row.denoiser][6] == row.setting


def test_the_denoiser_of_the_digits_beats_every_filter_and_doing_nothing() -> None:
    rows = {
        **(filters("digits") or {})["gaussian"]["rows"],
        **(denoising("digits-denoiser") or {})["measured"]["gaussian"]["rows"],
    }
    place = curve_strengths("gaussian").index(0.3)
    psnr = {name: curves["psnr_of_mean_mse"][place][0] for name, curves in rows.items()}
    learned = psnr.pop("digits-denoiser")
    assert learned > psnr["identity"] + 5
    assert learned > max(psnr.values()) + 3


@pytest.mark.mnist
def test_the_denoiser_of_mnist_on_the_whole_test_set() -> None:
    data = load_if_here("mnist")
    model = {"learned": trained(load("mnist-denoiser").build(), "")}
    tried = {**model, "identity": DENOISERS["identity"], "median": DENOISERS["median"]}
    rows = {row.denoiser: row for row in denoising_curve(tried, data, "gaussian", [0.3])}
    psnr = {name: row.psnr_of_mean_mse.value for name, row in rows.items()}
    place = curve_strengths("gaussian").index(0.3)
    best_filter = max(
        values["psnr_of_mean_mse"][place][0] for values in (filters("mnist") or {})["gaussian"]["rows"].values()
    )
    assert psnr["learned"] > psnr["identity"] + 5
    assert psnr["learned"] > max(best_filter, psnr["median"]) + 3
    # a published bench: identity 19.50 dB, median 20.22, its best autoencoder 24.20, mean over 10,000 test images
    rows = {row.denoiser: row for row in denoising_curve(tried, data, "uniform", [0.25])}
    mean = {name: row.psnr_mean_of_images.value for name, row in rows.items()}
    assert mean["identity"] == pytest.approx(19.50, abs=0.1)
    assert mean["median"] == pytest.approx(20.22, abs=0.1)
    assert mean["learned"] > 24.20 + 1


def test_making_a_denoiser_measures_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair = denoiser_and_twin("little", "digits8", TINY.model, 1)
    for name, recipe in pair.items():
        monkeypatch.setitem(RECIPES, name, recipe)
    monkeypatch.setitem(TWINS, "little-twin", "little")
    monkeypatch.setattr(pretrained, "CURVE_IMAGES", 8)
    for name in pair:
        make(name, tmp_path)
        found = denoising(name, tmp_path)
        assert found is not None
        assert set(found["measured"]) == set(CORRUPTIONS)
        assert len(found["typical"]) == 99
    assert load("little", tmp_path).train_config.noise.on


def test_filters_are_measured_into_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained, "CURVE_IMAGES", 4)
    monkeypatch.setattr(pretrained, "DENOISERS", {name: DENOISERS[name] for name in ("identity", "median")})
    shares: list[float] = []
    make_filters("digits8", tmp_path, shares.append)
    found = filters("digits8", tmp_path)
    assert found is not None
    assert set(found) == set(CORRUPTIONS)
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1)
    assert filters("digits", tmp_path) is None


def test_a_shipped_model_can_be_saved_elsewhere_and_is_the_same(tmp_path: Path) -> None:
    load("digits-conv").save(tmp_path)
    assert Checkpoint.load(tmp_path).card() == load("digits-conv").card()
    assert (tmp_path / WEIGHTS_FILE).read_bytes() == (WEIGHTS / "digits-conv" / WEIGHTS_FILE).read_bytes()
