# SPDX-License-Identifier: MIT
"""The loop: resuming, learning, gradients, and the files it leaves."""

import json
import re
from copy import deepcopy
from dataclasses import replace
from unittest.mock import patch

import numpy as np
import pytest
import torch
from firstspike_arch.checkpoint import load_network
from firstspike_train import train, training_run
from firstspike_train.augmentation import mirrored, shifted
from firstspike_train.data import load
from firstspike_train.methods.ettfs import EttfsNetwork
from firstspike_train.recipe import (
    DataRecipe,
    DietRecipe,
    EttfsRecipe,
    MultiThresholdRecipe,
    NetworkRecipe,
    QuantisationRecipe,
    Recipe,
    RecipeError,
    TeacherRecipe,
    TrainingRecipe,
)
from firstspike_train.run_files import RunFiles
from firstspike_train.training_run import DivergenceError, TrainingRun, one_cycle
from firstspike_train.training_state import ResumeError
from safetensors import safe_open
from safetensors.torch import save_file

SMALL = Recipe(
    name="small", seed=3, data=DataRecipe(dataset="digits", shifts=1), network=NetworkRecipe(layers="16-10", steps=8),
    method=EttfsRecipe(kind="ettfs", cutoff=25, decision_loss=0.1),
    training=TrainingRecipe(epochs=3, batch_size=128, learning_rate=0.02),
    quantisation=QuantisationRecipe(weight_bits=(5, 5), epochs=3),
)

ALL = Recipe(
    name="all", seed=3, data=DataRecipe(dataset="digits", shifts=1, cutout=2, alterations=1, mixup=0.2),
    network=NetworkRecipe(layers="4C3p1-P2-16-10", steps=2, normalisation="batch"),
    method=MultiThresholdRecipe(kind="multi_threshold", learns=("theta", "leak")),
    training=TrainingRecipe(epochs=3, batch_size=128, learning_rate=0.02, label_smoothing=0.1, average=0.9,
                            precision="mixed", decays="weights"),
    quantisation=QuantisationRecipe(weight_bits=(5, 5, 5), epochs=2, precision="mixed"),
    teacher=TeacherRecipe(layers="8C3p1-P2-32-10", epochs=2, learning_rate=0.02, share=0.6, temperature=2.0),
)
"""Every option at once."""


def same(a, b):
    return all(
        np.array_equal(x.weight, y.weight) and np.array_equal(x.neuron.bias, y.neuron.bias)
        and np.array_equal(x.neuron.theta, y.neuron.theta)
        and x.weight_scale == y.weight_scale
        for x, y in zip(a.layers, b.layers, strict=True)
    )


@pytest.mark.thinned(2)
@pytest.mark.parametrize(("recipe", "cut"), [
    *((SMALL, cut) for cut in (2, 3, 5)), *((ALL, cut) for cut in (1, 2, 3, 5, 6))])
def test_a_run_cut_anywhere_gives_the_result_of_an_uninterrupted_one(tmp_path, recipe, cut):
    whole = train(recipe, tmp_path / "whole.safetensors", progress=False)
    advance = TrainingRun.advance

    def advance_until_killed(run):
        if run.epoch == cut:
            raise KeyboardInterrupt
        advance(run)

    output = tmp_path / "cut.safetensors"
    with (patch.object(TrainingRun, "advance", autospec=True, side_effect=advance_until_killed),
          pytest.raises(KeyboardInterrupt)):
        train(recipe, output, progress=False)
    assert not output.exists() and (tmp_path / "cut.safetensors.resume.safetensors").exists()
    resumed = train(recipe, output, progress=False)
    assert same(whole, resumed) and whole.accuracy == resumed.accuracy and whole.recipe == resumed.recipe
    assert same(load_network(output), whole)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cut.safetensors", "whole.safetensors"]


def test_a_state_of_another_recipe_or_a_broken_one_is_refused(tmp_path):
    state = tmp_path / "state"
    run = TrainingRun(SMALL, RunFiles(state=state))
    run.advance()
    with pytest.raises(ResumeError, match="another recipe; delete it or train with resume=False"):
        run.files.restore(TrainingRun(replace(SMALL, seed=4)), resume=True)
    state.write_bytes(state.read_bytes()[:-100])
    with pytest.raises(ResumeError, match="must be a whole training state"):
        run.files.restore(run, resume=True)


