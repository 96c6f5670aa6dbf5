# SPDX-License-Identifier: MIT
"""Reading of folders of images, one for each class: Tiny-ImageNet, and ImageNet, which is decoded as it is used."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from firstspike_arch.shown import said
from PIL import Image, UnidentifiedImageError

from .official_files import DataError, data_folder

__all__ = ["PIXEL_MAX", "FolderImages", "Images", "read_imagenet", "read_tiny_imagenet"]

PIXEL_MAX = 255
"""The largest value of a pixel."""
SUFFIXES = (".jpeg", ".jpg", ".png")
IMAGENET_SIDE, TINY_SIDE = 224, 64
MARGIN = 8 / 7
"""Images are scaled to this multiple of the wanted side before their centre is cut out: 256 for 224."""


class FolderImages:
    """Images on disk, with those operations of a tensor uint8[B, 3·side·side] that training needs.

    Parameters
    ----------
    files : sequence of Path
    side : int
        Side of the square images.
    whole : bool
        True: the shorter side is scaled to ``side``; False: to `MARGIN` times that. Then the centre is cut out.

    Raises
    ------
    DataError
        An image cannot be decoded; raised when it is taken.
    """

    def __init__(self, files: Sequence[Path], side: int, whole: bool = False) -> None:
        self.files, self.side, self.whole = list(files), side, whole
        self.shape = (len(self.files), 3 * side * side)

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, chosen: slice | torch.Tensor) -> torch.Tensor:
        files = self.files[chosen] if isinstance(chosen, slice) else [self.files[int(index)] for index in chosen]
        return torch.from_numpy(np.stack([self._decoded(file) for file in files])) if files else torch.zeros(
            (0, self.shape[1]), dtype=torch.uint8)

    def part(self, chosen: np.ndarray) -> "FolderImages":
        """Select images by their numbers."""
        return FolderImages([self.files[index] for index in chosen], self.side, self.whole)

    def split(self, size: int) -> Iterator[torch.Tensor]:
        """Yield batches in order."""
        return (self[slice(start, start + size)] for start in range(0, len(self), size))

    def _decoded(self, file: Path) -> np.ndarray:
        try:
            with Image.open(file) as opened:
                picture = opened.convert("RGB")
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DataError(f"{file}: must be a picture that can be decoded: {said(error)}") from None
        scaled = self.side if self.whole else round(self.side * MARGIN)
        factor = scaled / min(picture.size)
        width, height = (max(self.side, round(length * factor)) for length in picture.size)
        if picture.size != (width, height):
            picture = picture.resize((width, height), Image.Resampling.BILINEAR)
        left, top = (width - self.side) // 2, (height - self.side) // 2
        cut = picture.crop((left, top, left + self.side, top + self.side))
        return np.asarray(cut, dtype=np.uint8).transpose(2, 0, 1).reshape(-1)


Images = torch.Tensor | FolderImages
"""Images in memory, uint8[B, N], or on disk."""


def read_imagenet(test: bool) -> tuple[FolderImages, np.ndarray]:
    """Read images and labels. The official validation set serves as test set, whose own labels are not public."""
    root = data_folder("imagenet/train and imagenet/val") / "imagenet"
    classes = _folders(root / "train")
    files, labels = _by_class(root / ("val" if test else "train"), classes, "")
    return FolderImages(files, IMAGENET_SIDE), labels


def read_tiny_imagenet(test: bool) -> tuple[np.ndarray, np.ndarray]:
    """Read images, uint8[B, 12288], and labels. The official validation set serves as test set."""
    root = data_folder("tiny-imagenet/tiny-imagenet-200") / "tiny-imagenet" / "tiny-imagenet-200"
    classes = _folders(root / "train")
    files, labels = _annotated(root / "val", classes) if test else _by_class(root / "train", classes, "images")
    images = FolderImages(files, TINY_SIDE, whole=True)
    return images[slice(None)].numpy(), labels


def _folders(folder: Path) -> list[str]:
    names = sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    if not names:
        raise DataError(f"{folder}: must hold a folder of pictures for each class; put the official ones there")
    return names


def _by_class(folder: Path, classes: Sequence[str], inner: str) -> tuple[list[Path], np.ndarray]:
    files, labels = [], []
    for label, name in enumerate(classes):
        found = sorted(path for path in (folder / name / inner).glob("*") if path.suffix.lower() in SUFFIXES)
        if not found:
            raise DataError(f"{folder / name / inner}: must hold pictures of class {label}")
        files += found
        labels += [label] * len(found)
    return files, np.array(labels, dtype=np.int64)


def _annotated(folder: Path, classes: Sequence[str]) -> tuple[list[Path], np.ndarray]:
    """List Tiny-ImageNet's validation images and labels, from a file with a line for each image."""
    path, numbers = folder / "val_annotations.txt", {name: label for label, name in enumerate(classes)}
    try:
        rows = [line.split("\t") for line in path.read_text(encoding="ascii").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: must be the official list of pictures and classes: {error}") from None
    wrong = [number for number, row in enumerate(rows, 1) if len(row) < 2 or row[1] not in numbers]
    if wrong or not rows:
        raise DataError(f"{path}: line {(wrong or [1])[0]} must name a picture and one of the {len(classes)} classes")
    return [folder / "images" / row[0] for row in rows], np.array([numbers[row[1]] for row in rows], dtype=np.int64)
