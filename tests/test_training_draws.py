"""What is drawn at random while training: a function of the seed and of where the training is, and nothing else."""

from __future__ import annotations

import itertools

import pytest
import torch

from aecore.training.draws import BatchOrder, codes_of_step, epoch_order, noise_of_step

SIZES = pytest.mark.parametrize(("images", "size"), [(50, 16), (48, 16), (5, 1), (3, 8), (1, 1)])


@SIZES
def test_batches_are_slices_of_the_order_of_their_epoch(images: int, size: int) -> None:
    order = BatchOrder(3, images, size)
    expected = [batch for epoch in range(3) for batch in epoch_order(3, epoch, images).split(size)]
    for step, batch in enumerate(expected):
        assert torch.equal(order.batch(step), batch), step


@SIZES
def test_a_batch_does_not_depend_on_those_asked_for_before(images: int, size: int) -> None:
    steps = range(3 * -(-images // size))
    in_turn = [BatchOrder(3, images, size).batch(step) for step in steps]
    order, chance = BatchOrder(3, images, size), torch.Generator().manual_seed(0)
    for step in [*reversed(steps), *torch.randint(len(steps), (20,), generator=chance).tolist()]:
        assert torch.equal(order.batch(step), in_turn[step]), step


@SIZES
def test_every_image_is_in_one_batch_of_each_epoch(images: int, size: int) -> None:
    order, per_epoch = BatchOrder(0, images, size), -(-images // size)
    for epoch in range(3):
        batches = [order.batch(epoch * per_epoch + number).tolist() for number in range(per_epoch)]
        assert sorted(itertools.chain(*batches)) == list(range(images))
        assert [len(batch) for batch in batches[:-1]] == [size] * (per_epoch - 1)


def test_orders_of_neighbouring_seeds_and_epochs_are_unrelated() -> None:
    orders = {tuple(epoch_order(seed, epoch, 20).tolist()) for seed in range(20) for epoch in range(20)}
    assert len(orders) == 400


def test_drawing_leaves_torchs_global_generator_alone() -> None:
    before = torch.get_rng_state()
    BatchOrder(0, 20, 3).batch(9)
    torch.rand(4, generator=noise_of_step(0, 1))
    torch.rand(4, generator=codes_of_step(0, 1))
    assert torch.equal(torch.get_rng_state(), before)


def test_the_noise_of_a_step_is_its_own() -> None:
    draws = {
        tuple(torch.rand(4, generator=noise_of_step(seed, step)).tolist()) for seed in range(20) for step in range(20)
    }
    assert len(draws) == 400
    again = [torch.rand(4, generator=noise_of_step(5, 7)) for _ in range(2)]
    assert torch.equal(*again)


def test_noise_and_order_are_unrelated() -> None:
    orders = {tuple(epoch_order(seed, epoch, 20).tolist()) for seed in range(20) for epoch in range(20)}
    from_noise = {
        tuple(torch.randperm(20, generator=noise_of_step(seed, step)).tolist())
        for seed in range(20)
        for step in range(20)
    }
    assert not orders & from_noise


def test_codes_and_noise_and_order_are_unrelated() -> None:
    streams = {
        kind: {
            tuple(torch.randperm(20, generator=source(seed, step)).tolist()) for seed in range(20) for step in range(20)
        }
        for kind, source in {"codes": codes_of_step, "noise": noise_of_step}.items()
    }
    orders = {tuple(epoch_order(seed, epoch, 20).tolist()) for seed in range(20) for epoch in range(20)}
    assert len(streams["codes"]) == 400
    assert not streams["codes"] & streams["noise"]
    assert not streams["codes"] & orders
