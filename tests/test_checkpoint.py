"""A checkpoint comes back as it was, tells all about itself, and anything else is refused in plain words."""

from __future__ import annotations

import hashlib
import io
import json
import math
import pickle
import platform
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

import aecore
from aecore.checkpoint import CARD_FILE, CARD_FORMAT, WEIGHTS_FILE, Checkpoint
from aecore.data import load_dataset
from aecore.errors import CheckpointError
from aecore.models import ModelConfig, build_model
from aecore.models.layers import describe
from aecore.training import Finished, TrainConfig, TrainState, train

MODEL = ModelConfig(image_shape=(1, 8, 8), latent_dim=3, channels=4, upsample="transpose3")
TRAINING = TrainConfig(seed=5, budget=2, budget_unit="steps", loss="bce")


def checkpoint(**about: Any) -> Checkpoint:
    model = build_model(MODEL, seed=0)
    return Checkpoint.of(
        model,
        **{
            "train_config": TRAINING,
            "dataset": "digits8",
            "dataset_checksum": "abc",
            "metrics": {"test_mse": 0.25, "parameters": 7},
            "command": "aecore train --out 'a b'",
            "extra": {"name": "größer", "examples": ["x", 1]},
            **about,
        },
    )


def half_trained() -> Checkpoint:
    """A checkpoint with a training state."""
    model = build_model(MODEL, seed=0)
    state = TrainState(model, TRAINING)
    events = train(model, load_dataset("digits8"), TRAINING, state)
    while state.step == 0:
        next(events)
    return checkpoint(state=state)


def assert_equal(ours: Checkpoint, theirs: Checkpoint) -> None:
    assert ours.card() == theirs.card()
    assert (ours.model_config, ours.train_config) == (theirs.model_config, theirs.train_config)
    for mine, yours in ((ours.weights, theirs.weights), (ours.training_state, theirs.training_state)):
        assert mine.keys() == yours.keys()
        assert all(torch.equal(mine[name], yours[name]) for name in mine)
        assert all(mine[name].dtype == yours[name].dtype for name in mine)


# -- there and back ----------------------------------------------------------------------------------------------


def test_bytes_and_back() -> None:
    original = half_trained()
    assert original.training_state
    restored = Checkpoint.from_bytes(original.to_bytes())
    assert_equal(restored, original)
    assert restored.to_bytes() == original.to_bytes()


def test_a_folder_and_back(tmp_path: Path) -> None:
    original, folder = checkpoint(), tmp_path / "a new" / "folder"
    original.save(folder)
    assert sorted(path.name for path in folder.iterdir()) == [CARD_FILE, WEIGHTS_FILE]
    assert_equal(Checkpoint.load(folder), original)


