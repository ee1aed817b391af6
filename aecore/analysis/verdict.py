"""What the numbers of a comparison say, in plain words: computed from them and not written in advance.

This module knows nothing of models or pages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

EVEN = 1.5  # times as much pattern is no clear difference: seeds differ by about that
SEEN, FAINT = 0.5, 0.1  # of the energy of all real detail at the same frequency
EVENED = 0.5  # of its first layer score
CLOSE_DB = 0.1  # PSNRs nearer than this are equal for the eye


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What is known of one rival.

    Attributes:
        title: Its name for people.
        image_score: See `aecore.analysis.checkerboard`; None if it could not be measured.
        layer_score: Now; None where the network has no fixed phases.
        layer_score_at_start: Before training.
        psnr: Of the mean test MSE, dB.
        has_switches: Whether more than the code reaches its decoder.
    """

    title: str
    image_score: float | None
    layer_score: float | None
    layer_score_at_start: float | None
    psnr: float
    has_switches: bool = False


def verdict(rivals: Mapping[str, Measured]) -> list[str]:
    """One sentence or two on each thing the numbers tell; nothing where they tell nothing.

    Args:
        rivals: By name, at least two.
    """
    scored = {name: (rival, rival.image_score) for name, rival in rivals.items() if rival.image_score is not None}
    said = [_pattern(list(scored.values()))] if len(scored) > 1 else []
    least = min((score for _, score in scored.values()), default=0.0)
    for rival in rivals.values():
        said += _compensation(rival, least)
    said.append(_exactness(list(rivals.values())))
    said += [
        f"**{rival.title}** is told besides the code where the encoder found its maxima: its PSNR is not for the code "
        "alone."
        for rival in rivals.values()
        if rival.has_switches
    ]
    return said


def _pattern(scored: list[tuple[Measured, float]]) -> str:
    (best, least), *_, (worst, most) = sorted(scored, key=lambda pair: pair[1])
    if most <= EVEN * least or most == 0:
        return f"No clear difference in the checkerboard: image scores from {least:.2g} to {most:.2g}."
    how = "plain to see under the lens" if most > SEEN else "faint" if most > FAINT else "hardly visible"
    strongest = f"**{worst.title}** leaves the strongest pattern of its own, image score {most:.2g} ({how})"
    if least == 0:
        return f"{strongest}; **{best.title}** leaves none."
    return f"{strongest}: {most / least:.2g} times the energy that **{best.title}** leaves, {least:.2g}, the weakest."


def _compensation(rival: Measured, least: float) -> list[str]:
    begun, now = rival.layer_score_at_start, rival.layer_score
    if begun is None or now is None:
        return []
    if begun == 0:
        if now == 0:
            return []
        return [f"**{rival.title}** began even, and training has pulled its phases apart: layer score 0 → {now:.2g}."]
    if now > begun / EVENED:
        return [f"Training has made the phases of **{rival.title}** less even: layer score {begun:.2g} → {now:.2g}."]
    if now > EVENED * begun:
        return []
    shows = rival.image_score is not None and rival.image_score > EVEN * max(least, 1e-9)
    rest = "Not wholly: the pattern is still above the weakest." if shows else "Its images show no more of it."
    return [
        f"**{rival.title}** has learned to compensate: its gains are more even than at the start, layer score "
        f"{begun:.2g} → {now:.2g}. {rest}"
    ]


def _exactness(rivals: list[Measured]) -> str:
    *_, second, best = sorted(rivals, key=lambda rival: rival.psnr)
    lead = best.psnr - second.psnr
    if lead < CLOSE_DB:
        return f"In exactness **{best.title}** and **{second.title}** are level: PSNR {best.psnr:.1f} dB."
    scored = [rival for rival in rivals if rival.image_score is not None]
    least = min(scored, key=lambda rival: rival.image_score or 0.0, default=best)
    cost = "" if least is best else f" The one with the weakest pattern, {least.title}, has {least.psnr:.1f} dB."
    return f"Most exact is **{best.title}**: PSNR {best.psnr:.1f} dB, {lead:.1f} dB above the next.{cost}"