def test_a_state_of_before_an_option_is_that_of_a_recipe_without_it(tmp_path):
    state = tmp_path / "state"
    run = TrainingRun(SMALL, RunFiles(state=state))
    run.advance()
    with safe_open(state, framework="pt") as file:
        (name, facts), = file.metadata().items()
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for table, key, known in (("method", "input", True), ("training", "decays", True), ("method", "cutoff", False)):
        changed = json.loads(facts)
        del changed["recipe"][table][key]
        save_file(tensors, state, {name: json.dumps(changed)})
        again = TrainingRun(SMALL, RunFiles(state=state))
        if known:
            again.files.restore(again, resume=True)
            assert again.epoch == 1
        else:
            with pytest.raises(ResumeError, match="another recipe"):
                again.files.restore(again, resume=True)


@pytest.mark.parametrize("decays", ["all", "weights"])
def test_the_weight_decay_shrinks_all_or_weights_alone(decays):
    recipe = replace(ALL, teacher=None, training=replace(ALL.training, decays=decays, weight_decay=0.1, epochs=1))
    run = TrainingRun(recipe)
    run._start(run.phases[0])
    run.loss = lambda images, targets, generator: sum(one.sum() * 0 for one in run.module.parameters())
    gain, weight = (run.module.get_parameter(f"stack.0.{name}") for name in ("normalisation.gain", "weight"))
    with torch.no_grad():
        gain.fill_(1.5)
        weight.fill_(0.5)
    with patch.object(TrainingRun, "_start"), patch.object(TrainingRun, "_settle"):
        run.advance()
    assert (weight < 0.5).all() and (weight > 0.4).all()
    assert (gain == 1.5).all() if decays == "weights" else (gain < 1.5).all()


def test_a_diverged_training_ends_and_keeps_the_state_before(tmp_path):
    state = tmp_path / "x.safetensors.resume.safetensors"
    run = TrainingRun(SMALL, RunFiles(state=state))
    run.advance()
    kept = state.read_bytes()
    with torch.no_grad():
        run.module.stack[0].weight.fill_(torch.nan)
    with pytest.raises(DivergenceError, match=r"^small: .* must stay finite, but do not in epoch 2 \(real\): lower"):
        run.advance()
    assert state.read_bytes() == kept


def test_where_nothing_can_be_written_is_said_before_training(tmp_path):
    (tmp_path / "file").touch()
    for options in ({"output": tmp_path}, {"output": tmp_path / "x", "real": tmp_path},
                    {"output": tmp_path / "file" / "x"}, {"output": tmp_path / "x", "real": tmp_path / "file" / "x"}):
        with (patch.object(TrainingRun, "advance", autospec=True, side_effect=AssertionError("it trains")),
              pytest.raises(OSError, match=re.escape(str(tmp_path)))):
            train(SMALL, **options, progress=False)


def test_the_state_of_real_numbers_goes_into_a_folder_that_is_made(tmp_path):
    train(SMALL, tmp_path / "x.safetensors", progress=False, real=tmp_path / "new" / "real")
    assert (tmp_path / "new" / "real").exists()


def test_a_single_layer_has_no_spikes_to_spare(tmp_path):
    recipe = replace(
        SMALL, network=NetworkRecipe(layers="10", steps=4), quantisation=QuantisationRecipe(weight_bits=(5,)))
    plain, costly = (train(replace(recipe, training=replace(recipe.training, spike_loss=weight)),
                           tmp_path / f"{weight}.safetensors", progress=False) for weight in (0.0, 1.0))
    assert same(plain, costly)


def test_recipes_that_differ_in_quantisation_alone_share_the_training_in_real_numbers(tmp_path, monkeypatch):
    coarse = replace(SMALL, name="coarse", quantisation=QuantisationRecipe(weight_bits=(3, 3), epochs=1))
    whole = train(coarse, tmp_path / "whole.safetensors", progress=False)
    real = tmp_path / "real.safetensors"
    train(SMALL, tmp_path / "small.safetensors", progress=False, real=real)
    epochs, advance = [], TrainingRun.advance

    def noted(run):
        epochs.append(run.epoch)
        advance(run)

    with patch.object(TrainingRun, "advance", autospec=True, side_effect=noted):
        shared = train(coarse, tmp_path / "coarse.safetensors", progress=False, real=real)
    assert epochs == [3] and same(shared, whole) and shared.recipe == whole.recipe
    assert shared.accuracy == whole.accuracy
    with pytest.raises(ResumeError, match="another recipe; delete it or name another"):
        train(replace(coarse, seed=4), tmp_path / "other.safetensors", progress=False, real=real)