def test_saving_again_replaces_what_was_there(tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    checkpoint(metrics={"test_mse": 0.125}).save(tmp_path)
    assert Checkpoint.load(tmp_path).metrics == {"test_mse": 0.125}


def test_a_folder_describes_a_model_not_an_unfinished_run(tmp_path: Path) -> None:
    half_trained().save(tmp_path)
    assert Checkpoint.load(tmp_path).training_state == {}


def test_the_archive_holds_the_same_two_files(tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    with zipfile.ZipFile(io.BytesIO(checkpoint().to_zip())) as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == [CARD_FILE, WEIGHTS_FILE]
        for name in archive.namelist():
            assert archive.read(name) == (tmp_path / name).read_bytes()


def test_the_model_computes_the_same_when_it_is_back(tmp_path: Path) -> None:
    model = build_model(MODEL, seed=0)
    checkpoint().save(tmp_path)
    restored = Checkpoint.load(tmp_path).build()
    x = torch.rand(5, 1, 8, 8)
    assert torch.equal(restored(x), model(x))
    assert not restored.training


def test_a_model_without_a_training_state_starts_afresh() -> None:
    restored = checkpoint()
    state = restored.resume(restored.build())
    assert (state.step, state.images, state.first_loss) == (0, 0, None)


def test_anybody_can_read_the_files_with_safetensors_and_json(tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    tensors = load_tensors((tmp_path / WEIGHTS_FILE).read_bytes())
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        name: tuple(parameter.shape) for name, parameter in build_model(MODEL).named_parameters()
    }
    card = (tmp_path / CARD_FILE).read_text(encoding="utf-8")
    assert "größer" in card
    assert card.endswith("}\n")


# -- the card ----------------------------------------------------------------------------------------------------


def test_the_card_tells_everything() -> None:
    card = checkpoint().card()
    usual = {"format", "model", "training", "dataset", "seed", "metrics", "command", "versions", "layers"}
    assert set(card) == usual | {"name", "examples"}
    assert card["format"] == CARD_FORMAT
    assert card["model"] == MODEL.to_dict()
    assert card["training"] == TRAINING.to_dict()
    assert card["dataset"] == {"name": "digits8", "checksum": "abc"}
    assert card["seed"] == 5
    assert card["metrics"] == {"test_mse": 0.25, "parameters": 7}
    assert card["command"] == "aecore train --out 'a b'"
    assert card["versions"]["torch"] == torch.__version__
    assert card["versions"]["aecore"] == aecore.__version__
    assert card["versions"]["python"] == platform.python_version()
    assert card["layers"] == [layer.to_dict() for layer in describe(MODEL)]


def test_other_keys_of_a_card_are_kept(tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    edit_card(tmp_path, lambda card: card.update(note={"by": "hand"}))
    restored = Checkpoint.load(tmp_path)
    assert restored.extra == {"name": "größer", "examples": ["x", 1], "note": {"by": "hand"}}
    assert restored.card()["note"] == {"by": "hand"}


def test_versions_are_those_it_was_made_with(tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    edit_card(tmp_path, lambda card: card["versions"].update(torch="1.0"))
    assert Checkpoint.load(tmp_path).versions["torch"] == "1.0"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_does_not_have_become_null(value: float, tmp_path: Path) -> None:
    odd = checkpoint(metrics={"test_psnr": value, "test_mse": 0.5})

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    odd.save(tmp_path)
    card = json.loads((tmp_path / CARD_FILE).read_text(encoding="utf-8"), parse_constant=refuse)
    assert card["metrics"] == {"test_psnr": None, "test_mse": 0.5}
    assert Checkpoint.from_bytes(odd.to_bytes()).metrics == {"test_psnr": None, "test_mse": 0.5}


# -- what is no checkpoint ---------------------------------------------------------------------------------------


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    path = folder / CARD_FILE
    card = json.loads(path.read_text(encoding="utf-8"))
    change(card)
    path.write_text(json.dumps(card), encoding="utf-8")


def assert_plain(error: CheckpointError, *words: str) -> None:
    """The message says what is wrong, in a sentence or two on one line, without Python's own words."""
    message = str(error)
    assert [word for word in words if word not in message] == [], message
    assert "\n" not in message
    assert message.endswith(".")
    assert not any(jargon in message for jargon in ("Traceback", "Error(", "NoneType", "object at"))


class Bomb:
    """Notes when it is unpickled."""

    went_off = False

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return light, ()


def light() -> None:
    Bomb.went_off = True


def torch_file() -> bytes:
    buffer = io.BytesIO()
    torch.save({"weights": torch.zeros(3), "bomb": Bomb()}, buffer)
    return buffer.getvalue()


FOREIGN = {
    "nothing": b"",
    "text": b"hello, I am a text file and not a checkpoint",
    "zeros": bytes(1000),
    "a length beyond the end": b"\xff" * 8 + b"{}",
    "a pickle": pickle.dumps(Bomb()),
    "a torch file": torch_file(),
    "an archive": checkpoint().to_zip(),
}


@pytest.mark.parametrize("content", FOREIGN.values(), ids=FOREIGN)
def test_foreign_bytes_are_refused_and_never_unpickled(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError) as refused:
        Checkpoint.from_bytes(content)
    assert_plain(refused.value, "not a checkpoint of the lab, or it is damaged")

    checkpoint().save(tmp_path)
    (tmp_path / WEIGHTS_FILE).write_bytes(content)
    with pytest.raises(CheckpointError) as refused:
        Checkpoint.load(tmp_path)
    assert_plain(refused.value, "cannot be read", "damaged")
    assert not Bomb.went_off


def test_tensors_of_another_make_are_refused() -> None:
    tensors = {"weight": torch.zeros(3)}
    for foreign in (save_tensors(tensors), save_tensors(tensors, metadata={"format": "pt"})):
        with pytest.raises(CheckpointError, match="not a checkpoint of the lab"):
            Checkpoint.from_bytes(foreign)


def test_a_file_cut_off_anywhere_is_refused() -> None:
    whole = half_trained().to_bytes()
    for length in (*range(0, len(whole), 997), len(whole) - 1):
        with pytest.raises(CheckpointError):
            Checkpoint.from_bytes(whole[:length])


def test_an_endlessly_nested_card_is_refused(tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    (tmp_path / CARD_FILE).write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(CheckpointError, match="damaged"):
        Checkpoint.load(tmp_path)
    with pytest.raises(CheckpointError, match="damaged"):
        Checkpoint.from_bytes(save_tensors({"weight": torch.zeros(3)}, metadata={"card": "[" * 100_000}))


@pytest.mark.parametrize("missing", [CARD_FILE, WEIGHTS_FILE])
def test_a_missing_file_is_named(missing: str, tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(CheckpointError) as refused:
        Checkpoint.load(tmp_path)
    assert_plain(refused.value, f"holds no {missing}", str(tmp_path), "aecore train --out")


def test_a_missing_folder_and_a_file_in_its_place_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="holds no"):
        Checkpoint.load(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(CheckpointError):
        Checkpoint.load(tmp_path / "file")


CARDS: dict[str, tuple[Callable[[dict[str, Any]], object], str]] = {
    "of a later format": (
        lambda card: card.update(format=CARD_FORMAT + 1),
        f"format {CARD_FORMAT + 1}, this version reads {CARD_FORMAT}",
    ),
    "of an unknown body": (lambda card: card["model"].update(body="transformer"), "body is 'transformer'"),
    "with an unknown field": (lambda card: card["model"].update(depth=3), "no field 'depth'"),
    "with a number out of range": (lambda card: card["model"].update(latent_dim=0), "latent_dim is 0"),
    "with a shape that is none": (lambda card: card["model"].update(image_shape=8), "image_shape is 8"),
    "with a list for a name": (lambda card: card["model"].update(body=[[]]), "body is"),
    "with an unknown loss": (lambda card: card["training"].update(loss="hinge"), "loss is 'hinge'"),
    "without a model": (lambda card: card.pop("model"), "'model'"),
    "without metrics": (lambda card: card.pop("metrics"), "'metrics'"),
    "with a list for metrics": (lambda card: card.update(metrics=[1, 2]), "'metrics'"),
    "with a name for versions": (lambda card: card.update(versions="new"), "'versions'"),
    "with a number for its command": (lambda card: card.update(command=3), "'command'"),
    "with nothing for its model": (lambda card: card.update(model=None), "'model'"),
    "with a name for its dataset": (lambda card: card.update(dataset="digits"), "'dataset'"),
    "with a number for its dataset's name": (lambda card: card["dataset"].update(name=3), "'name'"),
    "that is empty": (lambda card: card.clear(), "'format'"),
}


@pytest.mark.parametrize(("change", "words"), CARDS.values(), ids=CARDS)
def test_a_card_that_does_not_fit_is_refused(
    change: Callable[[dict[str, Any]], object], words: str, tmp_path: Path
) -> None:
    checkpoint().save(tmp_path)
    edit_card(tmp_path, change)
    with pytest.raises(CheckpointError) as refused:
        Checkpoint.load(tmp_path)
    assert_plain(refused.value, words)


@pytest.mark.parametrize("text", ["[]", "null", "3", '"card"', "{", ""])
def test_a_card_that_is_no_object_is_refused(text: str, tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    (tmp_path / CARD_FILE).write_text(text, encoding="utf-8")
    with pytest.raises(CheckpointError) as refused:
        Checkpoint.load(tmp_path)
    assert_plain(refused.value)


def without_one(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return dict(list(weights.items())[1:])


def with_one_more(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {**weights, "stray": torch.zeros(2)}


def of_another_size(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor[..., :1] for name, tensor in weights.items()}


@pytest.mark.parametrize("change", [without_one, with_one_more, of_another_size])
def test_weights_of_another_network_are_refused(change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    whole = checkpoint()
    foreign = Checkpoint(model_config=MODEL, train_config=TRAINING, dataset="digits8", weights=change(whole.weights))
    with pytest.raises(CheckpointError) as refused:
        foreign.build()
    assert_plain(refused.value, "do not fit the network")


@pytest.mark.parametrize("state", [{"progress": torch.zeros(3)}, {"exp_avg.encoder.0.weight": torch.zeros(3)}])
def test_a_training_state_of_another_version_is_refused(state: dict[str, Tensor]) -> None:
    whole = checkpoint()
    old = Checkpoint(
        model_config=MODEL, train_config=TRAINING, dataset="digits8", weights=whole.weights, training_state=state
    )
    with pytest.raises(CheckpointError) as refused:
        old.resume(old.build())
    assert_plain(refused.value, "of another version", "Train anew")


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(CheckpointError) as refused:
        checkpoint().save(tmp_path / "file")
    assert_plain(refused.value, "Cannot write to", str(tmp_path / "file"), "Choose another folder")


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    digests = set()
    for folder in (tmp_path / "a", tmp_path / "b"):
        checkpoint().save(folder)
        digests.add(hashlib.sha256((folder / WEIGHTS_FILE).read_bytes() + (folder / CARD_FILE).read_bytes()).digest())
    assert len(digests) == 1


def test_what_resumes_goes_on_to_the_end() -> None:
    restored = Checkpoint.from_bytes(half_trained().to_bytes())
    model = restored.build()
    *_, end = train(model, load_dataset("digits8"), restored.train_config, restored.resume(model))
    assert end == Finished(2, "budget", end.message)
