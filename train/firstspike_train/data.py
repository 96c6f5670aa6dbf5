# SPDX-License-Identifier: MIT
"""Data sets: scikit-learn's digits (no download) and the official MNIST and Fashion-MNIST files."""

import gzip
import hashlib
import os
import zlib
from pathlib import Path

import numpy as np

__all__ = ["CLASSES", "DATASETS", "PIXELS", "DataError", "load"]

DATA_VARIABLE = "FIRSTSPIKE_DATA"
DATASETS = ("digits", "mnist", "fashion-mnist")
PIXELS = {"digits": 64, "mnist": 784, "fashion-mnist": 784}
CLASSES = 10
SPLITS = ("train", "validation", "test")
VALIDATION = {"digits": 200, "mnist": 5000, "fashion-mnist": 5000}
SPLIT_SEED = 20240229

# Ref: MD5 sums as published with the data (MNIST: mirrors of yann.lecun.com/exdb/mnist as used by torchvision;
# Fashion-MNIST: the README of github.com/zalandoresearch/fashion-mnist).
_MD5 = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    },
    "fashion-mnist": {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    },
}


class DataError(ValueError):
    """Data that is missing or altered; the sentence says what to do."""


def load(name: str, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images, uint8[B, N] (row by row, square), and labels, int64[B].

    Parameters
    ----------
    name : "digits", "mnist" or "fashion-mnist"
    split : "train", "validation" or "test"
        The validation set is a fixed, seeded part of the official training set, and "train" is the rest.

    Raises
    ------
    DataError
        An unknown name or split; FIRSTSPIKE_DATA not set; a file that is missing or not the official one.
    """
    if name not in DATASETS:
        raise DataError(f"dataset must be one of {', '.join(DATASETS)}, not {name!r}")
    if split not in SPLITS:
        raise DataError(f"split must be one of {', '.join(SPLITS)}, not {split!r}")
    images, labels = _digits(split == "test") if name == "digits" else _official(name, split == "test")
    if split == "test":
        return images, labels
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    chosen = order[: VALIDATION[name]] if split == "validation" else order[VALIDATION[name] :]
    return images[chosen], labels[chosen]


def _digits(test: bool) -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    pixels, targets = load_digits(return_X_y=True)
    images = np.round(np.asarray(pixels) * 255 / 16).astype(np.uint8)
    order = np.random.default_rng(SPLIT_SEED).permutation(len(images))
    cut = len(images) * 4 // 5
    chosen = order[cut:] if test else order[:cut]
    return images[chosen], np.asarray(targets, dtype=np.int64)[chosen]


def _official(name: str, test: bool) -> tuple[np.ndarray, np.ndarray]:
    part, count = ("t10k", 10_000) if test else ("train", 60_000)
    images = _idx(name, f"{part}-images-idx3-ubyte.gz", (count, 28, 28))
    labels = _idx(name, f"{part}-labels-idx1-ubyte.gz", (count,))
    return images.reshape(count, -1), labels.astype(np.int64)


def _idx(name: str, file: str, shape: tuple[int, ...]) -> np.ndarray:
    """Contents of an idx file (big-endian magic number, dimensions, bytes), uint8[shape]."""
    root = os.environ.get(DATA_VARIABLE)
    if not root:
        raise DataError(f"{DATA_VARIABLE} must be set to the folder that holds {name}/{file}")
    path = Path(root) / name / file
    try:
        packed = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); put the official file there or point {DATA_VARIABLE} elsewhere"
        ) from None
    if hashlib.md5(packed, usedforsecurity=False).hexdigest() != _MD5[name][file]:
        raise DataError(f"{path}: MD5 must be {_MD5[name][file]}; the file is truncated or altered, download it again")
    try:
        raw = gzip.decompress(packed)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: must be a gzip file: {error}") from None
    head = b"\0\0\x08" + bytes([len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    if raw[: len(head)] != head or len(raw) != len(head) + int(np.prod(shape)):
        raise DataError(f"{path}: must be an idx file of unsigned bytes of shape {shape}")
    return np.frombuffer(raw, dtype=np.uint8, offset=len(head)).reshape(shape).copy()
