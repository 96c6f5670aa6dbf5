# SPDX-License-Identifier: MIT
"""Models with a forward of their own: what differs from step to step is refused by name; the model stays as it is."""

import io
import random

import numpy as np
import pytest
import snntorch as snn
import torch
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.snntorch_module import from_snntorch
from torch import nn

STEPS = 4


class Net(nn.Module):
    """A forward as given, of one step or of all, over a few modules."""

    def __init__(self, forward, **attributes):
        super().__init__()
        self.fc, self.back = nn.Linear(6, 5), nn.Linear(5, 5)
        self.lif, self.handed = snn.Leaky(beta=0.5, init_hidden=True), snn.Leaky(beta=0.5)
        self.norms = nn.ModuleList(nn.BatchNorm1d(5) for _ in range(STEPS))
        self.register_buffer("seen", torch.zeros(1))
        for name, value in attributes.items():
            setattr(self, name, value)
        self.how = forward

    def forward(self, x):
        return self.how(self, x)


def load(model: nn.Module, **changes):
    fields = {"in_shape": (6,), "steps": STEPS, "readout": "spike_count", "input_kind": "direct"} | changes
    return from_snntorch(model.eval(), **fields)


def one_norm_a_step(self, x):
    self.step += 1
    return self.lif(self.norms[self.step % STEPS](self.fc(x)))


def one_norm_of_a_loop(self, x):
    return torch.stack([self.lif(norm(self.fc(x))) for norm in self.norms])


def kept_recurrence(self, x):
    self.h = self.lif(self.fc(x) + self.back(self.h if isinstance(self.h, torch.Tensor) else torch.zeros(len(x), 5)))
    return self.h


def later_changes(self, x):
    """Differs in the last step only."""
    self.step += 1
    return self.lif(self.fc(x) * (2 if self.step == STEPS else 1))


def counted(self, x):
    self.step += 1
    return self.lif(self.fc(x))


def listed(self, x):
    self.h.append(None)
    return self.lif(self.fc(x))


def updates_a_buffer(self, x):
    self.seen += 1
    return self.lif(self.fc(x))


def replaces_a_weight(self, x):
    with torch.no_grad():
        self.fc.weight.mul_(0.5)
    return self.lif(self.fc(x))


OUTSIDE: list[int] = []


def changes_the_outside(self, x):
    OUTSIDE.append(1)
    return self.lif(self.fc(x))


def draws(self, x):
    return self.lif(self.fc(x) * (1 + random.randrange(1)))


def depends_on_numbers(self, x):
    return self.lif(self.fc(x)) if x.mean() > 0 else x


def uses_neurons_twice(self, x):
    return self.lif(self.back(self.lif(self.fc(x))))


def starts_anew(self, x):
    return self.lif(self.fc(x), self.lif.reset_mem())


def starts_elsewhere(self, x):
    return self.lif(self.fc(x), torch.ones(len(x), 5))


def runs_less(self, x):
    return torch.stack([self.lif(self.fc(x)) for _ in range(STEPS - 1)])


def backwards(self, x):
    state, spikes = self.handed.reset_mem(), []
    for step in reversed(range(STEPS)):
        one, state = self.handed(self.fc(x[step]), state)
        spikes.append(one)
    return torch.stack(spikes)


def handed(body):
    """A loop over [T, B, …] in which the body gets and gives the state of `handed`."""

    def forward(self, x):
        state, values = self.handed.reset_mem(), []
        for step in range(STEPS):
            one, state = body(self, x, step, state)
            values.append(one)
        return torch.stack(values)

    return forward


def membranes_on(self, x, step, state):
    _, state = self.handed(self.fc(x[step]), state)
    return self.lif(self.back(state)), state


def membranes_out(self, x, step, state):
    _, state = self.handed(self.fc(x[step]), state)
    return state, state


def decays_by_hand(self, x, step, state):
    one, state = self.handed(self.fc(x[step]), state)
    return one, 0.5 * state


