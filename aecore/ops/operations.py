"""The registry of operations: how each is run on a setting, what it is for, its formulas and its line of PyTorch.

Adding an operation is one function that makes a trace and one entry here; the page, its widgets, its links, its
check against torch and its questions follow. This module knows nothing of pages or of torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from aecore.ops.convolution import conv2d, conv_transpose2d
from aecore.ops.pooling import avg_pool2d, bed_of_nails, max_pool2d, max_pool_unpool
from aecore.ops.resizing import resize_conv2d, subpixel_conv2d, upsample_bilinear, upsample_nearest
from aecore.ops.trace import Array, Shape, Trace

if TYPE_CHECKING:
    from aecore.ops.setting import Setting


def _one_plane(_: Setting) -> int:
    return 1


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One operation, as it is shown and asked about.

    Attributes:
        title: Name for people.
        half: The half of an autoencoder it belongs to.
        help: One sentence: what it does.
        notice: What to look at while it runs, and what an autoencoder has it for.
        source: Where it was described.
        dials: The settings that matter, by name.
        usual: The settings and values a visitor meets first.
        run: (setting, input, kernel) -> trace.
        between: Letter and name of the plane between two stages, None for a single stage.
        has_kernel: Whether there are weights to learn.
        kernels: How many kernels of one plane it needs.
        formula: LaTeX of what one output cell is.
        size_formula: LaTeX of a side of the output, with {n} for the input's and {k}, {s}, {p}, {d}, {q}, {f} for
            kernel, stride, padding, dilation, output padding and factor.
        torch: Setting -> Python that computes `y` from `x` (and `w`), with `F` for `torch.nn.functional`.
        repeats: Setting -> after how many cells the overlaps repeat.
    """

    title: str
    half: Literal["encoder", "decoder"]
    help: str
    notice: str
    source: str
    dials: tuple[str, ...]
    usual: Mapping[str, int | str]
    run: Callable[[Setting, Array, Array | None], Trace]
    between: tuple[str, str] | None = None
    has_kernel: bool = False
    kernels: Callable[[Setting], int] = field(default=_one_plane)
    formula: str
    size_formula: str
    torch: Callable[[Setting], str]
    repeats: Callable[[Setting], int]

    def kernel_shape(self, setting: Setting) -> Shape | None:
        """Shape of the kernel for one channel of input, None if there is none."""
        return (self.kernels(setting), 1, setting.kernel, setting.kernel) if self.has_kernel else None


def _arguments(**values: int) -> str:
    """Keyword arguments that differ from torch's defaults, with a comma before each."""
    usual = {"stride": 1, "padding": 0, "output_padding": 0, "dilation": 1}
    return "".join(f", {name}={value}" for name, value in values.items() if value != usual[name])


def _resize_line(setting: Setting, mode: str) -> str:
    corners = ", align_corners=False" if mode == "bilinear" else ""
    return f'F.interpolate(x, scale_factor={setting.factor}, mode="{mode}"{corners})'


_CONVOLUTION_SIZE = r"\left\lfloor \frac{{{n} + 2 \cdot {p} - {d} \cdot ({k} - 1) - 1}}{{{s}}} \right\rfloor + 1"

