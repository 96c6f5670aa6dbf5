# SPDX-License-Identifier: MIT
"""Data sets: shapes, disjoint splits, and sentences for what is missing."""

import os

import numpy as np
import pytest
from firstspike_train.data import DATA_VARIABLE, DataError, load


def test_digits_come_in_three_fixed_splits():
    sizes = {}
    for split in ("train", "validation", "test"):
        images, labels = load("digits", split)
        assert images.dtype == np.uint8 and images.shape[1:] == (64,) and labels.dtype == np.int64
        assert images.max() == 255 and set(labels) == set(range(10))
        assert np.array_equal(images, load("digits", split)[0])
        sizes[split] = len(images)
    assert sizes == {"train": 1237, "validation": 200, "test": 360}


@pytest.mark.skipif(DATA_VARIABLE not in os.environ, reason=f"{DATA_VARIABLE} is not set: no MNIST files")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_official_files_are_read(name):
    images, labels = load(name, "test")
    assert images.shape == (10_000, 784) and images.dtype == np.uint8 and len(labels) == 10_000
    assert labels[:3].tolist() == ([7, 2, 1] if name == "mnist" else [9, 2, 1])
    assert len(load(name, "validation")[0]) == 5000 and len(load(name, "train")[0]) == 55_000


def test_unknown_names_are_refused():
    with pytest.raises(DataError, match=r"dataset must be one of digits, mnist, .*, imagenet, not 'cifar'"):
        load("cifar", "test")
    with pytest.raises(DataError, match="split must be one of train, validation, test, not 'all'"):
        load("digits", "all")


def test_missing_and_altered_files_are_named(tmp_path, monkeypatch):
    monkeypatch.delenv(DATA_VARIABLE, raising=False)
    with pytest.raises(DataError, match="FIRSTSPIKE_DATA must be set to the folder that holds mnist/t10k-images"):
        load("mnist", "test")
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte.gz: cannot be read .*put the official file there"):
        load("mnist", "test")
    (tmp_path / "mnist").mkdir()
    (tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz").write_bytes(b"x")
    with pytest.raises(DataError, match="MD5 must be 9fb629c4189551a2d022fa330f9573f3; the file is truncated"):
        load("mnist", "test")
