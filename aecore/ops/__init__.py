"""The operations of an autoencoder as arithmetic: each gives its result and every product that led to it.

Everything here is plain numpy in double precision, made to be looked at rather than to be fast; the networks use
torch's own operations, and `aecore.ops.torch_check` holds the two equal.
"""

from aecore.ops.convolution import conv2d, conv_transpose2d
from aecore.ops.pooling import avg_pool2d, bed_of_nails, max_indices, max_pool2d, max_pool_unpool, max_unpool2d
from aecore.ops.resizing import (
    pixel_shuffle,
    resize_conv2d,
    subpixel_conv2d,
    upsample_bilinear,
    upsample_nearest,
)
from aecore.ops.trace import Stage, Step, Term, Trace

__all__ = [
    "Stage",
    "Step",
    "Term",
    "Trace",
    "avg_pool2d",
    "bed_of_nails",
    "conv2d",
    "conv_transpose2d",
    "max_indices",
    "max_pool2d",
    "max_pool_unpool",
    "max_unpool2d",
    "pixel_shuffle",
    "resize_conv2d",
    "subpixel_conv2d",
    "upsample_bilinear",
    "upsample_nearest",
]
