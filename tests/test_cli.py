"""The command line: results on standard output and nothing else there, one clear line for what cannot be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
import torch
from sklearn.neighbors import KNeighborsClassifier

from aecore import __main__ as command_line
from aecore import pretrained
from aecore.__main__ import cli, main
from aecore.analysis.denoising import DENOISERS
from aecore.checkpoint import CARD_FILE, Checkpoint
from aecore.data import DATASETS, load_dataset
from aecore.errors import DataError
from aecore.models import BODIES, BOTTLENECKS, DOWNSAMPLERS, UPSAMPLERS, ModelConfig, build_model
from aecore.noise import CORRUPTIONS, NoiseConfig
from aecore.training import StepDone, TrainConfig, TrainEvent, encode, evaluate
from aecore.training.choosing import Choice, Trial
from aecore.training.execution import Execution

ROOT = Path(__file__).resolve().parent.parent
TRAIN = ["train", "--dataset", "digits8", "--body", "mlp", "--hidden-units", "8", "--latent-dim", "2", "--steps", "5"]
KEYS = {
    "train_mse", "test_mse", "test_psnr", "images_per_second", "seconds", "parameters", "flops_per_image", "precision",
    "execution", "seed",
}  # fmt: skip

Outcome = tuple[int, str, str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run the command line in this process: (exit status, standard output, standard error)."""

    def call(*arguments: object) -> Outcome:
        status = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return call


def parse(output: str) -> Any:
    """The one line of strict JSON that stands there."""
    assert output.endswith("\n")
    assert output.count("\n") == 1, "one line and nothing else"

    def refuse(word: str) -> None:
        raise AssertionError(f"{word} is no JSON")

    return json.loads(output, parse_constant=refuse)


# -- train and evaluate ------------------------------------------------------------------------------------------


def test_training_prints_one_line_of_results(run: Callable[..., Outcome]) -> None:
    status, out, err = run(*TRAIN, "--json", "--seed", 3)
    results = parse(out)
    assert status == 0
    assert set(results) >= KEYS
    assert (results["seed"], results["precision"]) == (3, "float32")
    assert 0 < results["test_mse"] < 1
    assert "Traceback" not in err


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_precision_can_be_asked_for(run: Callable[..., Outcome], tmp_path: Path, precision: str) -> None:
    status, out, _ = run(*TRAIN, "--precision", precision, "--json", "--out", tmp_path)
    assert status == 0
    assert (parse(out)["precision"], parse(out)["execution"]) == (precision, f"{precision}, channels first")
    assert Checkpoint.load(tmp_path).train_config.precision == precision


def test_an_unknown_precision_is_refused(run: Callable[..., Outcome]) -> None:
    status, out, err = run(*TRAIN, "--precision", "float8")
    assert (status, out) == (2, "")
    assert "float8" in err
    assert "bfloat16" in err


