# SPDX-License-Identifier: MIT
"""Spoken digits in files of the official layout, written here: read, refused where they are wrong, and trained on."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from firstspike_compiler.compile import compile_network
from firstspike_sim.models.golden import GoldenModel
from firstspike_train import load_recipe, train
from firstspike_train.data import DataError
from firstspike_train.inputs import load_inputs
from firstspike_train.recipe import RecipeError
from firstspike_train.recordings import load_recordings, load_shd

RECIPE = Path(__file__).parents[2] / "recipes" / "shd_multi_threshold.toml"
TIMES, UNITS, LABELS = [[0.0, 0.01, 0.5, 1.25], [], [0.25]], [[699, 3, 3, 0], [], [7]], [3, 19, 0]


def write(path, times=TIMES, units=UNITS, labels=LABELS, time_type=np.float16, unit_type=np.uint16, without=()):
    """As shd_train.h5 is made: times in seconds as half floats, and what nothing here needs in extra."""
    with h5py.File(path, "w") as file:
        for name, lists, kind in (("times", times, time_type), ("units", units, unit_type)):
            found = file.create_dataset(f"spikes/{name}", (len(lists),), dtype=h5py.vlen_dtype(kind))
            for index, one in enumerate(lists):
                found[index] = np.asarray(one, dtype=kind)
        file["labels"] = np.asarray(labels, dtype=np.uint16)
        file["extra/speaker"] = np.zeros(len(labels), dtype=np.uint16)
        file["extra/keys"] = np.array([f"digit {number}".encode() for number in range(20)])
        for name in without:
            del file[name]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FIRSTSPIKE_DATA", str(tmp_path))
    (tmp_path / "shd").mkdir()
    return tmp_path / "shd"


def test_spikes_come_back_and_are_binned(folder):
    write(folder / "shd_test.h5")
    counts, labels = load_shd("test", 100, 10_000)
    assert counts.shape == (3, 100, 700) and labels.tolist() == LABELS and labels.dtype == np.int64
    # 0.01 s as a half float is 10,002 µs; 1.25 s is behind the last step.
    assert np.argwhere(counts[0]).tolist() == [[0, 699], [1, 3], [50, 3]]
    assert [one.sum() for one in counts] == [3, 0, 1]


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"units": [[699, 3, 700, 0], [], [7]]}, "recording 0: units must be 0…699, not 700"),
    ({"units": [[1, 3, -1, 0], [], [7]], "unit_type": np.int16}, "recording 0: units must be 0…699, not -1"),
    ({"times": [[0.0, 0.01, 0.5, 1.25], [], [-0.25]]},
     "recording 2: times must be finite and at least 0 s, not -0.25"),
    ({"times": [[0.0, 0.01, np.nan, 1.25], [], [1]]}, "recording 0: times must be finite and at least 0 s, not nan"),
    ({"times": [[0.0, 0.01, 0.5], [], [1]]}, "recording 0 must have a unit for each time, not 4 for 3"),
])
def test_a_bad_recording_is_refused_when_it_is_taken(folder, changes, sentence):
    write(folder / "shd_train.h5", **changes)
    counts, _ = load_shd("train", 10, 100_000)
    with pytest.raises(DataError, match=f"shd_train.h5: {re.escape(sentence)}$"):
        counts[:]


@pytest.mark.parametrize(("changes", "sentence"), [
    ({"labels": [3, 20, 0]}, "labels must be 0…19, not 20 of recording 1"),
    ({"labels": [3, 1]}, "spikes/times, spikes/units and labels must be of as many recordings, not of 3, 3 and 2"),
    ({"labels": [[3], [1], [0]]}, "labels must be there, one for each recording, as in shd_train.h5"),
    ({"without": ["labels"]}, "labels must be there, one for each recording, as in shd_train.h5"),
    ({"without": ["spikes/units"]}, "spikes/units must be there, one for each recording, as in shd_train.h5"),
    ({"without": ["spikes"]}, "spikes/times must be there, one for each recording, as in shd_train.h5"),
    ({"unit_type": np.float32}, "spikes/units must be lists of integers, not float32"),
    ({"time_type": np.int32}, "spikes/times must be lists of real numbers, not int32"),
    ({"times": [], "units": [], "labels": []}, "must hold recordings"),
])
def test_a_file_that_is_none_of_shd_is_refused(folder, changes, sentence):
    write(folder / "shd_test.h5", **changes)
    with pytest.raises(DataError, match=f"{re.escape(sentence)}$"):
        load_shd("test", 10, 100_000)


def test_a_plain_array_of_spikes_is_refused(folder):
    write(folder / "shd_test.h5", without=["spikes/times"])
    with h5py.File(folder / "shd_test.h5", "a") as file:
        file["spikes/times"] = np.zeros(3, dtype=np.float16)
    with pytest.raises(DataError, match=r"spikes/times must be lists of real numbers, not float16$"):
        load_shd("test", 10, 100_000)


def test_a_file_that_is_missing_or_not_whole_is_named(folder, monkeypatch):
    path = folder / "shd_test.h5"
    with pytest.raises(DataError, match=r"shd_test.h5: is missing; put the official file there$"):
        load_shd("test", 10, 100_000)
    write(path)
    path.write_bytes(path.read_bytes().replace(b"GCOL", b"LOST"))
    with pytest.raises(DataError, match=r"shd_test.h5: spikes/times cannot be read: .*signature"):
        load_shd("test", 10, 100_000)[0][0]
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(DataError, match=r"shd_test.h5: must be an HDF5 file: .*truncated"):
        load_shd("test", 10, 100_000)
    path.write_bytes(b"no file of HDF5")
    with pytest.raises(DataError, match=r"shd_test.h5: must be an HDF5 file: .*signature not found"):
        load_shd("test", 10, 100_000)
    with pytest.raises(DataError, match="split must be train or test, not 'all'"):
        load_shd("all", 10, 100_000)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(DataError, match=r"h5py must be installed to read it: pip install 'firstspike\[train\]'$"):
        load_shd("test", 10, 100_000)
    monkeypatch.delenv("FIRSTSPIKE_DATA")
    with pytest.raises(DataError, match=r"FIRSTSPIKE_DATA must be set to the folder that holds shd/shd_test.h5"):
        load_shd("test", 10, 100_000)


def test_the_shipped_recipe_trains_on_such_files(folder, tmp_path):
    random = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 10)):
        labels = np.arange(count) % 20
        times = [np.sort(random.uniform(0, 1, 200)) for _ in labels]
        units = [(35 * label + random.integers(0, 35, 200)) for label in labels]
        write(folder / f"shd_{split}.h5", times, units, labels)
    shipped = load_recipe(RECIPE)
    recipe = replace(
        shipped, data=replace(shipped.data, step_us=33_000),
        network=replace(shipped.network, layers="16r-20", steps=30),
        training=replace(shipped.training, epochs=6, batch_size=8, learning_rate=0.02),
        quantisation=replace(shipped.quantisation, epochs=1))
    network = train(recipe, tmp_path / "x.safetensors", progress=False)
    layer = network.layers[0]
    assert layer.neuron.lasts and len(layer.branches) == 1 and 0 < layer.delays.max() <= recipe.network.delays
    counts, labels = load_inputs(recipe, "test")
    golden = GoldenModel(compile_network(network).program.network).run(counts)
    assert (golden.classes == labels).mean() == network.accuracy["quantised_test"] > 0.1
    assert 0.005 < golden.spikes[1].mean() < 0.9


def test_splits_and_recipes(folder):
    write(folder / "shd_train.h5", TIMES * 8, UNITS * 8, LABELS * 8)
    parts = [len(load_recordings("shd", split, 10, 100_000)[1]) for split in ("train", "validation")]
    assert parts == [22, 2]
    data = load_recipe(RECIPE).data
    with pytest.raises(RecipeError, match=r"data.shifts must be 0…40 channels with shd, not 41"):
        replace(data, shifts=41)
    with pytest.raises(RecipeError, match=r"data.mirrors must be false with shd, not True"):
        replace(data, mirrors=True)
