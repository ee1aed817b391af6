"""The command line: the same lab without a browser.

Standard output carries results, standard error everything else. Bad arguments end with one line and exit status 2.
"""

from __future__ import annotations

import dataclasses
import json
import shlex
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from tqdm import tqdm

import aecore
from aecore import pretrained
from aecore.analysis.bound import importance_weighted_bound, kl_per_unit, posteriors
from aecore.analysis.denoising import DENOISERS, Mean, Measured, denoising_curve, part_of, trained
from aecore.analysis.disentangling import factor_correlations
from aecore.analysis.latent import box_of
from aecore.analysis.neighbours import covered_share, knn_accuracy, nothing_share
from aecore.analysis.subspace import principal_angles
from aecore.checkpoint import Checkpoint, make_folder
from aecore.compare import compare, rival_configs, summary
from aecore.data import DATASETS, is_available, load_dataset
from aecore.data.image_dataset import ImageDataset
from aecore.dials import Config, Dial
from aecore.errors import AecoreError, CheckpointError, ConfigError
from aecore.fit import fit
from aecore.metrics import active_units
from aecore.models import BODIES, BOTTLENECKS, DOWNSAMPLERS, UPSAMPLERS, ModelConfig
from aecore.models.autoencoder import Autoencoder
from aecore.models.parts import Part
from aecore.noise import CORRUPTIONS, Corruption, NoiseConfig, check_strength
from aecore.training import (
    Evaluated,
    Finished,
    Started,
    StepDone,
    TrainConfig,
    TrainEvent,
    Turn,
    check_loss,
    encode,
    evaluate,
    loss_of,
)
from aecore.training.config import BUDGET_UNITS
from aecore.training.process import prepare_process

Command = TypeVar("Command", bound=Callable[..., Any])
BUDGET = click.IntRange(min=1)
FILTERS = {f"filters-{dataset}": dataset for dataset in pretrained.FILTERS_ON}


def dial_options(config: type[Config], leave_out: tuple[str, ...] = ()) -> Callable[[Command], Command]:
    """Click options for every dial of a configuration, checked by the configuration itself."""

    def option(name: str, dial: Dial) -> Callable[[Command], Command]:
        default = config.default(name)
        kind: Any = click.Choice(list(dial.choices)) if dial.choices else type(default)
        only = "".join(_only(other, values) for other, values in dial.when.items())
        long = name.replace("_", "-")
        return click.option(
            f"--{long}/--no-{long}" if kind is bool else f"--{long}",
            name,
            type=kind,
            default=default,
            show_default=True,
            help=dial.help + only,
        )

    def decorate(command: Command) -> Command:
        for name, dial in reversed(config.dials().items()):
            if name not in leave_out:
                command = option(name, dial)(command)
        return command

    return decorate


def _only(other: str, values: tuple[str, ...]) -> str:
    few = len(values) <= 3
    return f" Only for {other} {' or '.join(values)}." if few else f" Only with --{other}."


def pick(config: type[Config], options: dict[str, Any]) -> dict[str, Any]:
    """The options that are dials of `config`."""
    return {name: value for name, value in options.items() if name in config.dials()}


def one_budget(*budgets: int | None) -> dict[str, Any]:
    """The dials that say how long to train, from what was given in the order of `BUDGET_UNITS`; empty if nothing was.

    Raises:
        click.UsageError: If more than one was given.
    """
    given = {unit: budget for unit, budget in zip(BUDGET_UNITS, budgets, strict=False) if budget is not None}
    if len(given) > 1:
        raise click.UsageError(f"Give one budget, not {' and '.join('--' + unit for unit in given)}.")
    return next(({"budget": budget, "budget_unit": unit} for unit, budget in given.items()), {})


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(aecore.__version__, prog_name="aecore")
def cli() -> None:
    """See, train and compare autoencoders."""


dataset_option = click.option(
    "--dataset",
    type=click.Choice(list(DATASETS)),
    default="digits",
    show_default=True,
    help="What to learn from.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One line of JSON on standard output, nothing else.")


