"""Vector quantisation: a code made of words from a learned list.

This module knows nothing of what the code is of, or of the loss it is part of.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

DECAY = 0.99  # of the running means, as in the source
UNUSED = 0.03  # a word fewer vectors than this choose, in the running mean, is moved to where vectors are


class Codewords(nn.Module):
    """The nearest codeword for each part of a code.

    A code of Z numbers is cut into parts of `size` numbers, the last of which may be shorter; each part has a list of
    its own. The words follow the vectors that choose them as running means rather than by gradients, and words that
    nobody chooses are moved to vectors of the batch at hand.

    Source: van den Oord, Vinyals & Kavukcuoglu, Neural discrete representation learning (2017), arXiv:1711.00937,
    appendix A.1; the moving of unused words: Dhariwal et al., Jukebox (2020), arXiv:2005.00341, section 3.

    Attributes:
        codebook: (P, K, size), the words of each part; numbers past the end of a shorter last part are 0.
        counts: (P, K), how many vectors of a batch choose each word, as a running mean.
        sums: (P, K, size), the running mean of the sum of those vectors.
    """

    codebook: Tensor
    counts: Tensor
    sums: Tensor

    def __init__(self, latent_dim: int, words: int, size: int) -> None:
        super().__init__()
        self.latent_dim, self.size = latent_dim, size
        parts = -(-latent_dim // size)
        self.register_buffer("codebook", torch.zeros(parts, words, size))
        self.register_buffer("counts", torch.ones(parts, words))
        self.register_buffer("sums", torch.zeros(parts, words, size))

    @torch.no_grad()
    def draw(self, generator: torch.Generator | None) -> None:
        """Scatter the words around zero, in the size that fresh codes have."""
        self.codebook.normal_(generator=generator)
        self.codebook.mul_(self._cut(self.codebook.new_ones(1, self.latent_dim))[0, :, None])
        self.sums.copy_(self.codebook)
        self.counts.fill_(1)

    def choose(self, code: Float[Tensor, "n z"]) -> Int64[Tensor, "n parts"]:
        """Which word is nearest, for each part of each code: (N, Z) -> (N, P)."""
        vectors = self._cut(code).transpose(0, 1)  # (P, N, size)
        distances = torch.cdist(vectors, self.codebook, compute_mode="donot_use_mm_for_euclid_dist")  # products round
        return distances.argmin(2).T

    def spell(self, chosen: Int64[Tensor, "n parts"]) -> Float[Tensor, "n z"]:
        """The code that consists of these words: (N, P) -> (N, Z)."""
        words = self.codebook[torch.arange(len(self.codebook), device=chosen.device), chosen]  # (N, P, size)
        return words.flatten(1)[:, : self.latent_dim]

    def forward(self, code: Float[Tensor, "n z"]) -> Float[Tensor, "n z"]:
        """Each part replaced by its nearest word: (N, Z) -> (N, Z); no gradient passes here."""
        return self.spell(self.choose(code))

    @torch.no_grad()
    def follow(
        self, code: Float[Tensor, "n z"], chosen: Int64[Tensor, "n parts"], generator: torch.Generator | None
    ) -> None:
        """Move every word towards the mean of the vectors that chose it, and unused ones to vectors of this batch.

        N <- g N + (1 - g) n and m <- g m + (1 - g) sum z with g = `DECAY`, and the word is m / N.

        Args:
            code: What was to be quantised, (N, Z).
            chosen: Which words it got, (N, P).
            generator: Draws the vectors that unused words move to; torch's global one if None.
        """
        vectors = self._cut(code.detach()).transpose(0, 1)  # (P, N, size)
        places = chosen.T  # (P, N)
        counts = torch.zeros_like(self.counts).scatter_add(1, places, torch.ones_like(vectors[..., 0]))
        sums = torch.zeros_like(self.sums).scatter_add(1, places[..., None].expand_as(vectors), vectors)
        self.counts.lerp_(counts, 1 - DECAY)
        self.sums.lerp_(sums, 1 - DECAY)
        unused = self.counts < UNUSED
        someone = torch.randint(len(code), unused.shape, generator=generator).to(code.device)
        moved = vectors.gather(1, someone[..., None].expand(*someone.shape, self.size))
        self.sums.copy_(torch.where(unused[..., None], moved, self.sums))
        self.counts.masked_fill_(unused, 1)
        self.codebook.copy_(self.sums / self.counts[..., None])

    def _cut(self, code: Float[Tensor, "n z"]) -> Float[Tensor, "n parts size"]:
        parts = len(self.codebook)
        return F.pad(code, (0, parts * self.size - self.latent_dim)).reshape(len(code), parts, self.size)

    def extra_repr(self) -> str:
        """The sizes, for `print(model)`."""
        parts, words, size = self.codebook.shape
        return f"{parts} x {words} words of {size}"