def starts_again(self, x, step, state):
    return self.handed(self.fc(x[step]), self.handed.reset_mem() if step == 2 else state)


def in_place(self, x, step, state):
    one, state = self.handed(self.fc(x[step]), state)
    spikes = torch.zeros(x.shape[1], 5)
    spikes.add_(one)
    return self.lif(self.back(spikes)), state


def one_step_late(self, x, step, state):
    one, state = self.handed(self.fc(x[step]), state)
    late = self.lif(self.back(self.late if step else torch.zeros(x.shape[1], 5)))
    object.__setattr__(self, "late", one)
    return late, state


def forgets_a_step(self, x):
    spikes = [self.lif(self.fc(x)) for _ in range(STEPS)]
    return torch.stack(spikes[:-1])


RULE = "model (Net) must have a forward that calls modules, adds, scales by constants"
KEEPS = "model (Net) must keep nothing from step to step on its own, but its forward changes"
SAME = "model.lif (Leaky) must get its currents in the same way in every step, not by"
REFUSALS = [
    (one_norm_a_step, f"{SAME} model.norms.1 (BatchNorm1d) in one, and by model.norms.2 (BatchNorm1d) in step 1"),
    (one_norm_of_a_loop, f"{SAME} model.norms.0 (BatchNorm1d) in one"),
    (kept_recurrence, f"{KEEPS} h: only neurons have states; hand others around as local variables"),
    (later_changes, f"{SAME} model.fc (Linear) in one, and by model.mul in step 3"),
    (counted, f"{KEEPS} step"),
    (listed, f"{KEEPS} h"),
    (updates_a_buffer, f"{KEEPS} seen"),
    (replaces_a_weight, "model.fc (Linear) must keep nothing"),
    (changes_the_outside, "model (Net) must keep nothing from step to step on its own, but its forward changes"),
    (draws, "model must not draw random numbers in its forward"),
    (lambda self, x: self.lif(self.fc(x + torch.randn_like(x))), RULE),
    (lambda self, x: self.lif(nn.functional.dropout(self.fc(x))), RULE),
    (lambda self, x: self.lif(self.fc(x) * torch.rand(len(x), 1)), RULE),
    (lambda self, x: self.lif(self.fc(x) + torch.rand(5)), RULE),
    (depends_on_numbers, RULE),
    (uses_neurons_twice, f"{SAME} model.fc (Linear) in one, and by model.back (Linear) in step 1"),
    (starts_anew, "model.lif (Leaky) must go on from its states of the step before, not start anew"),
    (starts_elsewhere, "model.lif (Leaky) must start from its resting state, not from another"),
    (runs_less, "model (Net) must stack the values of all 4 steps, as many as steps says, not 3"),
    (forgets_a_step, "model (Net) must stack the values of all 4 steps"),
    (lambda self, x: self.lif(nn.Linear(6, 5)(x)), f"{RULE}"),
    (backwards, "model.handed (Leaky) must run all steps in their order and start once, not in step 3"),
    (handed(membranes_on), "model.handed (Leaky) must pass on its spikes, not its membrane"),
    (handed(membranes_out), "model (Net) must return spikes for a spike_count read-out, not membranes only"),
    (handed(decays_by_hand), f"{RULE}"),
    (handed(starts_again), "model.handed (Leaky) must run all steps in their order and start once, not in step 2"),
    (handed(in_place), "model must not take zeros alone: a tensor that is filled in place cannot be followed"),
    (handed(one_step_late), "model.lif (Leaky) must not take spikes that model.handed (Leaky) sent in the step before"),
    (lambda self, x: self.lif(self.fc(x)[:, :3]), RULE),
]


