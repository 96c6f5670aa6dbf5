# SPDX-License-Identifier: MIT
"""Tiny-ImageNet and ImageNet in their layouts, a few pictures written here."""

import numpy as np
import pytest
import torch
from firstspike_train.data import DATASETS, DataError, load, load_lazily
from firstspike_train.image_folders import FolderImages, read_imagenet, read_tiny_imagenet
from PIL import Image

CLASSES = ("n01443537", "n01629819")


def picture(path, colour, size=(64, 64)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB" if isinstance(colour, tuple) else "L", size, colour).save(path, quality=95)


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    root = tmp_path / "tiny-imagenet" / "tiny-imagenet-200"
    for label, name in enumerate(CLASSES):
        for number in range(3):
            picture(root / "train" / name / "images" / f"{name}_{number}.JPEG", (0, 100 * label, 50 * number))
    picture(root / "val" / "images" / "val_0.JPEG", (200, 0, 0))
    picture(root / "val" / "images" / "val_1.JPEG", 90)  # some of the official ones are grey
    (root / "val" / "val_annotations.txt").write_text(
        f"val_0.JPEG\t{CLASSES[1]}\t0\t0\t63\t63\nval_1.JPEG\t{CLASSES[0]}\t0\t0\t63\t63\n")
    return root


def test_tiny_imagenet_as_published(tiny):
    images, labels = read_tiny_imagenet(test=False)
    assert images.shape == (6, 3 * 64 * 64) and images.dtype == np.uint8 and labels.tolist() == [0, 0, 0, 1, 1, 1]
    planes = images.reshape(6, 3, -1).mean(2)
    assert np.allclose(planes[4], (0, 100, 50), atol=3)
    images, labels = load("tiny-imagenet", "test")
    assert labels.tolist() == [1, 0] and np.allclose(images.reshape(2, 3, -1).mean(2), [(200, 0, 0), (90,) * 3], atol=3)


def test_what_is_wrong_with_tiny_imagenet_is_named(tiny):
    (tiny / "val" / "val_annotations.txt").write_text("val_0.JPEG\tn0\n")
    with pytest.raises(DataError, match=r"val_annotations.txt: line 1 must name a picture and one of the 2 classes"):
        load("tiny-imagenet", "test")
    (tiny / "train" / CLASSES[0] / "images" / f"{CLASSES[0]}_1.JPEG").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"_1.JPEG: must be a picture that can be decoded"):
        load("tiny-imagenet", "train")
    for path in (tiny / "train" / CLASSES[1] / "images").iterdir():
        path.unlink()
    with pytest.raises(DataError, match=r"images: must hold pictures of class 1"):
        load("tiny-imagenet", "train")


def test_imagenet_stays_on_disk(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"imagenet/train: must hold a folder of pictures for each class"):
        load_lazily("imagenet", "train")
    for label, name in enumerate(CLASSES):
        picture(tmp_path / "imagenet" / "train" / name / "a.JPEG", (10, 20, 100 * label), size=(300, 256))
        picture(tmp_path / "imagenet" / "val" / name / "b.JPEG", (10, 20, 100 * label), size=(100, 400))
    images, labels = read_imagenet(test=True)
    assert isinstance(images, FolderImages) and images.shape == (2, 3 * 224 * 224) and labels.tolist() == [0, 1]
    batch = images[torch.tensor([1, 0])]
    assert batch.shape == images.shape and np.allclose(batch.view(2, 3, -1).float().mean(2)[0], (10, 20, 100), atol=3)
    assert [len(part) for part in images.split(1)] == [1, 1] and len(images.part(np.array([1]))) == 1
    assert DATASETS["imagenet"].classes == 1000


def test_the_centre_is_cut_out(tmp_path):
    wide = np.zeros((256, 400, 3), dtype=np.uint8)
    wide[:, 200 - 112 : 200 + 112] = 255
    Image.fromarray(wide).save(tmp_path / "x.png")
    assert (FolderImages([tmp_path / "x.png"], 224)[slice(0, 1)] == 255).all()