@cli.command("train")
@dataset_option
@dial_options(ModelConfig)
@click.option("--epochs", type=BUDGET, help="Train for so many passes over the training set (5 if nothing is said).")
@click.option("--steps", type=BUDGET, help="Train for so many batches instead.")
@click.option("--seconds", type=BUDGET, help="Train for so long instead.")
@dial_options(TrainConfig, leave_out=("budget", "budget_unit"))
@dial_options(NoiseConfig)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the trained model.")
@json_option
@click.pass_obj
def train_command(
    arguments: list[str],
    /,
    dataset: str,
    epochs: int | None,
    steps: int | None,
    seconds: int | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train an autoencoder, measure it, and keep it."""
    noise = NoiseConfig(**pick(NoiseConfig, options))
    training = TrainConfig(**pick(TrainConfig, options), **one_budget(epochs, steps, seconds), noise=noise)
    model = ModelConfig(**pick(ModelConfig, options)).for_images(DATASETS[dataset].image_shape)
    check_loss(model, training)
    if out is not None:
        make_folder(out)
    data = load_with_bar(dataset)
    with training_bar() as watch:
        checkpoint = fit(
            model,
            training,
            data,
            on_event=watch,
            on_choice=lambda choice: click.echo(f"computing in {choice.why()}", err=True) if choice.trials else None,
            command=shlex.join(["aecore", *arguments]),
        )
    if out is not None:
        checkpoint.save(out)
    tell(checkpoint.metrics, as_json)
    if out is not None and not as_json:
        click.echo(f"kept in {out}")


class SeveralNames(click.Command):
    """A command whose `--upsample` takes all names that follow it: `--upsample transpose3 nearest`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Repeat the option before each of its names, as click wants it."""
        repeated, listing = [], False
        for word, after in zip(args, [*args[1:], "--"], strict=True):
            if word == "--upsample" and not after.startswith("-"):
                listing = True
                continue
            listing = listing and not word.startswith("-")
            repeated += ["--upsample", word] if listing else [word]
        return super().parse_args(ctx, repeated)


@cli.command("compare", cls=SeveralNames)
@dataset_option
@click.option(
    "--upsample",
    "upsamplers",
    type=click.Choice(list(UPSAMPLERS)),
    multiple=True,
    default=("transpose3", "nearest"),
    show_default=True,
    help="Rivals, one after the other.",
)
@click.option("--seeds", type=BUDGET, default=1, show_default=True, help="Train so many times, with seeds from --seed.")
@dial_options(ModelConfig, leave_out=("body", "upsample"))
@click.option("--epochs", type=BUDGET, help="Train for so many passes over the training set (4 if nothing is said).")
@click.option("--steps", type=BUDGET, help="Train for so many batches instead.")
@dial_options(TrainConfig, leave_out=("budget", "budget_unit"))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the models, one in each.")
@json_option
@click.pass_obj
def compare_command(
    arguments: list[str],
    /,
    dataset: str,
    upsamplers: tuple[str, ...],
    seeds: int,
    epochs: int | None,
    steps: int | None,
    out: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Train decoders that differ in their upsampler only, in lockstep, and put numbers on their checkerboards."""
    budget = one_budget(epochs, steps) or {"budget": 4}
    training = TrainConfig(**pick(TrainConfig, options), **budget)
    base = ModelConfig(**pick(ModelConfig, options)).for_images(DATASETS[dataset].image_shape)
    rivals = rival_configs(base, upsamplers)
    if out is not None:
        make_folder(out)
    data = load_with_bar(dataset)
    measured = []
    for seed in range(training.seed, training.seed + seeds):
        with training_bar() as watch:
            checkpoints = compare(
                rivals,
                dataclasses.replace(training, seed=seed),
                data,
                on_turn=_of_the_first(next(iter(rivals)), watch),
                command=shlex.join(["aecore", *arguments]),
            )
        measured.append({name: checkpoint.metrics for name, checkpoint in checkpoints.items()})
        if out is not None:
            for name, checkpoint in checkpoints.items():
                checkpoint.save(out / (name if seeds == 1 else f"{name}-seed{seed}"))
    numbers = summary(measured)
    if as_json:
        click.echo(json.dumps({"dataset": dataset, "seeds": seeds, "training": training.to_dict(), "rivals": numbers}))
        return
    click.echo(f"{'':<20}" + "".join(f"{name:>21}" for name in rivals))
    for name in next(iter(numbers.values())):
        cells = (numbers[rival][name] for rival in rivals)
        click.echo(f"{name:<20}" + "".join(f"{_with_spread(cell):>21}" for cell in cells))


def _of_the_first(name: str, watch: Callable[[TrainEvent], None]) -> Callable[[Turn], None]:
    """In lockstep one of them tells how far all are."""
    return lambda turn: watch(turn.event) if turn.name == name else None


def _with_spread(cell: dict[str, float | None]) -> str:
    if cell["mean"] is None or cell["std"] is None:
        return "-"
    return f"{cell['mean']:,.4g} ± {cell['std']:.2g}" if cell["std"] else f"{cell['mean']:,.4g}"


@cli.command("evaluate")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--dataset",
    type=click.Choice(list(DATASETS)),
    help="Data to test on; what it was trained on if not said.",
)
@json_option
def evaluate_command(folder: Path, dataset: str | None, as_json: bool) -> None:
    """Measure a trained model on the whole test set, from its files alone."""
    checkpoint = Checkpoint.load(folder)
    data = load_with_bar(dataset or checkpoint.dataset)
    check_images(checkpoint.model_config, data)
    training = checkpoint.train_config
    result = evaluate(checkpoint.build(), data.test, loss_of(checkpoint.model_config, training), training.noise)
    tell(
        {"test_mse": result.mse, "test_psnr": result.psnr, "test_loss": result.loss, "images": result.images},
        as_json,
    )