def test_a_training_begins_with_the_weights_of_another(tmp_path):
    real, still = tmp_path / "real", replace(
        ALL, name="still", training=replace(ALL.training, epochs=1, learning_rate=1e-12, weight_decay=0.0, average=0.0))
    first = train(ALL, tmp_path / "first.safetensors", progress=False, real=real)
    second = train(still, tmp_path / "second.safetensors", progress=False, start=real)
    anew = train(still, tmp_path / "anew.safetensors", progress=False)
    assert anew.accuracy["float_test"] < 0.5 < second.accuracy["float_test"]
    assert abs(second.accuracy["float_test"] - first.accuracy["float_test"]) < 0.05  # running means go on
    assert second.recipe["history"][7]["potential"] == first.accuracy["float_validation"]
    assert [entry["phase"] for entry in second.recipe["history"]] == [
        *["start"] * 5, "teacher", "teacher", "start", "real", "quantised", "quantised", "test"]
    other = replace(ALL, network=replace(ALL.network, steps=3))
    with pytest.raises(ResumeError, match="another recipe; name one of the same network and method, written by --real"):
        train(other, tmp_path / "x.safetensors", progress=False, start=real)
    with pytest.raises(ResumeError, match="must be a whole training state"):
        train(ALL, tmp_path / "x.safetensors", progress=False, start=tmp_path / "missing")


def test_recipes_that_differ_behind_the_teacher_share_it(tmp_path):
    other = replace(ALL, name="other", network=NetworkRecipe(layers="16-10", steps=2, normalisation="batch"),
                    quantisation=QuantisationRecipe(weight_bits=(5, 5)), training=replace(ALL.training, epochs=1),
                    teacher=replace(ALL.teacher, share=0.9))
    teacher, phases, start = tmp_path / "new" / "teacher", [], TrainingRun._start

    def noted(run, phase):
        phases.append(phase.name)
        start(run, phase)

    first = train(ALL, tmp_path / "all.safetensors", progress=False, teacher=teacher)
    assert same(first, train(ALL, tmp_path / "whole.safetensors", progress=False))
    kept = teacher.read_bytes()
    with patch.object(TrainingRun, "_start", autospec=True, side_effect=noted):
        second = train(other, tmp_path / "other.safetensors", progress=False, teacher=teacher)
    assert "teacher" not in phases and "real" in phases and teacher.read_bytes() == kept
    for split in ("validation", "test"):
        assert 0.5 < first.accuracy[f"teacher_{split}"] == second.accuracy[f"teacher_{split}"]
    assert [entry["phase"] for entry in second.recipe["history"]] == ["teacher", "teacher", "real", "test"]
    with pytest.raises(ResumeError, match="another recipe; delete it or name another"):
        train(replace(other, seed=4), tmp_path / "x.safetensors", progress=False, teacher=teacher)
    teacher.write_bytes(kept[:-100])
    with pytest.raises(ResumeError, match="must be a whole training state"):
        train(other, tmp_path / "x.safetensors", progress=False, teacher=teacher)
    with pytest.raises(RecipeError, match=r"^small: must have a \[teacher\] whose training .* can hold$"):
        train(SMALL, tmp_path / "x.safetensors", progress=False, teacher=teacher)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["aot_eager", pytest.param("inductor", marks=pytest.mark.slow)])
def test_a_compiled_training_differs_by_roundings_alone(tmp_path, monkeypatch, backend):
    plain = train(SMALL, tmp_path / "plain.safetensors", progress=False)
    compiled_phases, compile = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda loss, **options: (
        compiled_phases.append(loss.__self__.stack[0].rounds), compile(loss, backend=backend, **options))[1])
    fused = train(SMALL, tmp_path / "fused.safetensors", progress=False, compiled=True)
    assert compiled_phases == [False]  # once, for real numbers
    found, wanted = ([entry.get("loss") for entry in network.recipe["history"][:3]] for network in (fused, plain))
    assert found == pytest.approx(wanted, rel=1e-3)


def test_a_mixed_training_rounds_products_of_real_numbers_alone(tmp_path, monkeypatch):
    runs, products, start, multiply = [], set(), TrainingRun.__init__, torch.nn.functional.linear

    def watched(run, *arguments, **options):
        runs.append(run)
        start(run, *arguments, **options)

    def spied(*operands):
        product = multiply(*operands)
        products.add((runs[-1].module.stack[0].rounds, torch.is_grad_enabled(), product.dtype))
        return product

    monkeypatch.setattr(training_run, "has_bfloat16", lambda: True)
    monkeypatch.setattr(TrainingRun, "__init__", watched)
    monkeypatch.setattr(torch.nn.functional, "linear", spied)
    plain, mixed = (train(SMALL, tmp_path / f"{on}.safetensors", progress=False, mixed=on) for on in (False, True))
    assert products == {
        (False, True, torch.float32), (False, True, torch.bfloat16),  # plain and mixed, trained
        (False, False, torch.float32), (True, True, torch.float32), (True, False, torch.float32)}
    found, wanted = ([entry.get("loss") for entry in network.recipe["history"][:3]] for network in (mixed, plain))
    assert found == pytest.approx(wanted, rel=0.05) and found != wanted


