"""A training from start to end: build, train, measure, and give back a checkpoint.

For everybody who wants a trained model and no say in between. It knows nothing of progress bars or processes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from aecore.checkpoint import Checkpoint
from aecore.data.image_dataset import ImageDataset
from aecore.errors import DivergenceError
from aecore.losses import RECONSTRUCTION_LOSSES
from aecore.metrics import active_units, perplexity
from aecore.models.autoencoder import Autoencoder, build_model
from aecore.models.bottlenecks import VectorQuantizedBottleneck
from aecore.models.config import ModelConfig
from aecore.models.layers import describe, flops_per_image, parameter_count
from aecore.training.choosing import Choice, choose
from aecore.training.config import TrainConfig
from aecore.training.evaluation import Evaluation, chosen_words, encode, evaluate
from aecore.training.events import Finished, TrainEvent
from aecore.training.loop import TrainState, check_fit, train
from aecore.training.objective import loss_of


def measure(
    model: Autoencoder,
    dataset: ImageDataset,
    config: TrainConfig,
    state: TrainState,
    *,
    on_train: bool = False,
) -> dict[str, Any]:
    """The final numbers of a training, on all images of a set; of a denoiser, from noisy images to clean ones.

    Args:
        model: The trained model.
        dataset: What it was trained on.
        config: How it was trained.
        state: Where its training stands.
        on_train: Also measure on the training set, which takes several times as long.

    Returns:
        `test_mse` and `train_mse` per value, `test_psnr` in dB (PSNR of the mean MSE, peak 1), `test_loss` summed
        over the values of an image, `images_per_second` and `seconds` of training steps alone, `parameters`,
        `flops_per_image`, `precision`, `execution` and `seed`; and what `measure_code` adds. All but the speed is
        measured in float32, whatever the steps were computed in.
    """
    layers, loss = describe(model.config), loss_of(model.config, config)
    test = evaluate(model, dataset.test, loss, config.noise)
    train_mse = {"train_mse": evaluate(model, dataset.train, loss, config.noise).mse} if on_train else {}
    return {
        **train_mse,
        "test_mse": test.mse,
        "test_psnr": test.psnr,
        "test_loss": test.loss,
        **measure_code(model, dataset, loss, test),
        "images_per_second": state.images / state.seconds if state.seconds else 0.0,
        "seconds": state.seconds,
        "parameters": parameter_count(layers),
        "flops_per_image": flops_per_image(layers),
        "precision": state.execution.precision,
        "execution": str(state.execution),
        "seed": config.seed,
    }


def measure_code(model: Autoencoder, dataset: ImageDataset, loss: str, test: Evaluation) -> dict[str, Any]:
    """What there is to say of the code beyond the reconstruction, by the kind of bottleneck; nothing of a plain one.

    Args:
        model: The trained model.
        dataset: What it was trained on.
        loss: Its reconstruction loss.
        test: How it does on the test set.

    Returns:
        For a variational code, in nats for an image: `test_reconstruction_nats`, `test_kl_nats` and their sum
        `test_neg_elbo`, the negative evidence lower bound whatever beta was trained with; and `active_units`. For the
        others what they charge, before its weight, as `test_sparsity`, `test_contraction` or `test_commitment`; and
        for a code of words its `perplexity`.
    """
    if isinstance(model.bottleneck, VectorQuantizedBottleneck):
        chosen = chosen_words(model, dataset.test)
        return {
            "test_commitment": test.terms["commitment"],
            "perplexity": perplexity(chosen, model.config.codewords),
        }
    if "kl" not in test.terms:
        return {f"test_{name}": amount for name, amount in test.terms.items() if name != "reconstruction"}
    pixels = dataset.test[0].numel()
    reconstruction = test.terms["reconstruction"] + pixels * RECONSTRUCTION_LOSSES[loss].constant
    return {
        "test_neg_elbo": reconstruction + test.terms["kl"],
        "test_reconstruction_nats": reconstruction,
        "test_kl_nats": test.terms["kl"],
        "active_units": int(active_units(encode(model, dataset.test)).sum()),
    }


def fit(
    model_config: ModelConfig,
    train_config: TrainConfig,
    dataset: ImageDataset,
    *,
    on_event: Callable[[TrainEvent], None] = lambda _: None,
    on_choice: Callable[[Choice], None] = lambda _: None,
    command: str = "",
) -> Checkpoint:
    """Train the configured model on `dataset` and measure it on both sets.

    Args:
        model_config: Which network.
        train_config: How to train it.
        dataset: What to learn from.
        on_event: Told every event as it happens. If it raises KeyboardInterrupt, or the keyboard does, training is
            stopped there and what was learned is measured and given back.
        on_choice: Told how steps will be computed, before the first one.
        command: For the card.

    Raises:
        ConfigError: If the configurations and the data do not go together.
        DivergenceError: If the loss exploded or was no longer a number.
    """
    model = build_model(model_config, seed=train_config.seed)
    check_fit(model, dataset, train_config)
    choice = choose(model, dataset.train, train_config)
    on_choice(choice)
    state = TrainState(model, train_config, choice.execution)
    try:
        for event in train(model, dataset, train_config, state):
            on_event(event)
            if isinstance(event, Finished) and event.reason == "diverged":
                raise DivergenceError(event.message)
    except KeyboardInterrupt:
        if state.step == 0:
            raise
    return Checkpoint.of(
        model,
        train_config=train_config,
        dataset=dataset.name,
        dataset_checksum=dataset.checksum,
        metrics=measure(model, dataset, train_config, state, on_train=True),
        command=command,
    )