@cli.command("denoise")
@dataset_option
@click.option(
    "--corruption",
    "corruptions",
    multiple=True,
    type=click.Choice(list(CORRUPTIONS)),
    help="Which; all if none is named. May be repeated.",
)
@click.option(
    "--strength",
    "strengths",
    multiple=True,
    type=float,
    help="How strong, in the corruption's unit; a weak, a middle and a strong one if not said. May be repeated.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    help="Folder of a trained model, as `train --out` writes it; the shipped ones of the dataset if not said.",
)
@click.option("--images", type=click.IntRange(min=2), help="Only so many test images; all if not said.")
@click.option("--clip/--no-clip", default=True, show_default=True, help="Cut noisy values off at black and white.")
@click.option("--filters/--no-filters", default=True, show_default=True, help="Try the classical filters too.")
@json_option
def denoise_command(
    dataset: str,
    corruptions: tuple[str, ...],
    strengths: tuple[float, ...],
    weights: Path | None,
    images: int | None,
    clip: bool,
    filters: bool,
    as_json: bool,
) -> None:
    """Set trained denoisers against classical filters, on the same noisy test images."""
    wanted = {name: strengths or CORRUPTIONS[name].levels for name in corruptions or CORRUPTIONS}
    for corruption, levels in wanted.items():
        for strength in levels:
            check_strength(corruption, strength)
    data = load_with_bar(dataset)
    checkpoints = pretrained.denoisers(dataset) if weights is None else [Checkpoint.load(weights)]
    for checkpoint in checkpoints:
        check_images(checkpoint.model_config, data)
    names = [checkpoint.extra.get("name", (weights or Path()).resolve().name) for checkpoint in checkpoints]
    learned = {name: trained(card.build(), name) for name, card in zip(names, checkpoints, strict=True)}
    if taken := learned.keys() & DENOISERS.keys():
        raise ConfigError(f"The model is called {min(taken)!r}, as a filter is. Rename its folder.")
    tried = {**learned, **(DENOISERS if filters else {"identity": DENOISERS["identity"]})}
    rows: list[Measured] = []
    with measuring_bar() as progress:
        for number, (corruption, levels) in enumerate(wanted.items()):
            tell_part = part_of(progress, number, len(wanted))
            rows += denoising_curve(tried, data, corruption, levels, images=images, clip=clip, progress=tell_part)
    if as_json:
        click.echo(json.dumps([row.to_dict() for row in rows]))
        return
    heads = f"{'mean PSNR':>13} {'PSNR of mean':>14} {'SSIM':>15}"
    click.echo(f"{'corruption':<16} {'strength':>8}  {'denoiser':<24} {heads}")
    for row in rows:
        psnrs = f"{_and_half(row.psnr_mean_of_images, 2):>13} {_and_half(row.psnr_of_mean_mse, 2):>14}"
        numbers = f"{psnrs} {_and_half(row.ssim, 3):>15}"
        click.echo(f"{row.corruption:<16} {row.strength:8g}  {row.denoiser:<24} {numbers}")


def _and_half(mean: Mean, digits: int) -> str:
    """A mean and half of its confidence interval."""
    return f"{mean.value:.{digits}f} ± {(mean.high - mean.low) / 2:.{digits}f}"