def test_training_learns_and_keeps_the_recipe(tmp_path):
    recipe = replace(SMALL, data=DataRecipe(dataset="digits"),
                     method=replace(SMALL.method, score_gain=20.0),
                     training=replace(SMALL.training, epochs=20, batch_size=64, weight_decay=0.5))
    network = train(recipe, tmp_path / "x.safetensors", progress=False)
    assert network.accuracy["quantised_test"] > 0.8
    history = network.recipe["history"]
    assert network.recipe["seed"] == 3 and len(history) == 24 and history[-1]["phase"] == "test"
    assert all(0.02 < entry["layer0_firing"] < 0.7 for entry in history)


@pytest.mark.parametrize("surrogate", ["triangle", "sigmoid"])
@pytest.mark.parametrize("quantised", [False, True])
def test_gradients_reach_every_parameter(surrogate, quantised):
    recipe = replace(SMALL, method=replace(SMALL.method, surrogate=surrogate))
    generator = torch.Generator().manual_seed(0)
    module = EttfsNetwork(recipe, (1, 8, 8), generator)
    images, labels = (torch.from_numpy(values[:200]) for values in load("digits", "train"))
    if quantised:
        module.start("quantised", images)
    module.loss(images, labels, generator).backward()
    for name, value in module.named_parameters():
        if value.requires_grad:
            assert torch.isfinite(value.grad).all() and value.grad.abs().max() > 0, name


def test_shifts_move_whole_images_within_reach():
    image = torch.zeros(1, 16, dtype=torch.uint8)
    image[0, 5] = 9  # row 1, column 1
    moved = shifted(image.repeat(200, 1), (1, 4, 4), 1, torch.Generator().manual_seed(0))
    assert set(moved.argmax(1).tolist()) == {0, 1, 2, 4, 5, 6, 8, 9, 10} and (moved.sum(1) == 9).all()
    assert shifted(image, (1, 4, 4), 0, torch.Generator()) is image


def test_mirrors_turn_rows_around():
    images = torch.arange(16, dtype=torch.uint8).repeat(50, 1)
    turned = torch.arange(16, dtype=torch.uint8).view(4, 4).flip(1).flatten()
    found = mirrored(images, (1, 4, 4), torch.Generator().manual_seed(0))
    same_rows, turned_rows = (found == images).all(1), (found == turned).all(1)
    assert (same_rows | turned_rows).all() and same_rows.any() and turned_rows.any()


def test_one_cycle_rises_to_one_and_ends_at_zero():
    values = [one_cycle(part) for part in np.linspace(0, 1, 101)]
    assert values[0] == pytest.approx(1 / 25) and max(values) == 1 and values[-1] == pytest.approx(0)


def test_what_is_averaged_is_validated_and_goes_on(monkeypatch):
    recipe = replace(ALL, teacher=None, training=replace(ALL.training, average=0.5, epochs=2))
    run, average = TrainingRun(recipe), None
    weight, constrain = run.module.stack[1].weight, run.module.constrain

    def watched():  # behind every step
        nonlocal average
        constrain()
        now = weight.detach().clone()
        average = now if average is None else average.lerp(now, 0.5)

    monkeypatch.setattr(run.module, "constrain", watched)
    run.advance()
    assert torch.allclose(run.judged.stack[1].weight, average, atol=1e-6) and run.judged is not run.module
    assert not torch.equal(average, weight)
    run.advance()
    assert run.judged is run.module and torch.allclose(weight, average, atol=1e-6)


def test_a_teacher_learns_first_and_is_then_learned_from(tmp_path):
    teacher = TeacherRecipe(layers="16C3p1-P2-64-10", epochs=6, learning_rate=0.01, share=1.0)
    recipe = replace(ALL, data=DataRecipe(dataset="digits"), teacher=teacher,
                     training=replace(ALL.training, epochs=5, label_smoothing=0.0))
    run = TrainingRun(recipe, RunFiles(state=tmp_path / "state"))
    torch.manual_seed(0)
    run.labels = run.labels.clone()
    while run.epoch < 6:
        run.advance()
    assert [entry["phase"] for entry in run.history] == ["teacher"] * 6 and run.history[-1]["potential"] > 0.9
    taught = {name: value.clone() for name, value in run.teacher.state_dict().items()}
    run.labels = torch.zeros_like(run.labels)  # with a share of 1, labels do not count
    while run.epoch < 11:
        run.advance()
    assert run.history[-1]["potential"] > 0.75
    assert all(torch.equal(value, taught[name]) for name, value in run.teacher.state_dict().items())


