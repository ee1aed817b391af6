"""What is written down and played back gives the same bits as computing it anew would, or is not written down."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aecore.training.recording import Recording, record

pytestmark = pytest.mark.usefixtures("one_thread")


def numbers(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def recording_of(compute: Callable[[], Sequence[Tensor]], inputs: list[Tensor], kept: list[Tensor]) -> Recording:
    recorded = record(compute, inputs, kept)
    assert recorded.recording is not None, recorded.why_not
    return recorded.recording


def assert_same_bits(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> None:
    assert len(ours) == len(theirs)
    for mine, expected in zip(ours, theirs, strict=True):
        assert mine.stride() == expected.stride()
        assert torch.equal(mine, expected)


# -- it is the same computation ----------------------------------------------------------------------------------


def test_other_inputs_and_weights_that_have_moved_give_what_computing_would() -> None:
    layer, x = nn.Linear(5, 3), numbers(4, 5)
    weights = list(layer.parameters())

    def compute() -> list[Tensor]:
        amount = F.silu(layer(x)).square().sum()
        return [amount.detach(), *torch.autograd.grad(amount, weights)]

    played = recording_of(compute, [x], list(weights))
    for seed in range(1, 4):
        with torch.no_grad():
            layer.weight.add_(0.1)
        given = numbers(4, 5, seed=seed)
        ours = played.play(given)
        x = given
        assert_same_bits(ours, compute())


def test_a_first_convolution_needs_no_gradient_of_its_input() -> None:
    layer, x = nn.Conv2d(2, 3, 3), numbers(4, 2, 6, 6)

    def compute() -> list[Tensor]:
        return list(torch.autograd.grad(layer(x).square().sum(), list(layer.parameters())))

    first = compute()
    assert_same_bits(recording_of(compute, [x], list(layer.parameters())).play(x), first)


def test_second_derivatives_are_part_of_it() -> None:
    layer, x = nn.Linear(5, 3), numbers(4, 5).requires_grad_()

    def compute() -> list[Tensor]:
        (slope,) = torch.autograd.grad(layer(x).tanh().sum(), x, create_graph=True)
        return list(torch.autograd.grad(slope.square().sum(), [layer.weight]))

    expected = compute()
    assert_same_bits(recording_of(compute, [x], list(layer.parameters())).play(x), expected)


def test_what_it_writes_to_is_written_to_each_time_and_once_while_it_is_recorded() -> None:
    total, x = torch.zeros(3), torch.ones(3)
    played = recording_of(lambda: [total.add_(x)], [x], [total])
    assert total.tolist() == [1, 1, 1]
    played.play(torch.full((3,), 10.0))
    assert total.tolist() == [11, 11, 11]


def test_a_computation_may_give_nothing_and_only_write() -> None:
    total, x = torch.zeros(3), torch.ones(3)

    def compute() -> list[Tensor]:
        total.add_(x)
        return []

    assert recording_of(compute, [x], [total]).play(torch.full((3,), 10.0)) == []
    assert total.tolist() == [11, 11, 11]


def test_it_draws_from_its_generator_as_that_stands() -> None:
    draws, x = torch.Generator().manual_seed(1), torch.zeros(4)
    recorded = record(lambda: [x + torch.randn(4, generator=draws)], [x], [draws])
    assert recorded.recording is not None, recorded.why_not
    assert torch.equal(recorded.results[0], numbers(4, seed=1))
    draws.manual_seed(7)
    (ours,) = recorded.recording.play(torch.ones(4))
    assert torch.equal(ours, 1 + numbers(4, seed=7))


@pytest.mark.parametrize(
    "compute",
    [
        lambda x: torch.full_like(x, math.inf).minimum(x),
        lambda x: x.where(x > 0, -math.inf),
        lambda x: x.chunk(2, dim=1)[1],
        lambda x: x.max(dim=1).values,
        lambda x: x.to(torch.bfloat16).float(),
        lambda x: x[:, None].contiguous(memory_format=torch.channels_last),
        lambda x: x[torch.arange(2), torch.arange(2)],
        lambda x: F.pad(x, (1, 2), value=math.nan).nan_to_num(),
        lambda x: torch.zeros(2, 4, dtype=torch.int64, device="cpu") + x,
    ],
)
def test_every_kind_of_argument_can_be_told(compute: Callable[[Tensor], Tensor]) -> None:
    x = numbers(2, 2, 4, 4)
    played = recording_of(lambda: [compute(x[..., 0, :])], [x], [])
    other = numbers(2, 2, 4, 4, seed=1)
    assert_same_bits(played.play(other), [compute(other[..., 0, :])])


# -- or it is none -----------------------------------------------------------------------------------------------

ELSEWHERE = numbers(4)


@pytest.mark.parametrize(
    ("compute", "why"),
    [
        (lambda x: x * float(x.sum()), "_local_scalar_dense.* gives a float"),
        (lambda x: x if (x > 0).any() else -x, "gives a bool"),
        (lambda x: x + ELSEWHERE, "a Tensor comes from elsewhere"),
        (lambda x: x + torch.tensor(2.0), "a Tensor comes from elsewhere"),
        (lambda x: x + torch.randn(4, generator=torch.Generator()), "a Generator comes from elsewhere"),
        (lambda x: x[x > 0].sum(), "shape that depends on numbers"),
        (lambda x: x.nonzero().sum(), "shape that depends on numbers"),
    ],
)
def test_what_may_be_different_the_next_time_is_computed_and_not_recorded(
    compute: Callable[[Tensor], Tensor], why: str
) -> None:
    x = torch.tensor([1.0, -2.0, 3.0, 4.0])
    torch.manual_seed(0)
    expected = compute(x)
    recorded = record(lambda: [compute(x)], [x], [])
    assert recorded.recording is None
    assert re.search(why, recorded.why_not), recorded.why_not
    assert len(recorded.results) == 1
    assert recorded.results[0].shape == expected.shape


def test_what_torchscript_has_no_words_for_is_computed_and_not_recorded() -> None:
    x = numbers(4)
    recorded = record(lambda: [x * (1 + 2j)], [x], [])
    assert recorded.recording is None
    assert "no words for (1+2j)" in recorded.why_not
    assert torch.equal(recorded.results[0], x * (1 + 2j))


def test_what_torchscript_would_lose_is_computed_and_not_recorded() -> None:
    """It takes a write to tensors in a list for useless, and would leave it out."""
    total, x = torch.zeros(3), torch.ones(3)

    def compute() -> list[Tensor]:
        torch._foreach_add_([total], [x])
        return []

    recorded = record(compute, [x], [total])
    assert recorded.recording is None
    assert "takes aten._foreach_add_.List for useless" in recorded.why_not
    assert total.tolist() == [1, 1, 1]


def test_an_error_of_the_computation_is_its_own() -> None:
    with pytest.raises(ZeroDivisionError):
        record(lambda: [torch.ones(1 // 0)], [], [])


def test_the_wrong_number_of_inputs_is_refused() -> None:
    x = numbers(4)
    played = recording_of(lambda: [x * 2], [x], [])
    with pytest.raises(RuntimeError):
        played.play(x, x)
