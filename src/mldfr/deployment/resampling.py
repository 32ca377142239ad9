"""Resizing as matrix products of dynamic sizes, which every runtime computes alike."""

import torch
from torch import Tensor

from mldfr.deployment.sizes import Size, Sizes

_BLOCKS = 16
"""How many matrices the reduction of an axis is cut into: its matrix is a band, and a whole one is mostly zeros."""

_BITS = 15
"""Weights are integers below 2 ** _BITS in torch's resizing of bytes."""
_MAX_PRECISION = 22


def resize(image: Tensor, height: Size, width: Size, sizes: Sizes) -> Tensor:
    """Resize a picture, bilinear and antialiased, to the very bytes of torch's own kernel for bytes on a CPU.

    That kernel goes along x and then along y, with weights rounded to integers, and rounds to bytes after each.
    `Resize` of ONNX is antialiased too, but rounds otherwise.

    Args:
        image: (H, W, 3) uint8.
        height, width: The new size.
        sizes: Those of the matrices are numbers of their own.

    Returns:
        (height, width, 3) uint8.
    """
    columns = image.permute(1, 0, 2)  # (W, H, 3)
    narrowed = _resample(columns.flatten(1), width, sizes).reshape(width, image.shape[0], 3)
    rows = narrowed.permute(1, 0, 2)  # (H, width, 3)
    return _resample(rows.flatten(1), height, sizes).reshape(height, width, 3)


def upsampling(cells: Size, pixels: Size) -> Tensor:
    """The matrix (pixels, cells) of bilinear interpolation with half-pixel centres."""
    ratio = _number(cells, torch.float32) / _number(pixels, torch.float32)
    position = torch.clamp(ratio * (_count(pixels, torch.float32) + 0.5) - 0.5, min=0)
    position = torch.minimum(position, _number(cells, torch.float32) - 1)
    return torch.clamp(1 - torch.abs(position[:, None] - _count(cells, torch.float32)), min=0)


def _resample(rows: Tensor, size: Size, sizes: Sizes) -> Tensor:
    """(N, M) uint8 to (size, M) uint8: weighted means of neighbouring rows."""
    weights, index = _weights(rows.shape[0], size, sizes)
    unit = _unit(weights)
    whole = torch.floor(weights * unit + 0.5)  # (blocks, r, n), integers
    # Sums of integers: in float64 they are exact in whatever order they are taken.
    sums = whole @ torch.index_select(rows, 0, index.flatten()).reshape(*index.shape, -1).double()
    rounded = torch.clamp(torch.floor(sums / unit + 0.5), max=255)
    return rounded.to(torch.uint8).flatten(0, 1)[:size]


def _weights(old: Size, new: Size, sizes: Sizes) -> tuple[Tensor, Tensor]:
    """Triangular weights (blocks, r, n) of blocks of r new rows, and the n old rows (blocks, n) that each looks at."""
    ratio = _number(old) / _number(new)
    reach = torch.clamp(ratio, min=1)
    in_block = sizes.number((new + _BLOCKS - 1) // _BLOCKS, least=1)
    window = sizes.number((in_block * old + new - 1) // new + 2 * ((old + new - 1) // new) + 2, least=1)
    centre = ratio * (_count(_BLOCKS * in_block) + 0.5).reshape(_BLOCKS, in_block)
    centre = torch.minimum(centre, ratio * (_number(new) - 0.5))  # beyond the last row it is repeated
    first = torch.floor(torch.clamp(centre - reach + 0.5, min=0))
    end = torch.minimum(torch.floor(centre + reach + 0.5), _number(old))
    index = first[:, :1] + _count(window)  # (blocks, n)
    looked_at = index[:, None]
    weights = torch.clamp(1 - torch.abs((looked_at + 0.5 - centre[:, :, None]) / reach), min=0)
    inside = (looked_at >= first[:, :, None]) & (looked_at < end[:, :, None])
    weights = weights * inside.double()
    return weights / weights.sum(dim=2, keepdim=True), torch.clamp(index.long(), max=old - 1)


def _unit(weights: Tensor) -> Tensor:
    """The largest power of two by which the weights become integers of `_BITS` bits."""
    powers = torch.tensor([2.0**bits for bits in range(1, _MAX_PRECISION + 1)], dtype=torch.float64)
    bits = (torch.floor(0.5 + weights.max() * powers) < 2**_BITS).double().sum()
    return torch.pow(torch.tensor(2.0, dtype=torch.float64), bits)


def _number(value: Size, dtype: torch.dtype = torch.float64) -> Tensor:
    # A quotient of two symbolic integers would become one of float32 in ONNX.
    return torch.scalar_tensor(value, dtype=torch.int64).to(dtype)


def _count(end: Size, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.arange(end).to(dtype)