def test_how_steps_are_computed_is_said_where_it_was_measured(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    *_, err = run(*TRAIN)
    assert "computing in" not in err, "so short a training is computed plainly"
    plain, way = Execution(), Execution("bfloat16")
    choice = Choice(way, (Trial(plain, 3.0, 5.0, same=True), Trial(way, 2.0, 5.0, same=True)), 1.5)
    monkeypatch.setattr("aecore.fit.choose", lambda *_: choice)
    status, out, err = run(*TRAIN, "--json")
    assert (status, parse(out)["execution"]) == (0, "bfloat16, channels first")
    assert f"computing in {choice.why()}" in err


def test_evaluating_the_files_gives_the_same_numbers(run: Callable[..., Outcome], tmp_path: Path) -> None:
    _, trained, _ = run(*TRAIN, "--json", "--out", tmp_path / "model")
    for data in ([], ["--dataset", "digits8"]):
        status, out, _ = run("evaluate", tmp_path / "model", *data, "--json")
        assert status == 0
        assert parse(out) == {key: parse(trained)[key] for key in ("test_mse", "test_psnr", "test_loss")} | {
            "images": 360
        }


def test_what_is_kept_is_what_was_measured(run: Callable[..., Outcome], tmp_path: Path) -> None:
    _, out, _ = run(*TRAIN, "--json", "--out", tmp_path, "--optimiser", "sgd", "--loss", "bce", "--seed", 4)
    checkpoint = Checkpoint.load(tmp_path)
    assert checkpoint.metrics == parse(out)
    assert checkpoint.model_config == ModelConfig(image_shape=(1, 8, 8), body="mlp", hidden_units=8, latent_dim=2)
    assert checkpoint.train_config == TrainConfig(budget=5, budget_unit="steps", optimiser="sgd", loss="bce", seed=4)
    assert evaluate(checkpoint.build(), load_dataset("digits8").test).mse == checkpoint.metrics["test_mse"]


def test_the_card_keeps_the_command(run: Callable[..., Outcome], tmp_path: Path) -> None:
    run(*TRAIN, "--out", tmp_path / "a b")
    assert Checkpoint.load(tmp_path / "a b").command == f"aecore {' '.join(TRAIN)} --out '{tmp_path / 'a b'}'"


@pytest.mark.parametrize("unit", ["epochs", "steps", "seconds"])
def test_each_kind_of_budget_can_be_given(run: Callable[..., Outcome], tmp_path: Path, unit: str) -> None:
    status, *_ = run(*TRAIN[:-2], f"--{unit}", 1, "--out", tmp_path)
    config = Checkpoint.load(tmp_path).train_config
    assert (status, config.budget, config.budget_unit) == (0, 1, unit)


def test_people_get_a_line_for_each_number(run: Callable[..., Outcome], tmp_path: Path) -> None:
    status, out, _ = run(*TRAIN, "--out", tmp_path)
    assert status == 0
    named = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert set(named) >= KEYS
    assert out.splitlines()[-1] == f"kept in {tmp_path}"


def test_every_dial_is_an_option() -> None:
    train = cli.commands["train"]
    options = {parameter.name: parameter for parameter in train.params}
    dials = {**ModelConfig.dials(), **TrainConfig.dials(), **NoiseConfig.dials()}
    assert set(options) == {"dataset", "epochs", "steps", "seconds", "out", "as_json"} | (
        set(dials) - {"budget", "budget_unit"}
    )
    for name, dial in dials.items():
        if dial.choices and name in options:
            kind = options[name].type
            assert isinstance(kind, click.Choice)
            assert list(kind.choices) == list(dial.choices)


def test_a_shipped_model_can_be_evaluated(run: Callable[..., Outcome]) -> None:
    status, out, _ = run("evaluate", pretrained.WEIGHTS / "digits-linear", "--json")
    card = json.loads((pretrained.WEIGHTS / "digits-linear" / CARD_FILE).read_text(encoding="utf-8"))
    assert status == 0
    assert parse(out)["test_mse"] == pytest.approx(card["metrics"]["test_mse"], rel=1e-4)


# -- latent ------------------------------------------------------------------------------------------------------


def untrained(folder: Path, dataset: str, loss: str = "auto", **settings: Any) -> Checkpoint:
    """Kept in `folder`: a model as it begins, for measures of which only the names and the plumbing are looked at."""
    data = load_dataset(dataset)
    model = ModelConfig(image_shape=data.image_shape, **settings)
    checkpoint = Checkpoint.of(
        build_model(model, seed=0),
        train_config=TrainConfig(loss=loss),
        dataset=dataset,
        dataset_checksum=data.checksum,
        metrics={},
        command="",
    )
    checkpoint.save(folder)
    return checkpoint


def test_latent_says_of_every_code_what_it_keeps(run: Callable[..., Outcome], tmp_path: Path) -> None:
    checkpoint = untrained(tmp_path, "digits8", body="mlp", hidden_units=8, latent_dim=3)
    status, out, err = run("latent", tmp_path, "--neighbours", 3, "--json")
    data, model = load_dataset("digits8"), checkpoint.build()
    codes, test_codes = encode(model, data.train), encode(model, data.test)
    expected = KNeighborsClassifier(3).fit(codes, data.train_labels).score(test_codes, data.test_labels)
    assert (status, err) == (0, "")
    assert parse(out) == {"train_images": 1437, "test_images": 360, "neighbours": 3, "knn_accuracy": expected}


def test_latent_says_of_a_plane_of_codes_how_full_it_is(run: Callable[..., Outcome], tmp_path: Path) -> None:
    untrained(tmp_path, "digits8", body="mlp", hidden_units=8, latent_dim=2)
    _, out, _ = run("latent", tmp_path, "--images", 100, "--json")
    results = parse(out)
    assert (results["train_images"], results["test_images"]) == (100, 100)
    assert 0 <= results["nothing_share"] <= 1
    assert 0 < results["covered_share"] <= 100 / 400


def test_latent_says_of_a_variational_code_what_it_costs(run: Callable[..., Outcome], tmp_path: Path) -> None:
    untrained(tmp_path, "digits8", body="mlp", hidden_units=8, latent_dim=3, bottleneck="variational")
    found = {}
    for samples in (1, 20):
        status, out, _ = run("latent", tmp_path, "--samples", samples, "--json")
        assert status == 0
        found[samples] = parse(out)
    assert len(found[1]["kl_per_unit"]) == 3
    assert found[1]["kl_per_unit"] == found[20]["kl_per_unit"]
    assert found[20]["samples"] == 20
    assert 0 <= found[20]["active_units"] <= 3
    assert 0 < found[20]["importance_weighted_bound"] < found[1]["importance_weighted_bound"]


def test_latent_gives_no_bound_where_the_decoder_is_told_more(run: Callable[..., Outcome], tmp_path: Path) -> None:
    untrained(tmp_path, "digits8", bottleneck="variational", downsample="maxpool", upsample="max_unpool", latent_dim=3)
    status, out, _ = run("latent", tmp_path, "--json")
    assert status == 0
    assert "kl_per_unit" in parse(out)
    assert "importance_weighted_bound" not in parse(out)


def test_latent_says_how_far_a_linear_code_is_from_pca(run: Callable[..., Outcome], tmp_path: Path) -> None:
    untrained(tmp_path, "digits8", body="linear", latent_dim=4)
    _, out, _ = run("latent", tmp_path, "--json")
    assert 45 < parse(out)["largest_principal_angle"] <= 90, "untrained: a random subspace of 64 values"


def test_latent_holds_a_code_of_shapes_against_what_made_them(run: Callable[..., Outcome], tmp_path: Path) -> None:
    untrained(tmp_path, "shapes_grey", body="mlp", hidden_units=8, latent_dim=4)
    _, out, _ = run("latent", tmp_path, "--images", 300, "--json")
    table = parse(out)["factor_correlations"]
    assert list(table["values"]) == ["shape", "x", "y", "scale", "rotation", "shade"]
    assert {len(row) for row in table["values"].values()} == {4}
    assert (table["kinds"]["shape"], table["kinds"]["rotation"], table["kinds"]["x"]) == (
        "class",
        "circular",
        "monotone",
    )
    _, out, _ = run("latent", tmp_path, "--images", 300)
    rows = [line.split() for line in out.splitlines()]
    assert ["rotation", "(circular)"] in [row[:2] for row in rows]
    assert all(len(row) == 6 for row in rows if row[1].startswith("("))


def test_latent_goes_by_another_set_if_asked_and_by_none_of_another_shape(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    untrained(tmp_path, "shapes", body="mlp", hidden_units=8, latent_dim=4)
    status, out, _ = run("latent", tmp_path, "--dataset", "shapes_gradient", "--images", 50, "--json")
    assert status == 0
    assert "slope_x" in parse(out)["factor_correlations"]["values"]
    assert_one_clear_line(run("latent", tmp_path, "--dataset", "digits"), ["(3, 32, 32)", "(1, 28, 28)"])
    assert_one_clear_line(run("latent", tmp_path, "--images", 3), ["5 neighbours of 3", "1 to 3"])


# -- lists and help ----------------------------------------------------------------------------------------------


def test_datasets_lists_every_dataset(run: Callable[..., Outcome]) -> None:
    _, out, _ = run("datasets", "--json")
    rows = {row["name"]: row for row in parse(out)}
    assert list(rows) == list(DATASETS)
    assert rows["digits8"]["image_shape"] == [1, 8, 8]
    assert rows["digits8"]["available"] is True
    _, out, _ = run("datasets")
    assert [line.split()[0] for line in out.splitlines()] == list(DATASETS)


def test_models_lists_every_part(run: Callable[..., Outcome]) -> None:
    _, out, _ = run("models", "--json")
    listed = parse(out)
    registries: dict[str, Mapping[str, Any]] = {
        "body": BODIES,
        "downsample": DOWNSAMPLERS,
        "upsample": UPSAMPLERS,
        "bottleneck": BOTTLENECKS,
        "corruption": CORRUPTIONS,
    }
    for option, registry in registries.items():
        assert listed[option] == {name: part.help for name, part in registry.items()}
    assert listed["shipped"] == pretrained.shipped_names()
    _, out, _ = run("models")
    assert all(f"  {name}" in out for registry in registries.values() for name in registry)


@pytest.mark.parametrize("command", [[], *([name] for name in cli.commands)], ids=" ".join)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_there_for_every_command(run: Callable[..., Outcome], command: list[str], flag: str) -> None:
    status, out, err = run(*command, flag)
    assert (status, err) == (0, "")
    assert out.startswith("Usage: aecore")


def test_help_names_ranges_of_choices_and_defaults(run: Callable[..., Outcome]) -> None:
    _, out, _ = run("train", "--help")
    for words in ("--upsample [nearest|", "[default: conv]", "--latent-dim INTEGER", "Only for body conv"):
        assert words in " ".join(out.split()), words


def test_weights_makes_what_is_asked_for(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny = pretrained.Recipe(
        dataset="digits8",
        model=ModelConfig(body="linear", latent_dim=2),
        training=TrainConfig(budget=2, budget_unit="steps"),
    )
    monkeypatch.setitem(pretrained.RECIPES, "digits-linear", tiny)
    status, out, _ = run("weights", "--only", "digits-linear", "--into", tmp_path)
    assert status == 0
    assert out.startswith("digits-linear: test MSE 0.")
    assert pretrained.shipped_names(tmp_path) == ["digits-linear"]


# -- what cannot be ----------------------------------------------------------------------------------------------


BAD: dict[str, tuple[list[str], list[str]]] = {
    "no command": (["nonsense"], ["No such command 'nonsense'"]),
    "unknown option": ([*TRAIN, "--colour", "red"], ["No such option", "--colour"]),
    "misspelt option": ([*TRAIN, "--latent-dims", "2"], ["--latent-dims", "--latent-dim"]),
    "bad choice": ([*TRAIN, "--upsample", "magic"], ["--upsample", "'magic'", "nearest"]),
    "unknown dataset": (["train", "--dataset", "cats"], ["--dataset", "'cats'", "digits"]),
    "no number": ([*TRAIN, "--seed", "one"], ["--seed", "'one'"]),
    "a fraction for a whole number": ([*TRAIN, "--seed", "0.5"], ["--seed", "'0.5'"]),
    "out of range": ([*TRAIN, "--latent-dim", "300"], ["latent_dim is 300", "from 1 to 256"]),
    "not finite": ([*TRAIN, "--learning-rate", "nan"], ["learning_rate is nan"]),
    "far out of range": ([*TRAIN, "--seed", "9" * 400], ["seed is 999", "from 0 to 2,147,483,647"]),
    "no budget": ([*TRAIN[:-2], "--epochs", "0"], ["--epochs", "0", "1"]),
    "too large a budget": ([*TRAIN[:-2], "--seconds", "1000000"], ["budget is 1000000", "from 1 to 100,000"]),
    "two budgets": ([*TRAIN, "--epochs", "2"], ["Give one budget, not --epochs and --steps"]),
    "three budgets": ([*TRAIN, "--epochs", "2", "--seconds", "3"], ["--epochs and --steps and --seconds"]),
    "an option without its value": (["train", "--steps"], ["--steps", "requires an argument"]),
    "a stray word": ([*TRAIN, "quickly"], ["unexpected extra argument", "quickly"]),
    "cross-entropy of an unbounded output": (
        ["train", "--body", "linear", "--loss", "bce"],
        ["Loss 'bce'", "linear", "Use loss 'mse'"],
    ),
    "no such folder": (["evaluate", "nowhere"], ["nowhere holds no card.json", "aecore train --out"]),
    "no folder at all": (["evaluate"], ["Missing argument 'FOLDER'"]),
    "latent of nothing": (["latent", "nowhere"], ["nowhere holds no card.json"]),
    "latent without a folder": (["latent"], ["Missing argument 'FOLDER'"]),
    "latent with no neighbours": (["latent", "nowhere", "--neighbours", "0"], ["--neighbours", "0", "1"]),
    "unknown weights": (["weights", "--only", "nonsense"], ["--only", "'nonsense'", "mnist-conv"]),
    "images of another shape": (
        ["evaluate", str(pretrained.WEIGHTS / "digits-linear"), "--dataset", "shapes"],
        ["(1, 28, 28)", "Shapes, colour on grey", "(3, 32, 32)"],
    ),
}


def assert_one_clear_line(outcome: Outcome, words: list[str], status: int = 2) -> None:
    assert outcome[0] == status
    assert outcome[1] == "", "standard output is for results"
    assert outcome[2].startswith("aecore: ")
    assert outcome[2].count("\n") == 1
    assert [word for word in words if word not in outcome[2]] == [], outcome[2]
    assert "Traceback" not in outcome[2]


def not_yet(*_: object, **__: object) -> None:
    raise AssertionError("the arguments are to be refused before this")


@pytest.mark.parametrize(("arguments", "words"), BAD.values(), ids=BAD)
def test_bad_arguments_end_with_one_clear_line(
    run: Callable[..., Outcome], arguments: list[str], words: list[str]
) -> None:
    assert_one_clear_line(run(*arguments), words)


@pytest.mark.parametrize("arguments", [[*TRAIN, "--json", "--latent-dim", "0"], ["evaluate", "nowhere", "--json"]])
def test_with_json_too(run: Callable[..., Outcome], arguments: list[str]) -> None:
    assert_one_clear_line(run(*arguments), [])


def test_nothing_is_loaded_for_settings_that_do_not_go_together(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "load_dataset", not_yet)
    assert_one_clear_line(run("train", "--dataset", "mnist", "--body", "linear", "--loss", "bce"), ["'bce'"])


def test_a_folder_that_cannot_be_written_is_refused_before_training(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command_line, "fit", not_yet)
    (tmp_path / "file").write_text("x", encoding="utf-8")
    assert_one_clear_line(run(*TRAIN, "--out", tmp_path / "file"), ["--out", "is a file"])
    assert_one_clear_line(run(*TRAIN, "--out", tmp_path / "file" / "below"), ["Cannot write to", "another folder"])


def test_a_damaged_checkpoint_is_refused(run: Callable[..., Outcome], tmp_path: Path) -> None:
    run(*TRAIN, "--out", tmp_path)
    (tmp_path / CARD_FILE).write_text("{", encoding="utf-8")
    assert_one_clear_line(run("evaluate", tmp_path), [str(tmp_path), "damaged"])


def test_trouble_that_is_not_in_the_arguments_has_another_status(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = run("train", "--dataset", "digits8", "--body", "linear", "--optimiser", "sgd", "--learning-rate", "10")
    assert_one_clear_line(outcome, ["The loss", "too high here: try 1"], status=1)

    def unreachable(*_: object, **__: object) -> None:
        raise DataError("MNIST cannot be fetched.")

    monkeypatch.setattr(command_line, "load_dataset", unreachable)
    assert_one_clear_line(run("train", "--dataset", "mnist"), ["MNIST cannot be fetched"], status=1)


# -- Ctrl-C ------------------------------------------------------------------------------------------------------


def press_ctrl_c_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    watch = command_line.training_bar._watch

    def interrupt(bar: Any, event: TrainEvent) -> None:
        watch(bar, event)
        if event.step == steps and (steps == 0 or isinstance(event, StepDone)):
            raise KeyboardInterrupt

    monkeypatch.setattr(command_line.training_bar, "_watch", interrupt)


def test_ctrl_c_keeps_what_was_learned(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    press_ctrl_c_after(3, monkeypatch)
    status, out, _ = run(*TRAIN, "--json", "--out", tmp_path)
    assert status == 0
    checkpoint = Checkpoint.load(tmp_path)
    assert parse(out)["test_mse"] == checkpoint.metrics["test_mse"]
    assert evaluate(checkpoint.build(), load_dataset("digits8").test).mse == checkpoint.metrics["test_mse"]


def test_ctrl_c_before_anything_was_learned_says_so(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    press_ctrl_c_after(0, monkeypatch)
    status, out, err = run(*TRAIN, "--json", "--out", tmp_path / "model")
    assert (status, out) == (130, "")
    assert err.splitlines()[-1] == "aecore: interrupted"
    assert not (tmp_path / "model" / CARD_FILE).exists()


# -- as a program of its own -------------------------------------------------------------------------------------


def test_it_runs_as_a_module(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "aecore", *TRAIN, "--json", "--out", str(tmp_path / "model")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    assert set(parse(result.stdout)) >= KEYS
    assert result.stderr == "", "no progress bar where nobody watches"
    assert Checkpoint.load(tmp_path / "model").versions["torch"] == torch.__version__


# -- compare -------------------------------------------------------------------------------------------------------

COMPARE = ["compare", "--dataset", "digits8", "--channels", "4", "--steps", "5"]
PROMISED = {
    "image_score", "layer_score", "gradient_score", "test_mse", "test_psnr", "parameters", "flops_per_image",
}  # fmt: skip


def test_compare_prints_mean_and_spread_of_every_rival(run: Callable[..., Outcome]) -> None:
    status, output, _ = run(*COMPARE, "--upsample", "transpose3", "nearest", "--seeds", "2", "--json")
    assert status == 0
    result = parse(output)
    assert list(result["rivals"]) == ["transpose3", "nearest"]
    for numbers in result["rivals"].values():
        assert set(numbers) >= PROMISED
        assert all(set(spread) == {"mean", "std"} for spread in numbers.values())
        assert numbers["test_mse"]["std"] > 0, "two seeds"
    assert result["rivals"]["nearest"]["layer_score"] == {"mean": 0.0, "std": 0.0}
    assert result["rivals"]["transpose3"]["layer_score"]["mean"] > 0


def test_compare_prints_a_table_for_people_and_keeps_the_models(run: Callable[..., Outcome], tmp_path: Path) -> None:
    rivals = ("nearest", "max_unpool")
    status, output, _ = run(*COMPARE, "--downsample", "maxpool", "--upsample", *rivals, "--out", tmp_path)
    assert status == 0
    head, *rows = output.splitlines()
    assert head.split() == list(rivals)
    assert {"image_score", "test_psnr"} <= {row.split()[0] for row in rows}
    assert next(row for row in rows if row.startswith("layer_score")).split()[1:] == ["0", "-"]
    for name in rivals:
        assert Checkpoint.load(tmp_path / name).build().config.upsample == name


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--upsample", "nearest"], "at least 2"),
        (["--upsample", "nearest", "nearest"], "named twice"),
        (["--upsample", "nearest", "max_unpool"], "needs downsample to be maxpool"),
        (["--upsample", "nearest", "sharp"], "sharp"),
        (["--upsample", "nearest", "transpose3", "--epochs", "1"], "one budget"),
    ],
)
def test_compare_refuses_what_cannot_be_compared(run: Callable[..., Outcome], arguments: list[str], words: str) -> None:
    status, output, error = run(*COMPARE, *arguments)
    assert (status, output) == (2, "")
    assert words in error
    assert error.count("\n") == 1


def test_compare_keeps_a_model_for_each_rival_and_seed(run: Callable[..., Outcome], tmp_path: Path) -> None:
    rivals = ("transpose3", "nearest")
    words = [*COMPARE, "--upsample", *rivals, "--seeds", "2", "--seed", "3", "--json", "--out", str(tmp_path)]
    status, output, error = run(*words)
    assert (status, error) == (0, "")
    kept = {name: [Checkpoint.load(tmp_path / f"{name}-seed{seed}") for seed in (3, 4)] for name in rivals}
    assert len(list(tmp_path.iterdir())) == 4
    for name, numbers in parse(output)["rivals"].items():
        first, second = (checkpoint.metrics["test_mse"] for checkpoint in kept[name])
        assert [checkpoint.train_config.seed for checkpoint in kept[name]] == [3, 4]
        assert kept[name][0].command.startswith("aecore compare ")
        assert numbers["test_mse"]["mean"] == pytest.approx((first + second) / 2)
        assert numbers["test_mse"]["std"] == pytest.approx(abs(first - second) / 2**0.5)


def test_compare_refuses_an_option_without_names(run: Callable[..., Outcome]) -> None:
    for arguments in (["--upsample"], ["--upsample", "--json"]):
        status, output, error = run(*COMPARE, *arguments)
        assert (status, output) == (2, ""), arguments
        assert "--upsample" in error or "Invalid value" in error


def test_compare_looks_at_its_folder_before_it_trains(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def train_nothing(*_: Any, **__: Any) -> Any:
        raise AssertionError("it trained first")

    monkeypatch.setattr(command_line, "compare", train_nothing)
    (tmp_path / "file").write_text("in the way")
    status, _, error = run(*COMPARE, "--upsample", "nearest", "transpose3", "--out", tmp_path / "file" / "models")
    assert status == 2
    assert "Cannot write to" in error


# -- denoise -----------------------------------------------------------------------------------------------------------

ROW = {"corruption", "strength", "denoiser", "psnr_mean_of_images", "psnr_of_mean_mse", "ssim", "images"}
NOISE = ["--corruption", "salt_and_pepper", "--strength", "0.2", "--no-clip"]


def test_a_denoiser_can_be_trained_and_tried(run: Callable[..., Outcome], tmp_path: Path) -> None:
    status, _, _ = run(*TRAIN, *NOISE, "--weakest", "0.5", "--out", tmp_path / "mine")
    assert status == 0
    noise = Checkpoint.load(tmp_path / "mine").train_config.noise
    assert noise == NoiseConfig(corruption="salt_and_pepper", strength=0.2, weakest=0.5, clip=False)
    status, out, _ = run(
        "denoise", "--dataset", "digits8", *NOISE, "--weights", tmp_path / "mine", "--images", "20", "--json"
    )
    assert status == 0
    rows = json.loads(out)
    assert {row["denoiser"] for row in rows} == {"mine", *DENOISERS}
    for row in rows:
        assert set(row) >= ROW
        assert (row["corruption"], row["strength"], row["images"]) == ("salt_and_pepper", 0.2, 20)
        assert row["psnr_of_mean_mse"] <= row["psnr_mean_of_images"]


def test_evaluate_tries_a_denoiser_on_noisy_images(run: Callable[..., Outcome], tmp_path: Path) -> None:
    _, out, _ = run(*TRAIN, *NOISE, "--out", tmp_path, "--json")
    trained = parse(out)
    status, out, _ = run("evaluate", tmp_path, "--json")
    assert status == 0
    assert parse(out)["test_mse"] == pytest.approx(trained["test_mse"], rel=1e-4)
    _, out, _ = run("denoise", "--dataset", "digits8", *NOISE, "--weights", tmp_path, "--no-filters", "--json")
    (row,) = (row for row in json.loads(out) if row["denoiser"] != "identity")
    assert row["psnr_of_mean_mse"] == pytest.approx(trained["test_psnr"], rel=1e-3), "the same noise"


def test_without_a_folder_the_shipped_denoisers_are_tried_at_three_strengths(run: Callable[..., Outcome]) -> None:
    status, out, _ = run("denoise", "--dataset", "digits", "--corruption", "masking", "--no-filters", "--images", "5")
    assert status == 0
    lines = [line.split() for line in out.splitlines()[1:]]
    assert [line[1] for line in lines[::3]] == [f"{level:g}" for level in CORRUPTIONS["masking"].levels]
    assert {line[2] for line in lines} == {"digits-denoiser", "digits-denoiser-twin", "identity"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--corruption", "snow"], "'snow'"),
        (["--corruption", "gaussian", "--strength", "2"], "strength 2, expected 0 to 1 of white"),
        (["--strength", "nan"], "strength nan"),
        (["--images", "1"], "--images"),
        (["--weights", str(pretrained.WEIGHTS / "digits-conv")], "built for images of shape (1, 28, 28)"),
        (["--weights", "nowhere"], "holds no card.json"),
    ],
)
def test_denoise_refuses_what_makes_no_sense(run: Callable[..., Outcome], arguments: list[str], words: str) -> None:
    status, out, err = run("denoise", "--dataset", "digits8", *arguments)
    assert (status, out) == (2, "")
    assert words in err


def test_denoise_does_not_mix_a_model_up_with_a_filter(run: Callable[..., Outcome], tmp_path: Path) -> None:
    run(*TRAIN, *NOISE, "--out", tmp_path / "median")
    status, out, err = run("denoise", "--dataset", "digits8", *NOISE, "--weights", tmp_path / "median")
    assert (status, out) == (2, "")
    assert "The model is called 'median', as a filter is" in err