def test_a_teacher_of_the_same_layers_is_the_ann_of_diet(tmp_path):
    layers = "8C3p1-P2-32-10"
    recipe = replace(
        ALL, teacher=TeacherRecipe(layers=layers, epochs=2, learning_rate=0.01, share=0.5),
        network=NetworkRecipe(layers=layers, steps=4, normalisation="batch"),
        method=DietRecipe(kind="diet_snn", pretraining_epochs=0), quantisation=replace(
            ALL.quantisation, weight_bits=(8, 6, 8)))
    assert [phase.name for phase in recipe.phases] == ["teacher", "real", "quantised"]
    run = TrainingRun(recipe, RunFiles(state=tmp_path / "state"))
    while run.epoch < 2:
        run.advance()
    module, images = deepcopy(run.module), run.images[:50]
    module.adopt(run.teacher)
    module.analogue = True
    module.eval()
    with torch.no_grad():
        own = module.potential(module.rectified(images, None)[-1])
        assert torch.allclose(own, run.teacher(images) - run.teacher.layers[-1].bias, atol=1e-4)
        folded = own.clone()
        for layer in module.stack:
            layer.fold()
        assert torch.allclose(module.potential(module.rectified(images, None)[-1]), folded, atol=1e-3)
    again = TrainingRun(recipe, RunFiles(state=tmp_path / "state"))
    again.files.restore(again, resume=True)
    for one in (run, again):
        one.advance()
    assert run.history[-1] == again.history[-1] and run.history[-1]["phase"] == "real"


def test_a_network_of_many_weights_takes_the_threads_that_are_there_and_goes_on_with_them(tmp_path, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    wide = replace(ALL, teacher=None, network=replace(ALL.network, layers="256C3p1-512C3p1-10"))
    assert [TrainingRun(recipe).threads for recipe in (SMALL, wide)] == [1, 3]
    assert TrainingRun(SMALL, threads=2).threads == 2
    files = RunFiles(state=tmp_path / "state")
    TrainingRun(SMALL, files, threads=2).advance()
    again, other = TrainingRun(SMALL), TrainingRun(SMALL, threads=1)
    for one in (again, other):
        files.restore(one, resume=True)
    assert (again.threads, other.threads) == (2, 1)


def test_as_many_threads_give_the_same_result(tmp_path):
    recipe = replace(ALL, teacher=None, network=replace(ALL.network, layers="32C3p1-P2-64-10"))
    one, two = (train(recipe, tmp_path / f"{name}.safetensors", progress=False, threads=2) for name in ("one", "two"))
    assert same(one, two) and one.recipe == two.recipe


def test_threads_are_as_they_were_behind_a_training(tmp_path):
    before = torch.get_num_threads()
    train(replace(SMALL, training=replace(SMALL.training, epochs=1)), tmp_path / "x.safetensors", progress=False,
          threads=before + 1)
    assert torch.get_num_threads() == before
    with pytest.raises(ValueError, match="threads must be at least 0, not -1"):
        train(SMALL, tmp_path / "x.safetensors", progress=False, threads=-1)


def test_mixed_precision_of_a_recipe_orders_channels_last_where_a_processor_has_bfloat16(monkeypatch):
    monkeypatch.setattr(training_run, "has_bfloat16", lambda: False)
    assert not TrainingRun(ALL).mixed
    monkeypatch.setattr(training_run, "has_bfloat16", lambda: True)
    run = TrainingRun(ALL)
    assert run.mixed and run.module.stack[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert not TrainingRun(replace(ALL, training=replace(ALL.training, precision="full"))).mixed


def test_in_a_file_every_epoch_is_a_line(tmp_path, capsys):
    train(replace(SMALL, training=replace(SMALL.training, epochs=1)), tmp_path / "x.safetensors")
    lines = [line for line in capsys.readouterr().out.splitlines() if ": epoch " in line]
    assert re.fullmatch(r"small: epoch 1 of 4, real: loss \d\.\d{3}, validation \d+\.\d\d%, \d+ s", lines[0])
    assert len(lines) == 4
