"""Words of a code: the nearest is chosen, and they follow what chooses them by the formulas of their source."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from aecore.models.codewords import DECAY, UNUSED, Codewords

pytestmark = pytest.mark.usefixtures("one_thread")

SHAPES = pytest.mark.parametrize(
    ("latent_dim", "words", "size"), [(1, 2, 1), (4, 5, 2), (5, 8, 2), (7, 3, 4), (2, 6, 8), (6, 40, 1), (5, 60, 3)]
)


def chance(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def drawn(latent_dim: int, words: int, size: int, seed: int = 0) -> Codewords:
    codewords = Codewords(latent_dim, words, size).double()
    codewords.draw(chance(seed))
    return codewords


def codes(count: int, latent_dim: int, seed: int = 1) -> Tensor:
    return torch.randn((count, latent_dim), generator=chance(seed), dtype=torch.float64)


def parts_of(codewords: Codewords) -> list[slice]:
    """Which numbers of a code belong to each part."""
    return [
        slice(start, min(start + codewords.size, codewords.latent_dim))
        for start in range(0, codewords.latent_dim, codewords.size)
    ]


@SHAPES
@pytest.mark.parametrize("count", [1, 30])
def test_the_nearest_word_is_chosen_for_each_part(latent_dim: int, words: int, size: int, count: int) -> None:
    codewords, code = drawn(latent_dim, words, size), codes(count, latent_dim)
    chosen = codewords.choose(code)
    assert chosen.shape == (count, len(parts_of(codewords))) == (count, len(codewords.codebook))
    for number, part in enumerate(parts_of(codewords)):
        fitting = codewords.codebook[number][:, : part.stop - part.start]
        distances = (code[:, None, part] - fitting).square().sum(2)
        assert torch.equal(chosen[:, number], distances.argmin(1))
        assert torch.equal(codewords.spell(chosen)[:, part], fitting[chosen[:, number]])
    assert torch.equal(codewords(code), codewords.spell(chosen))


@pytest.mark.parametrize("count", [1, 2000])
@pytest.mark.parametrize("offset", [0.0, 10.0, 100.0])
def test_the_nearest_word_is_found_wherever_the_code_lies(offset: float, count: int) -> None:
    # |a|^2 + |b|^2 - 2ab, which torch.cdist takes for more than 25 words, loses small distances of large numbers
    codewords = Codewords(2, 256, 2)
    codewords.draw(chance())
    codewords.codebook.add_(offset)
    code = codes(count, 2).float() + offset
    exact = (code[:, None].double() - codewords.codebook[0].double()).square().sum(2)
    found = exact.gather(1, codewords.choose(code))
    assert (found[:, 0] <= exact.min(1).values + 1e-6).all()


@SHAPES
def test_fresh_words_are_normal_and_of_a_shorter_last_part_zero_past_its_end(
    latent_dim: int, words: int, size: int
) -> None:
    codewords = drawn(latent_dim, words, size)
    laid_out = codewords.codebook.transpose(0, 1).flatten(1)  # (K, P * size)
    assert not laid_out[:, latent_dim:].any()
    assert laid_out[:, :latent_dim].all()
    assert torch.equal(codewords.sums, codewords.codebook)
    assert torch.equal(codewords.counts, torch.ones_like(codewords.counts))


def test_fresh_words_have_the_size_of_fresh_codes() -> None:
    words = drawn(64, 500, 2).codebook
    assert words.mean().item() == pytest.approx(0, abs=5 / 32_000**0.5)
    assert words.var().item() == pytest.approx(1, rel=5 * (2 / 32_000) ** 0.5)


def test_a_generator_fixes_the_words() -> None:
    first, again, other = (drawn(5, 8, 2, seed).codebook for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    moved = drawn(5, 8, 2)
    moved.follow(codes(9, 5), moved.choose(codes(9, 5)), chance())
    moved.draw(chance(3))
    assert torch.equal(moved.codebook, first), "whatever was before"
    assert torch.equal(moved.counts, torch.ones_like(moved.counts))


@SHAPES
def test_words_follow_by_the_running_means_of_the_source(latent_dim: int, words: int, size: int) -> None:
    """The formulas of van den Oord et al. (2017), appendix A.1, word by word and vector by vector."""
    codewords = drawn(latent_dim, words, size)
    kept = [[(1.0, word[: part.stop - part.start]) for word in list_]
            for part, list_ in zip(parts_of(codewords), codewords.codebook.clone(), strict=True)]  # fmt: skip
    for step in range(5):  # too few for a word to count as unused
        code = codes(20, latent_dim, seed=step)
        chosen = codewords.choose(code)
        for number, part in enumerate(parts_of(codewords)):
            for word, (count, total) in enumerate(kept[number]):
                mine = [
                    row[part] for row, choice in zip(code, chosen[:, number].tolist(), strict=True) if choice == word
                ]
                kept[number][word] = (
                    DECAY * count + (1 - DECAY) * len(mine),
                    DECAY * total + (1 - DECAY) * sum(mine, torch.zeros_like(total)),
                )
        codewords.follow(code, chosen, chance())
        for number, part in enumerate(parts_of(codewords)):
            width = part.stop - part.start
            counts = torch.tensor([count for count, _ in kept[number]]).double()
            torch.testing.assert_close(codewords.counts[number], counts)
            for word, (count, total) in enumerate(kept[number]):
                torch.testing.assert_close(codewords.sums[number, word, :width], total)
                torch.testing.assert_close(codewords.codebook[number, word, :width], total / count)
            assert not codewords.codebook[number, :, width:].any()
    assert DECAY == 0.99


def test_a_word_ends_in_the_mean_of_what_chooses_it() -> None:
    codewords = drawn(2, 2, 2)
    codewords.codebook.copy_(torch.tensor([[[-1.0, 0.0], [1.0, 0.0]]]))
    codewords.sums.copy_(codewords.codebook)
    code = torch.tensor([[-3.0, 1.0], [-2.0, 2.0], [4.0, -1.0], [6.0, -1.0]]).double()
    for _ in range(1500):
        codewords.follow(code, codewords.choose(code), chance())
    torch.testing.assert_close(
        codewords.codebook[0], torch.tensor([[-2.5, 1.5], [5.0, -1.0]]).double(), rtol=0, atol=1e-4
    )


def test_words_nobody_chooses_are_moved_to_vectors_of_the_batch_and_only_those() -> None:
    codewords, code = drawn(5, 6, 2), codes(10, 5, seed=4)
    codewords.counts.fill_(UNUSED / DECAY + 1e-6)  # not yet unused after one more batch
    idle = [(0, 1), (1, 4), (2, 0), (2, 5)]
    for part, word in idle:
        codewords.counts[part, word] = UNUSED / DECAY - 1e-6
        codewords.codebook[part, word] = 100.0  # nearest to nobody
    codewords.codebook[2, :, 1:] = 0  # the last part has one number
    before = codewords.sums.clone(), codewords.counts.clone()
    chosen = codewords.choose(code)
    codewords.follow(code, chosen, chance())
    padded = torch.cat([code, torch.zeros(10, 1, dtype=torch.float64)], dim=1).unflatten(1, (3, 2))
    for part in range(3):
        for word in range(6):
            mine = codewords.codebook[part, word]
            if (part, word) in idle:
                assert (padded[:, part] == mine).all(1).any(), "it is where a vector of the batch is"
                assert codewords.counts[part, word] == 1
                assert torch.equal(codewords.sums[part, word], mine)
            else:
                picked = (chosen[:, part] == word).double()
                count = DECAY * before[1][part, word] + (1 - DECAY) * picked.sum()
                total = DECAY * before[0][part, word] + (1 - DECAY) * picked @ padded[:, part]
                torch.testing.assert_close(mine, total / count)


def test_a_word_that_is_never_chosen_is_moved_in_the_end() -> None:
    codewords, code = drawn(2, 3, 2), codes(10, 2)
    codewords.codebook[0, 2] = 1000.0
    codewords.sums[0, 2] = 1000.0
    for step in range(1, 1000):
        codewords.follow(code, codewords.choose(code), chance(step))
        if codewords.codebook[0, 2].max() < 100:
            break
    assert DECAY**step < UNUSED <= DECAY ** (step - 1)
    assert (codewords.choose(code) == 2).any(), "and then it is chosen"


def test_where_unused_words_go_is_decided_by_the_generator_alone() -> None:
    def moved(seed: int, world: int) -> Tensor:
        codewords, code = drawn(4, 30, 2), codes(50, 4)
        codewords.counts.fill_(0)
        torch.manual_seed(world)
        before = torch.get_rng_state()
        codewords.follow(code, torch.zeros(50, 2, dtype=torch.int64), chance(seed))
        assert torch.equal(torch.get_rng_state(), before), "torch's global generator was touched"
        return codewords.codebook

    assert torch.equal(moved(1, 1), moved(1, 2))
    assert not torch.equal(moved(1, 1), moved(2, 1))


def test_following_makes_no_graph() -> None:
    codewords = drawn(4, 3, 2)
    code = codes(5, 4).requires_grad_()
    codewords.follow(code, codewords.choose(code), chance())
    assert not any(buffer.requires_grad for buffer in codewords.buffers())
    assert list(codewords.parameters()) == []


def test_it_tells_its_sizes() -> None:
    assert "3 x 8 words of 2" in repr(drawn(5, 8, 2))