@cli.command("latent")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--dataset", type=click.Choice(list(DATASETS)), help="Data to code; what it was trained on if not said.")
@click.option("--neighbours", type=BUDGET, default=5, show_default=True, help="How many nearest codes vote on a class.")
@click.option(
    "--samples", type=BUDGET, default=50, show_default=True, help="Codes drawn for each image, for the bound."
)
@click.option("--images", type=click.IntRange(min=3), help="Only so many images of either set; all if not said.")
@json_option
def latent_command(
    folder: Path, dataset: str | None, neighbours: int, samples: int, images: int | None, as_json: bool
) -> None:
    """Measure the code of a trained model: what it keeps, what it costs, what its units stand for."""
    checkpoint = Checkpoint.load(folder)
    data = load_with_bar(dataset or checkpoint.dataset)
    check_images(checkpoint.model_config, data)
    model, loss = checkpoint.build(), loss_of(checkpoint.model_config, checkpoint.train_config)
    train, test = data.train[:images], data.test[:images]
    train_codes, test_codes = encode(model, train), encode(model, test)
    results: dict[str, Any] = {
        "train_images": len(train),
        "test_images": len(test),
        "neighbours": neighbours,
        "knn_accuracy": knn_accuracy(
            train_codes, data.train_labels[:images], test_codes, data.test_labels[:images], neighbours
        ),
    }
    with measuring_bar() as progress:
        results |= _variational_numbers(model, test, loss, samples, progress)
    if model.config.body == "linear":
        results["largest_principal_angle"] = float(principal_angles(model, train)[-1])
    if model.config.latent_dim == 2:
        box = box_of(train_codes)
        results["nothing_share"] = nothing_share(model, box, train, test)
        results["covered_share"] = covered_share(train_codes, box)
    if data.test_factors:
        factors = {name: values[:images] for name, values in data.test_factors.items()}
        results["factor_correlations"] = factor_correlations(test_codes, factors).to_dict()
    if as_json:
        click.echo(json.dumps(results))
        return
    correlations = results.pop("factor_correlations", None)
    units = results.pop("kl_per_unit", None)
    tell(results, as_json)
    if units is not None:
        click.echo(_row("kl_per_unit", units))
    if correlations is not None:
        for name, row in correlations["values"].items():
            click.echo(_row(f"{name} ({correlations['kinds'][name]})", row))


def _variational_numbers(
    model: Autoencoder, images: Any, loss: str, samples: int, progress: Callable[[float], None]
) -> dict[str, Any]:
    """What there is to say of a code that is a distribution; nothing of another."""
    posterior = posteriors(model, images)
    if posterior is None:
        return {}
    numbers = {
        "kl_per_unit": kl_per_unit(posterior).tolist(),
        "active_units": int(active_units(posterior.mean).sum()),
    }
    if model.config.matters("upsample") and model.config.upsample == "max_unpool":
        return numbers  # its decoder is told more than the code, so there is no likelihood to bound
    bound = importance_weighted_bound(model, images, loss, samples, progress=progress)
    return {**numbers, "samples": samples, "importance_weighted_bound": bound}


def _row(name: str, numbers: list[float]) -> str:
    return f"{name:<18} " + " ".join(f"{number:.3g}" for number in numbers)


@cli.command("datasets")
@json_option
def datasets_command(as_json: bool) -> None:
    """List the datasets and whether they are on this machine."""
    if as_json:
        rows = [
            {
                "name": name,
                "title": spec.title,
                "image_shape": list(spec.image_shape),
                "train": spec.train_size,
                "test": spec.test_size,
                "available": is_available(name),
                "licence": spec.licence,
                "source": spec.source,
            }
            for name, spec in DATASETS.items()
        ]
        click.echo(json.dumps(rows))
        return
    for name, spec in DATASETS.items():
        here = "here" if is_available(name) else "to be downloaded"
        shape = "x".join(map(str, spec.image_shape))
        click.echo(f"{name:<16} {shape:<8} {spec.train_size:>6} + {spec.test_size:>5}  {here:<17} {spec.title}")


@cli.command("models")
@json_option
def models_command(as_json: bool) -> None:
    """List the parts a model can be built from, what it can be trained to undo, and the shipped models."""
    registries: dict[str, Mapping[str, Part[Any] | Corruption]] = {
        "body": BODIES,
        "downsample": DOWNSAMPLERS,
        "upsample": UPSAMPLERS,
        "bottleneck": BOTTLENECKS,
        "corruption": CORRUPTIONS,
    }
    help_texts = {option: {name: part.help for name, part in parts.items()} for option, parts in registries.items()}
    if as_json:
        click.echo(json.dumps({**help_texts, "shipped": pretrained.shipped_names()}))
        return
    for option, texts in help_texts.items():
        click.echo(f"--{option}")
        for name, text in texts.items():
            click.echo(f"  {name:<16} {text}")
    click.echo(f"shipped: {', '.join(pretrained.shipped_names()) or 'none'}")


