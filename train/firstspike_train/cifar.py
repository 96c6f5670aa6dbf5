# SPDX-License-Identifier: MIT
"""Reading of CIFAR-10 and CIFAR-100 from the official python batches, which are pickles, without executing anything."""

import io
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from firstspike_arch.shown import said, shown

from .official_files import DataError, data_folder, md5_of

__all__ = ["CIFAR_PIXELS", "CifarWarning", "read_batch", "read_cifar10", "read_cifar100"]

CIFAR_PIXELS = 3072
"""Bytes of an image: red, green and blue, 32 × 32 each."""

# Ref: www.cs.toronto.edu/~kriz/cifar.html; sums of the files in the archives, as torchvision checks them.
_CIFAR10 = {
    "data_batch_1": "c99cafc152244af753f735de768cd75f", "data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "data_batch_3": "54ebc095f3ab1f0389bbae665268c751", "data_batch_4": "634d18415352ddfa80567beed471001a",
    "data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb", "test_batch": "40351d587109b95175f43aff81a1287e",
}
_CIFAR100 = {"train": "16019d7e3df5f24257cddd939b257f8d", "test": "f0ef6b0ae62326f3e7ffdfab6717acfc"}


class CifarWarning(UserWarning):
    """A batch is well formed, but not the official one."""


class _Bytes:
    """Stand-in for numpy.dtype in a pickle: admits unsigned bytes and nothing else."""

    def __init__(self, code: Any, *_: Any) -> None:
        if code not in ("u1", b"u1"):
            raise pickle.UnpicklingError(f"arrays must be of unsigned bytes, not {shown(code)}")

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and alignment, which do not matter for bytes."""


class _Array:
    """Stand-in for numpy.ndarray in a pickle: its state is checked here, and never reaches NumPy."""

    values: np.ndarray

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, _Bytes) or fortran:
            raise pickle.UnpicklingError("arrays must be of unsigned bytes, row by row")
        self.values = np.frombuffer(raw, dtype=np.uint8).reshape(shape)


def _reconstruct(kind: Any, *_: Any) -> _Array:
    return _Array()


def _from_buffer(raw: Any, kind: Any, shape: Any, order: Any) -> _Array:
    found = _Array()
    found.__setstate__((1, shape, kind, order == "F", raw))
    return found


def _encode(text: str, codec: str) -> bytes:
    """Stand-in for the function by which pickles of old protocols hold bytes."""
    if codec not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"bytes must be written in latin1, not {shown(codec)}")
    return text.encode("latin1")


_ADMITTED = {"numpy.ndarray": _Array, "numpy.dtype": _Bytes, "_codecs.encode": _encode} | {
    f"numpy.{core}.{module}.{name}": stand_in
    for core in ("core", "_core")
    for module, name, stand_in in (("multiarray", "_reconstruct", _reconstruct),
                                   ("numeric", "_frombuffer", _from_buffer))
}
"""Names that a batch may use, and the stand-ins that it gets for them."""


class _Batches(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        found = _ADMITTED.get(f"{module}.{name}")
        if found is None:
            raise pickle.UnpicklingError(f"{module}.{name} is not admitted in a batch")
        return found


def read_batch(path: Path, labels: str) -> tuple[np.ndarray, np.ndarray]:
    """Read images, uint8[B, 3072], and labels, int64[B], of one batch; ``labels`` is the key that holds the labels.

    Raises
    ------
    DataError
        The file is missing, is not a batch, or names anything but arrays of bytes.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); put the official batches there or let "
                        "'firstspike data' fetch them") from None
    try:
        batch = {str(key, "ascii") if isinstance(key, bytes) else key: value
                 for key, value in _Batches(io.BytesIO(raw), encoding="bytes").load().items()}
        images, numbers = batch["data"].values, np.array(batch[labels], dtype=np.int64)
    except Exception as error:  # an untrusted pickle can provoke any exception
        raise DataError(f"{path}: must be a python batch of images and {labels}: {said(error)}") from None
    if images.ndim != 2 or images.shape[1] != CIFAR_PIXELS or numbers.shape != (len(images),):
        raise DataError(f"{path}: must hold images of {CIFAR_PIXELS} bytes and as many labels, not {images.shape} and "
                        f"{numbers.shape}")
    return images, numbers


def read_cifar10(test: bool) -> tuple[np.ndarray, np.ndarray]:
    names = [name for name in _CIFAR10 if (name == "test_batch") == test]
    return _read("cifar10", "cifar-10-batches-py", {name: _CIFAR10[name] for name in names}, "labels", 10)


def read_cifar100(test: bool) -> tuple[np.ndarray, np.ndarray]:
    name = "test" if test else "train"
    return _read("cifar100", "cifar-100-python", {name: _CIFAR100[name]}, "fine_labels", 100)


def _read(name: str, inner: str, sums: dict[str, str], key: str, classes: int) -> tuple[np.ndarray, np.ndarray]:
    folder = data_folder(f"{name}/{inner}") / name / inner
    parts = [read_batch(folder / file, key) for file in sums]
    for (_, labels), file in zip(parts, sums, strict=True):
        if labels.size and not 0 <= labels.min() <= labels.max() < classes:
            raise DataError(f"{folder / file}: labels must be 0…{classes - 1}, not {labels.min()}…{labels.max()}")
    strange = [file for file, md5 in sums.items() if md5_of(folder / file) != md5]
    if strange:
        warnings.warn(f"{folder}: {', '.join(strange)} must be reported as reconstructed: well formed, but not the "
                      "official file by its MD5", CifarWarning, stacklevel=4)
    images, labels = zip(*parts, strict=True)
    return np.concatenate(images), np.concatenate(labels)