OPERATIONS: dict[str, Operation] = {
    "conv2d": Operation(
        title="Convolution",
        half="encoder",
        help="Each output cell lays the kernel on the input, multiplies what lies on each other, and adds up.",
        notice="With a 3×3 kernel, stride 1 and padding 1 the output has the size of the input; with stride 2, half. "
        "An encoder uses it to look for one pattern everywhere. Padding, the dashed cells, is zeros: at the edge, part "
        "of the kernel sees nothing.",
        source="Dumoulin & Visin, A guide to convolution arithmetic for deep learning (2016), relationships 6 and 15",
        dials=("size", "kernel", "stride", "padding", "dilation"),
        usual={"size": 4, "kernel": 3, "stride": 1, "padding": 1, "x": "counting", "w": "ones"},
        run=lambda t, x, w: conv2d(x, _given(w), stride=t.stride, padding=t.padding, dilation=t.dilation),
        has_kernel=True,
        formula=r"y_{i,j} = \sum_{a,b} x_{i s - p + a d,\; j s - p + b d} \; w_{a,b}",
        size_formula=_CONVOLUTION_SIZE,
        torch=lambda t: f"y = F.conv2d(x, w{_arguments(stride=t.stride, padding=t.padding, dilation=t.dilation)})",
        repeats=lambda t: t.stride,
    ),
    "max_pool2d": Operation(
        title="Max-pooling",
        half="encoder",
        help="Each output cell takes the largest value of its window and forgets where it was.",
        notice="Only the winner gets a gradient on the way back: switch to backward. A max-unpooling decoder needs the "
        "winners' places, which an encoder then has to remember beside the code.",
        source="Zhou & Chellappa, Computation of optical flow using a neural network, ICNN (1988)",
        dials=("size", "kernel", "stride", "padding", "dilation"),
        usual={"size": 4, "kernel": 2, "stride": 2, "padding": 0, "x": "random"},
        run=lambda t, x, _: max_pool2d(x, t.kernel, stride=t.stride, padding=t.padding, dilation=t.dilation),
        formula=r"y_{i,j} = \max_{a,b} \; x_{i s - p + a d,\; j s - p + b d}",
        size_formula=_CONVOLUTION_SIZE,
        torch=lambda t: (
            f"y = F.max_pool2d(x, {t.kernel}, stride={t.stride}{_arguments(padding=t.padding, dilation=t.dilation)})"
        ),
        repeats=lambda t: t.stride,
    ),
    "avg_pool2d": Operation(
        title="Average pooling",
        half="encoder",
        help="Each output cell takes the mean of its window.",
        notice="It is a convolution whose kernel is fixed: every weight is one over the window's size. Zeros of the "
        "padding count in the mean, as in PyTorch.",
        source="LeCun, Bottou, Bengio & Haffner, Gradient-based learning applied to document recognition (1998)",
        dials=("size", "kernel", "stride", "padding"),
        usual={"size": 4, "kernel": 2, "stride": 2, "padding": 0, "x": "counting"},
        run=lambda t, x, _: avg_pool2d(x, t.kernel, stride=t.stride, padding=t.padding),
        formula=r"y_{i,j} = \frac{1}{k^2} \sum_{a,b} x_{i s - p + a,\; j s - p + b}",
        size_formula=r"\left\lfloor \frac{{{n} + 2 \cdot {p} - {k}}}{{{s}}} \right\rfloor + 1",
        torch=lambda t: f"y = F.avg_pool2d(x, {t.kernel}, stride={t.stride}{_arguments(padding=t.padding)})",
        repeats=lambda t: t.stride,
    ),
    "upsample_nearest": Operation(
        title="Nearest-neighbour upsampling",
        half="decoder",
        help="Each input cell becomes a block of cells with its value.",
        notice="Every output cell is written exactly once, so nothing overlaps. There is nothing to learn in it, which "
        "is why a convolution follows: together they are the resize-convolution.",
        source="Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, Distill (2016)",
        dials=("size", "factor"),
        usual={"size": 4, "factor": 2, "x": "counting"},
        run=lambda t, x, _: upsample_nearest(x, t.factor),
        formula=r"y_{i,j} = x_{\lfloor i / f \rfloor,\; \lfloor j / f \rfloor}",
        size_formula=r"{n} \cdot {f}",
        torch=lambda t: f"y = {_resize_line(t, 'nearest')}",
        repeats=lambda t: t.factor,
    ),
    "upsample_bilinear": Operation(
        title="Bilinear upsampling",
        half="decoder",
        help="Each output cell mixes the four input cells around its place, the nearer the more.",
        notice="The weights of a cell always add up to 1, so a flat region stays flat. At the edge a cell has fewer "
        "neighbours, and the nearest counts for the missing ones.",
        source="Odena, Dumoulin & Olah, Distill (2016); the half-pixel rule of torch.nn.Upsample",
        dials=("size", "factor"),
        usual={"size": 4, "factor": 2, "x": "dot"},
        run=lambda t, x, _: upsample_bilinear(x, t.factor),
        formula=r"\begin{gathered} y_{i,j} = \sum_{m,n} \max(0, 1 - |u_i - m|) \max(0, 1 - |u_j - n|) \; x_{m,n} \\"
        r"u_i = \tfrac{i + 1/2}{f} - \tfrac12, \text{ kept inside the input} \end{gathered}",
        size_formula=r"{n} \cdot {f}",
        torch=lambda t: f"y = {_resize_line(t, 'bilinear')}",
        repeats=lambda t: t.factor,
    ),
    "bed_of_nails": Operation(
        title="Bed of nails",
        half="decoder",
        help="Each input cell goes to one corner of a block; the rest of the block is 0.",
        notice="Most cells are never written to: the overlap map is full of holes. A convolution has to fill them, and "
        "a transposed convolution is just that: a bed of nails, then the kernel stamped on every nail.",
        source="Dumoulin & Visin (2016), section 4.2",
        dials=("size", "factor"),
        usual={"size": 4, "factor": 2, "x": "counting"},
        run=lambda t, x, _: bed_of_nails(x, t.factor),
        formula=r"y_{i f,\; j f} = x_{i,j}, \quad 0 \text{ elsewhere}",
        size_formula=r"{n} \cdot {f}",
        torch=lambda t: (
            f"y = F.conv_transpose2d(x, x.new_ones(1, 1, 1, 1)"
            f"{_arguments(stride=t.factor, output_padding=t.factor - 1)})"
        ),
        repeats=lambda t: t.factor,
    ),
    "max_unpool2d": Operation(
        title="Max-unpooling",
        half="decoder",
        help="The largest value of each window goes back to the place it came from; all other places are 0.",
        notice="First the pooling, which remembers the winners' places, then the way back. A decoder can do it only if "
        "the encoder hands it those places: then they, too, carry information past the code.",
        source="Zeiler & Fergus, Visualizing and understanding convolutional networks, ECCV (2014)",
        dials=("size", "kernel", "stride", "padding"),
        usual={"size": 4, "kernel": 2, "stride": 2, "padding": 0, "x": "random"},
        run=lambda t, x, _: max_pool_unpool(x, t.kernel, stride=t.stride, padding=t.padding),
        between=("m", "pooled"),
        formula=r"\begin{gathered} m = \text{max-pooling of } x \\ "
        r"y_{\text{where } m_{i,j} \text{ was}} = m_{i,j}, \quad 0 \text{ elsewhere} \end{gathered}",
        size_formula=r"{n}",
        torch=lambda t: (
            f"m, where = F.max_pool2d(x, {t.kernel}, stride={t.stride}{_arguments(padding=t.padding)}, "
            f"return_indices=True)\n"
            f"y = F.max_unpool2d(m, where, {t.kernel}, stride={t.stride}{_arguments(padding=t.padding)}, "
            f"output_size=x.shape[2:])"
        ),
        repeats=lambda t: t.stride,
    ),
    "conv_transpose2d": Operation(
        title="Transposed convolution",
        half="decoder",
        help="Each input cell stamps the kernel, times its value, onto the output; where stamps overlap they add up.",
        notice="Kernel 3 at stride 2 writes some cells once, some twice, some four times: see the overlap map. That is "
        "the checkerboard. Kernels that the stride divides, 2 or 4, overlap evenly. The dashed cells are padding: "
        "here it cuts off what was written.",
        source="Dumoulin & Visin (2016), chapter 4 and relationship 14; Odena, Dumoulin & Olah, Distill (2016)",
        dials=("size", "kernel", "stride", "padding", "output_padding", "dilation"),
        usual={"size": 3, "kernel": 3, "stride": 2, "padding": 0, "x": "counting", "w": "ones"},
        run=lambda t, x, w: conv_transpose2d(
            x,
            _given(w),
            stride=t.stride,
            padding=t.padding,
            output_padding=t.output_padding,
            dilation=t.dilation,
        ),
        has_kernel=True,
        formula=r"y_{i s - p + a d,\; j s - p + b d} \mathrel{+}= x_{i,j} \; w_{a,b} \quad \text{for all } i, j, a, b",
        size_formula=r"({n} - 1) \cdot {s} - 2 \cdot {p} + {d} \cdot ({k} - 1) + {q} + 1",
        torch=lambda t: (
            f"y = F.conv_transpose2d(x, w"
            f"{_arguments(stride=t.stride, padding=t.padding, output_padding=t.output_padding, dilation=t.dilation)})"
        ),
        repeats=lambda t: t.stride,
    ),
    "resize_conv2d": Operation(
        title="Resize-convolution",
        half="decoder",
        help="First every cell is enlarged, then a convolution of stride 1 runs over the result.",
        notice="Whatever the kernel, a flat input gives a flat output away from the edges: no checkerboard. With "
        "nearest-neighbour enlargement it equals one transposed convolution; the proof is computed below.",
        source="Odena, Dumoulin & Olah, Deconvolution and checkerboard artifacts, Distill (2016)",
        dials=("size", "factor", "mode", "kernel", "padding"),
        usual={"size": 3, "factor": 2, "mode": "nearest", "kernel": 3, "padding": 1, "x": "counting", "w": "ones"},
        run=lambda t, x, w: resize_conv2d(x, _given(w), factor=t.factor, mode=t.mode, padding=t.padding),
        between=("u", "enlarged"),
        has_kernel=True,
        formula=r"\begin{gathered} u = \text{the enlarged } x \\ "
        r"y_{i,j} = \sum_{a,b} u_{i - p + a,\; j - p + b} \; w_{a,b} \end{gathered}",
        size_formula=r"{n} \cdot {f} + 2 \cdot {p} - ({k} - 1)",
        torch=lambda t: f"u = {_resize_line(t, t.mode)}\ny = F.conv2d(u, w{_arguments(padding=t.padding)})",
        repeats=lambda t: t.factor,
    ),
    "subpixel_conv2d": Operation(
        title="Sub-pixel convolution",
        half="decoder",
        help="A convolution makes one plane for each place of a block; pixel shuffle then weaves the planes together.",
        notice="Each place of a block has a kernel of its own. Where these kernels differ in their sums, a flat input "
        "comes out patterned; start them all alike, and it is nearest-neighbour upsampling "
        "after a convolution.",
        source="Shi et al., Real-time single image and video super-resolution, CVPR (2016), equations 3 and 4",
        dials=("size", "factor", "kernel", "padding"),
        usual={"size": 3, "factor": 2, "kernel": 3, "padding": 1, "x": "counting", "w": "random"},
        run=lambda t, x, w: subpixel_conv2d(x, _given(w), factor=t.factor, padding=t.padding),
        between=("c", "planes"),
        has_kernel=True,
        kernels=lambda t: t.factor**2,
        formula=r"\begin{gathered} c_m = \text{convolution of } x \text{ with kernel } w_m \\ "
        r"y_{i f + a,\; j f + b} = c_{a f + b,\; i,\; j} \end{gathered}",
        size_formula=r"({n} + 2 \cdot {p} - ({k} - 1)) \cdot {f}",
        torch=lambda t: f"y = F.pixel_shuffle(F.conv2d(x, w{_arguments(padding=t.padding)}), {t.factor})",
        repeats=lambda t: t.factor,
    ),
}


def _given(kernel: Array | None) -> Array:
    assert kernel is not None, "an operation with a kernel is run with one"
    return kernel
