# SPDX-License-Identifier: MIT
"""CIFAR batches of every pickle protocol, written here; and pickles that want to do something else."""

import os
import pickle

import numpy as np
import pytest
from firstspike_train import cifar
from firstspike_train.cifar import CIFAR_PIXELS, CifarWarning, read_batch
from firstspike_train.data import DataError, load

IMAGES = np.random.default_rng(0).integers(0, 256, (6, CIFAR_PIXELS), dtype=np.uint8)
LABELS = [3, 1, 4, 1, 5, 9]


def packed(protocol, images=IMAGES, labels=LABELS, key=b"labels"):
    raw = pickle.dumps({b"data": images, key: labels, b"batch_label": b"testing batch 1 of 1"}, protocol)
    # The official files were written by the NumPy of their time.
    return raw.replace(b"numpy._core.multiarray", b"numpy.core.multiarray") if protocol <= 2 else raw


@pytest.mark.parametrize("protocol", range(6))
def test_batches_of_every_protocol_come_back(tmp_path, protocol):
    (tmp_path / "batch").write_bytes(packed(protocol))
    images, labels = read_batch(tmp_path / "batch", "labels")
    assert np.array_equal(images, IMAGES) and labels.tolist() == LABELS and labels.dtype == np.int64


class Opens:
    def __reduce__(self):
        return os.system, ("touch executed",)


@pytest.mark.parametrize("raw", [
    pickle.dumps(Opens()), pickle.dumps({b"data": IMAGES, b"labels": [Opens()]}), packed(4)[:-40], b"", b"\x80\x04N.",
    packed(4, images=IMAGES.astype(np.float32)), packed(4, images=IMAGES.astype(object)),
    packed(4, images=IMAGES[:, :9]), packed(4, labels=LABELS[:3]), packed(4, labels=["x"] * 6),
    packed(4, key=b"coarse_labels"),
    packed(4, images=np.asfortranarray(IMAGES)), b"c__builtin__\neval\n(S'1'\ntR.", b"cnumpy\nload\n(S'x'\ntR.",
    b"c_codecs\nencode\n(X\x01\x00\x00\x00aX\x03\x00\x00\x00zip\ntR.",
])
def test_anything_else_is_refused_and_nothing_is_executed(tmp_path, monkeypatch, raw):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch").write_bytes(raw)
    with pytest.raises(DataError, match=r"batch: must (be a python batch|hold images of 3072 bytes)"):
        read_batch(tmp_path / "batch", "labels")
    assert [path.name for path in tmp_path.iterdir()] == ["batch"]


def test_a_folder_of_batches_that_are_not_official_is_read_with_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    with pytest.raises(DataError, match=r"data_batch_1: cannot be read .* let 'firstspike data' fetch them"):
        load("cifar10", "train")
    folder = tmp_path / "cifar10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for number in range(1, 6):
        (folder / f"data_batch_{number}").write_bytes(packed(4, labels=[number] * 6))
    (folder / "test_batch").write_bytes(packed(4))
    with pytest.warns(CifarWarning, match="test_batch must be reported as reconstructed"):
        images, labels = load("cifar10", "test")
    assert np.array_equal(images, IMAGES) and labels.tolist() == LABELS
    with pytest.warns(CifarWarning), pytest.raises(DataError, match="more than 5000 training items, not 30"):
        load("cifar10", "train")
    (folder / "test_batch").write_bytes(packed(4, labels=[10] * 6))
    with pytest.raises(DataError, match=r"test_batch: labels must be 0…9, not 10…10"):
        load("cifar10", "test")


def test_fine_labels_of_a_hundred_classes(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    folder = tmp_path / "cifar100" / "cifar-100-python"
    folder.mkdir(parents=True)
    raw = packed(2, labels=[99] * 6, key=b"fine_labels")
    (folder / "test").write_bytes(raw)
    with pytest.warns(CifarWarning):
        assert load("cifar100", "test")[1].tolist() == [99] * 6


def test_the_official_file_gives_no_warning(tmp_path, monkeypatch, recwarn):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    folder = tmp_path / "cifar10" / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    (folder / "test_batch").write_bytes(packed(2))
    monkeypatch.setitem(cifar._CIFAR10, "test_batch", cifar.md5_of(folder / "test_batch"))
    load("cifar10", "test")
    assert not recwarn.list