@pytest.mark.parametrize(("forward", "sentence"), REFUSALS)
def test_what_differs_from_step_to_step_is_refused_and_the_model_untouched(forward, sentence):
    model = Net(forward, step=0, h=[])
    before = {name: dict(one.__dict__) for name, one in model.named_modules()}
    numbers = {name: one.clone() for name, one in model.state_dict().items()}
    with pytest.raises(CompileError) as refused:
        load(model)
    assert str(refused.value).startswith(sentence)
    for name, one in model.named_modules():
        assert {**one.__dict__, "training": None} == {**before[name], "training": None}
    assert all(torch.equal(one, numbers[name]) for name, one in model.state_dict().items())
    assert model.step == 0 and model.h == []
    torch.save(model.state_dict(), io.BytesIO())


def test_hooks_and_other_forwards_are_refused():
    model = Net(lambda self, x: self.lif(self.fc(x)))
    model.fc.register_forward_pre_hook(lambda *_: None)
    with pytest.raises(CompileError, match=r"^model.fc \(Linear\) must have no forward hooks"):
        load(model)
    model = Net(lambda self, x: self.lif(self.fc(x)))
    model.fc.forward = lambda x: x
    with pytest.raises(CompileError, match=r"^model.fc \(Linear\) must have the forward of its class"):
        load(model)
    handle = torch.nn.modules.module.register_module_forward_hook(lambda *_: None)
    try:
        with pytest.raises(CompileError, match=r"must be read without forward hooks for all modules"):
            load(Net(lambda self, x: self.lif(self.fc(x))))
    finally:
        handle.remove()


def test_parametrised_modules_and_classes_that_only_construct_are_read():
    class Scaled(nn.Linear):
        def __init__(self, *sizes: int):
            super().__init__(*sizes)
            nn.init.constant_(self.weight, 0.5)

    class Doubled(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    for change in (nn.utils.parametrizations.weight_norm, nn.utils.parametrizations.spectral_norm):
        model = Net(lambda self, x: self.lif(self.fc(x)))
        change(model.fc)
        weight = model.eval().fc.weight.detach().double().numpy()
        assert np.array_equal(load(model).layers[0].weight, weight)
    model = Net(lambda self, x: self.lif(self.fc(x)))
    model.fc = Scaled(6, 5)
    assert (load(model).layers[0].weight == 0.5).all()
    model.fc = Doubled(6, 5)
    with pytest.raises(CompileError, match=r"^model.fc \(Doubled\) must have a forward that calls modules"):
        load(model)
    model = Net(lambda self, x: self.lif(self.fc(x)))
    for wrapped, inside in ((nn.DataParallel(model), "module"), (torch.compile(model), "_orig_mod")):
        with pytest.raises(CompileError, match=rf"must be given without its wrapper: model.{inside}"):
            load(wrapped)


def test_what_was_trained_before_is_read_all_the_same():
    """States that are no leaves of autograd, which deepcopy refuses."""
    model = Net(lambda self, x: self.lif(self.fc(x)))
    model.train()
    model(torch.rand(3, 6, requires_grad=True)).sum().backward()
    membrane = model.lif.mem
    network = load(model)
    assert model.lif.mem is membrane
    assert np.array_equal(network.layers[0].weight, model.fc.weight.detach().double().numpy())


def test_a_forward_may_run_one_step_or_all_or_one_input_through_all():
    def loop(self, x):
        return torch.stack([self.lif(self.fc(one)) for one in x])

    def again(self, x):
        return [self.lif(self.fc(x)) for _ in range(STEPS)]

    def count(self, x):
        total = 0
        for step in range(len(x)):
            total = total + self.lif(self.fc(x[step]))
        return total / STEPS

    def record(self, x):
        spikes = torch.zeros(*x.shape[:2], 5)
        for step in range(x.shape[0]):
            spikes[step] = self.lif(self.fc(x[step]))
        return spikes

    for forward in (lambda self, x: self.lif(self.fc(x)), loop, again, count, record):
        assert [one.weight.shape for one in load(Net(forward)).layers] == [(5, 6)]
    for forward in (loop, count, record):
        assert load(Net(forward), input_kind="events").input_kind == "events"
    with pytest.raises(CompileError, match=r"one input through all steps is read with input_kind 'direct'"):
        load(Net(again), input_kind="events")