@cli.command("weights")
@click.option("--only", multiple=True, type=click.Choice([*pretrained.RECIPES, *FILTERS]), help="Make only this one.")
@click.option(
    "--into",
    type=click.Path(path_type=Path, file_okay=False),
    default=pretrained.WEIGHTS,
    help="Folder of the weights.",
)
def weights_command(only: tuple[str, ...], into: Path) -> None:
    """Make the models the lab ships, and what it knows of classical filters, from the data."""
    for name in only or [*pretrained.RECIPES, *FILTERS]:
        click.echo(name, err=True)
        if name in FILTERS:
            load_with_bar(FILTERS[name])
            with measuring_bar() as progress:
                pretrained.make_filters(FILTERS[name], into, progress)
            continue
        load_with_bar(pretrained.RECIPES[name].dataset)
        with training_bar() as watch:
            checkpoint = pretrained.make(name, into, on_event=watch)
        click.echo(f"{name}: test MSE {checkpoint.metrics['test_mse']:.5f}")


def check_images(model: ModelConfig, data: ImageDataset) -> None:
    """Raise `ConfigError` if a model is made for images of another shape."""
    if data.image_shape != model.image_shape:
        raise ConfigError(
            f"The model is built for images of shape {model.image_shape}, but {data.title} has {data.image_shape}."
        )


def load_with_bar(name: str) -> Any:
    """Load a dataset; a download shows its progress on standard error."""
    with tqdm(total=1.0, bar_format="{desc} {percentage:3.0f}%|{bar}|", leave=False, disable=None) as bar:

        def show(message: str, fraction: float | None) -> None:
            bar.set_description_str(message, refresh=False)
            bar.n = fraction or 0.0
            bar.refresh()

        return load_dataset(name, progress=show)


@contextmanager
def measuring_bar() -> Iterator[Callable[[float], None]]:
    """A progress bar on standard error; gives the function to call with the share that is done."""
    with tqdm(total=1.0, bar_format="measuring {percentage:3.0f}%|{bar}| {elapsed}", leave=False, disable=None) as bar:

        def show(share: float) -> None:
            bar.n = share
            bar.refresh()

        yield show


class training_bar:  # noqa: N801 - reads as what it is: `with training_bar() as watch`
    """A progress bar on standard error that follows the events of one training."""

    def __enter__(self) -> Callable[[TrainEvent], None]:
        """The function to call with every event."""
        self._bar: Any = None
        self._test = ""
        return self._watch

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def _watch(self, event: TrainEvent) -> None:
        match event:
            case Started(total_steps=total):
                self._bar = tqdm(total=total, unit="step", dynamic_ncols=True, leave=False, disable=None)
            case StepDone(loss=loss):
                self._bar.update()
                self._bar.set_postfix_str(f"loss {loss:.4g}{self._test}", refresh=False)
            case Evaluated(mse=mse):
                self._test = f", test MSE {mse:.5f}"
            case Finished():
                pass


def tell(results: dict[str, Any], as_json: bool) -> None:
    """Print results: one line of JSON, or a line each for people."""
    if as_json:
        click.echo(json.dumps(results))
        return
    for name, value in results.items():
        click.echo(f"{name:<18} {value:,.5g}" if isinstance(value, float) else f"{name:<18} {value}")


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; give the exit status.

    0 if all went well, 2 for bad arguments, 130 if interrupted, 1 for anything else that a person can mend.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        cli.main(args=arguments, prog_name="aecore", standalone_mode=False, obj=arguments)
    except click.Abort:
        click.echo("aecore: interrupted", err=True)
        return 130
    except click.ClickException as error:
        click.echo(f"aecore: {' '.join(error.format_message().split())}", err=True)
        return error.exit_code
    except AecoreError as error:
        click.echo(f"aecore: {error}", err=True)
        return 2 if isinstance(error, ConfigError | CheckpointError) else 1
    return 0


def start() -> int:
    """What `main` does, in a process that may be set up for training as workers are."""
    prepare_process()
    return main()


if __name__ == "__main__":
    sys.exit(start())
