# SPDX-License-Identifier: MIT
"""Official files of data sets: their location, their checksums and their sources."""

import hashlib
import os
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from firstspike_arch.shown import shown

__all__ = ["DATA_VARIABLE", "SOURCES", "DataError", "Source", "data_folder", "fetch", "md5_of", "read_official"]

DATA_VARIABLE = "FIRSTSPIKE_DATA"
TIMEOUT_S = 60
CHUNK = 1 << 20


class DataError(ValueError):
    """Data are missing or altered; the message tells what to do."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """One official file and its source.

    Parameters
    ----------
    url : str
    md5 : str
    file : str
        Path in the data set's folder.
    unpacks_to : str
        Path of the archive's contents in the same folder. "": the file is not an archive.
    """

    url: str
    md5: str
    file: str
    unpacks_to: str = ""


def _plain(base: str, sums: dict[str, str]) -> tuple[Source, ...]:
    return tuple(Source(url=f"{base}/{file}", md5=md5, file=file) for file, md5 in sums.items())


# Ref: MD5 sums as published with the data; without published ones, those that torchvision and others check (MNIST:
# mirror of yann.lecun.com/exdb/mnist; Fashion-MNIST: README of github.com/zalandoresearch/fashion-mnist; CIFAR:
# www.cs.toronto.edu/~kriz/cifar.html; Tiny-ImageNet: course CS231n).
SOURCES: dict[str, tuple[Source, ...]] = {
    "mnist": _plain("https://ossci-datasets.s3.amazonaws.com/mnist", {
        "train-images-idx3-ubyte.gz": "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "train-labels-idx1-ubyte.gz": "d53e105ee54ea40749a09fcbcd1e9432",
        "t10k-images-idx3-ubyte.gz": "9fb629c4189551a2d022fa330f9573f3",
        "t10k-labels-idx1-ubyte.gz": "ec29112dd5afa0611ce80d1b7f02629c",
    }),
    "fashion-mnist": _plain("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com", {
        "train-images-idx3-ubyte.gz": "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
        "train-labels-idx1-ubyte.gz": "25c81989df183df01b3e8a0aad5dffbe",
        "t10k-images-idx3-ubyte.gz": "bef4ecab320f06d8554ea6380940ec79",
        "t10k-labels-idx1-ubyte.gz": "bb300cfdad3c16e7a12a480ee83cd310",
    }),
    "cifar10": (Source(
        url="https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz", md5="c58f30108f718f92721af3b95e74349a",
        file="cifar-10-python.tar.gz", unpacks_to="cifar-10-batches-py"),),
    "cifar100": (Source(
        url="https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz", md5="eb9058c3a382ffc7106e4002c42a8d85",
        file="cifar-100-python.tar.gz", unpacks_to="cifar-100-python"),),
    "tiny-imagenet": (Source(
        url="http://cs231n.stanford.edu/tiny-imagenet-200.zip", md5="90528d7ca1a48142e341f4ef8d21d0de",
        file="tiny-imagenet-200.zip", unpacks_to="tiny-imagenet-200"),),
}

_BY_HAND = {
    "imagenet": "image-net.org gives it to registered users: imagenet/train/<class>/*.JPEG and imagenet/val/<class>/",
    "nmnist": "www.garrickorchard.com/datasets/n-mnist: nmnist/Train/<digit>/*.bin and nmnist/Test/<digit>/",
    "dvs-gesture": "research.ibm.com/interactive/dvsgesture: dvs-gesture/DvsGesture/*.aedat and all that is beside it",
    "cifar10-dvs": "figshare.com/articles/dataset/CIFAR10-DVS_New/4724671: cifar10-dvs/<class>/*.aedat",
    "shd": "zenkelab.org/resources/spiking-heidelberg-datasets-shd, unpacked: shd/shd_train.h5 and shd/shd_test.h5",
}
"""Sources of data sets that must be fetched by hand, and the folders in which to put them."""


def data_folder(wanted: str) -> Path:
    """Return the folder of all data sets.

    Raises
    ------
    DataError
        FIRSTSPIKE_DATA is not set; the message says that it should hold ``wanted``.
    """
    root = os.environ.get(DATA_VARIABLE)
    if not root:
        raise DataError(f"{DATA_VARIABLE} must be set to the folder that holds {wanted}")
    return Path(root)


def read_official(path: Path, md5: str) -> bytes:
    """Read a file that must be the official one.

    Raises
    ------
    DataError
        The file is missing, or its MD5 differs.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path}: cannot be read ({error.strerror}); put the official file there or point {DATA_VARIABLE} elsewhere"
        ) from None
    if hashlib.md5(raw, usedforsecurity=False).hexdigest() != md5:
        raise DataError(f"{path}: MD5 must be {md5}; the file is truncated or altered, download it again")
    return raw


def md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def fetch(name: str, progress: Callable[[int, int], None] = lambda done, total: None) -> list[Path]:
    """Download, check and unpack the missing official files of a data set; return the paths of all of them.

    ``progress(done, total)`` is called with octets of the file that is being downloaded, if its length is known.

    Raises
    ------
    DataError
        The data set is unknown or must be fetched by hand, the network is down, or a file is not the official one.
    """
    if name in _BY_HAND:
        raise DataError(f"{name} must be fetched by hand from {_BY_HAND[name]}")
    if name not in SOURCES:
        raise DataError(f"data set must be one of {', '.join((*SOURCES, *_BY_HAND))}, not {shown(name)}")
    folder, found = data_folder(name) / name, []
    folder.mkdir(parents=True, exist_ok=True)
    for source in SOURCES[name]:
        target = folder / (source.unpacks_to or source.file)
        if not target.exists():
            archive = folder / source.file
            if not archive.exists():
                _download(source, archive, progress)
            if source.unpacks_to:
                _unpack(archive, source, folder)
        found.append(target)
    return found


def _download(source: Source, path: Path, progress: Callable[[int, int], None]) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    partial, digest = Path(name), hashlib.md5(usedforsecurity=False)
    try:
        with os.fdopen(handle, "wb") as file, urllib.request.urlopen(source.url, timeout=TIMEOUT_S) as answer:
            total = answer.length or 0
            while part := answer.read(CHUNK):
                digest.update(part)
                file.write(part)
                if total:
                    progress(file.tell(), total)
        if digest.hexdigest() != source.md5:
            raise DataError(f"{source.url}: MD5 must be {source.md5}, not {digest.hexdigest()}; try again later")
        partial.chmod(0o644)
        partial.replace(path)
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(
            f"{source.url}: must be reachable ({reason}); without a network, put the file at {path}") from None
    finally:
        partial.unlink(missing_ok=True)


def _unpack(archive: Path, source: Source, folder: Path) -> None:
    """Unpack an archive into a temporary folder and move the result, so that an interruption leaves nothing partial."""
    if md5_of(archive) != source.md5:
        raise DataError(f"{archive}: MD5 must be {source.md5}; the file is truncated or altered, download it again")
    with tempfile.TemporaryDirectory(dir=folder, prefix=".unpacking.") as place:
        shutil.unpack_archive(archive, place)  # trusted by its MD5; early 3.11 cannot filter members
        (Path(place) / source.unpacks_to).replace(folder / source.unpacks_to)
