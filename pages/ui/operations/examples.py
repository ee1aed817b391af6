"""What to try next: links worth following, each with what there is to see.

Every operation has at least one; the first two are the two convolutions of an encoder. This module knows nothing of
buttons.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """One setting of the page.

    Attributes:
        title: What it is, for a button.
        see: What there is to see in it.
        link: Parameters of the address; what is not said is as usual for the operation.
    """

    title: str
    see: str
    link: dict[str, str]


EXAMPLES: tuple[Example, ...] = (
    Example(
        "Same-size convolution",
        "A 3×3 kernel with stride 1 and padding 1 takes 4×4 to 4×4.",
        {"operation": "conv2d", "size": "4", "kernel": "3", "stride": "1", "padding": "1", "dilation": "1"},
    ),
    Example(
        "Strided convolution",
        "The same kernel with stride 2 takes 4×4 to 2×2: it skips every other place.",
        {"operation": "conv2d", "size": "4", "kernel": "3", "stride": "2", "padding": "1", "dilation": "1"},
    ),
    Example(
        "Find the edges of a digit",
        "The kernel weighs right against left: blue and red mark the two sides of a stroke.",
        {"operation": "conv2d", "size": "8", "kernel": "3", "padding": "1", "x": "digit", "w": "edge"},
    ),
    Example(
        "Its gradient, a checkerboard",
        "Going backward, a strided convolution stamps unevenly: some inputs get four times the gradient of others.",
        {
            "operation": "conv2d",
            "size": "8",
            "kernel": "3",
            "stride": "2",
            "direction": "backward",
            "view": "overlap",
        },
    ),
    Example(
        "Max-pooling",
        "Only the largest value of each window goes on.",
        {"operation": "max_pool2d"},
    ),
    Example(
        "Who gets the gradient of a maximum",
        "The winner gets all of it, the others nothing.",
        {"operation": "max_pool2d", "direction": "backward"},
    ),
    Example(
        "Average pooling",
        "A convolution whose weights are all 1/4.",
        {"operation": "avg_pool2d", "view": "matrix"},
    ),
    Example(
        "Nearest-neighbour upsampling",
        "One cell becomes four.",
        {"operation": "upsample_nearest"},
    ),
    Example(
        "Bilinear upsampling",
        "A single 1 becomes a tent.",
        {"operation": "upsample_bilinear", "x": "dot"},
    ),
    Example(
        "Bed of nails",
        "Three of four cells are never written to.",
        {"operation": "bed_of_nails", "view": "overlap"},
    ),
    Example(
        "Max-unpooling",
        "Values go back to where they came from; what was not the largest is lost.",
        {"operation": "max_unpool2d", "size": "8", "x": "digit"},
    ),
    Example(
        "The checkerboard",
        "Ones in, ones in the kernel: the overlaps of kernel 3 at stride 2 are all there is to see.",
        {"operation": "conv_transpose2d", "size": "4", "kernel": "3", "stride": "2", "x": "ones", "view": "overlap"},
    ),
    Example(
        "An even kernel",
        "Kernel 4 at stride 2: away from the edges every cell is written to four times.",
        {
            "operation": "conv_transpose2d",
            "size": "4",
            "kernel": "4",
            "stride": "2",
            "padding": "1",
            "x": "ones",
            "view": "overlap",
        },
    ),
    Example(
        "Learned to interpolate",
        "With a tent for a kernel, a transposed convolution is bilinear upsampling, but for the edges.",
        {"operation": "conv_transpose2d", "size": "4", "kernel": "4", "stride": "2", "padding": "1", "w": "tent"},
    ),
    Example(
        "Resize-convolution",
        "Enlarge first, then convolve: no kernel can draw a checkerboard into a flat region.",
        {"operation": "resize_conv2d", "size": "4", "x": "ones", "w": "random"},
    ),
    Example(
        "Sub-pixel convolution",
        "Four kernels, four planes, woven into one.",
        {"operation": "subpixel_conv2d", "size": "3"},
    ),
)


def next_after(link: dict[str, str], count: int = 3) -> list[Example]:
    """The examples to offer beside what is shown: those that follow the one most like it, in order, round and round.

    Args:
        link: What is shown, with every parameter.
        count: How many to offer.
    """

    def likeness(example: Example) -> int:
        alike = sum(link.get(key) == value for key, value in example.link.items())
        return (example.link["operation"] == link["operation"]) * 100 + 10 * alike - len(example.link)

    most_alike = max(range(len(EXAMPLES)), key=lambda index: likeness(EXAMPLES[index]))
    return [EXAMPLES[(most_alike + step) % len(EXAMPLES)] for step in range(1, count + 1)]
