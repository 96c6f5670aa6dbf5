# SPDX-License-Identifier: MIT
"""Data sets of images in fixed splits: scikit-learn's digits, which need no download, and official files."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from firstspike_arch.connectivity import Shape
from firstspike_arch.shown import said, shown

from .cifar import read_cifar10, read_cifar100
from .image_folders import FolderImages, read_imagenet, read_tiny_imagenet
from .official_files import DATA_VARIABLE, SOURCES, DataError, data_folder, read_official
from .splits import SPLIT_SEED, check_split, part_of

__all__ = ["DATASETS", "DATA_VARIABLE", "DataError", "ImageSet", "image_shape", "load", "load_lazily"]


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """A data set of images.

    Parameters
    ----------
    shape : (C, H, W)
    classes : int
    validation : int
        Number of images of the official training set that are kept for validation.
    read : callable
        ``read(test)`` returns images and labels of the official training set (False) or test set (True).
    """

    shape: Shape
    classes: int
    validation: int
    read: Callable[[bool], tuple[np.ndarray | FolderImages, np.ndarray]]


def load(name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Load images, uint8[B, C·H·W] (channel by channel, row by row), and labels, int64[B].

    Parameters
    ----------
    name : str
        One of `DATASETS`.
    split : "train", "validation" or "test"
        Part of the data. "validation" is a fixed, seeded part of the official training set, and "train" is the rest.

    Raises
    ------
    DataError
        The name or split is unknown, FIRSTSPIKE_DATA is not set, or a file is missing or not the official one.
    """
    images, labels = load_lazily(name, split)
    return images[slice(None)].numpy() if isinstance(images, FolderImages) else images, labels


def load_lazily(name: str, split: str) -> tuple[np.ndarray | FolderImages, np.ndarray]:
    """Load data as `load` does, but leave ImageNet on disk until a batch is taken."""
    image_shape(name)
    check_split(split)
    images, labels = DATASETS[name].read(split == "test")
    chosen = part_of(name, split, len(images), DATASETS[name].validation)
    return images.part(chosen) if isinstance(images, FolderImages) else images[chosen], labels[chosen]


def image_shape(name: str) -> Shape:
    """Return the shape (C, H, W) of a data set's images.

    Raises
    ------
    DataError
        The name is unknown.
    """
    if name not in DATASETS:
        raise DataError(f"dataset must be one of {', '.join(DATASETS)}, not {shown(name)}")
    return DATASETS[name].shape


def _digits(test: bool) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    images = np.round(np.asarray(pixels) * 255 / 16).astype(np.uint8)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    cut = len(images) * 4 // 5
    chosen = order[cut:] if test else order[:cut]
    return images[chosen], np.asarray(targets, dtype=np.int64)[chosen]


def _idx_files(name: str) -> Callable[[bool], tuple[np.ndarray, np.ndarray]]:
    def read(test: bool) -> tuple[np.ndarray, np.ndarray]:
        part, count = ("t10k", 10_000) if test else ("train", 60_000)
        images = _idx(name, f"{part}-images-idx3-ubyte.gz", (count, 28, 28))
        labels = _idx(name, f"{part}-labels-idx1-ubyte.gz", (count,))
        return images.reshape(count, -1), labels.astype(np.int64)

    return read


def _idx(name: str, file: str, shape: tuple[int, ...]) -> np.ndarray:
    """Read the contents of an idx file (big-endian magic number, dimensions, bytes), uint8[shape]."""
    path = data_folder(f"{name}/{file}") / name / file
    packed = read_official(path, next(source.md5 for source in SOURCES[name] if source.file == file))
    try:
        raw = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: must be a gzip file: {said(error)}") from None
    head = b"\0\0\x08" + bytes([len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    if raw[: len(head)] != head or len(raw) != len(head) + int(np.prod(shape)):
        raise DataError(f"{path}: must be an idx file of unsigned bytes of shape {shape}")
    return np.frombuffer(raw, dtype=np.uint8, offset=len(head)).reshape(shape).copy()


DATASETS = {
    "digits": ImageSet(shape=(1, 8, 8), classes=10, validation=200, read=_digits),
    "mnist": ImageSet(shape=(1, 28, 28), classes=10, validation=5000, read=_idx_files("mnist")),
    "fashion-mnist": ImageSet(shape=(1, 28, 28), classes=10, validation=5000, read=_idx_files("fashion-mnist")),
    "cifar10": ImageSet(shape=(3, 32, 32), classes=10, validation=5000, read=read_cifar10),
    "cifar100": ImageSet(shape=(3, 32, 32), classes=100, validation=5000, read=read_cifar100),
    "tiny-imagenet": ImageSet(shape=(3, 64, 64), classes=200, validation=10_000, read=read_tiny_imagenet),
    "imagenet": ImageSet(shape=(3, 224, 224), classes=1000, validation=50_000, read=read_imagenet),
}
