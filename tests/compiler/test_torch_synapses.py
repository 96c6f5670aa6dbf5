# SPDX-License-Identifier: MIT
"""Synapses and pools of torch of all shapes, against torch itself."""

import numpy as np
import pytest
import snntorch as snn
import torch
from firstspike_arch.connectivity import Conv2d, ConvTranspose2d, Dense
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends.snntorch_module import from_snntorch
from firstspike_sim.models.float_reference import run_float
from firstspike_sim.testing.framework_runs import run_snntorch
from torch import nn
from torch.nn import functional

STEPS = 6


def leaky(threshold=0.375) -> nn.Module:
    return snn.Leaky(beta=0.5, threshold=threshold)


def drawn(modules: list[nn.Module], seed: int = 3) -> list[nn.Module]:
    """With weights in eighths, so that nothing is rounded."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in modules:
            for values in one.parameters():
                if values.ndim > 1 or isinstance(one, nn.Linear) or "Conv" in type(one).__name__:
                    values.copy_(torch.randint(-5, 6, values.shape, generator=generator) / 8)
    return [one.eval() for one in modules]


def spikes_of(shape) -> torch.Tensor:
    return (torch.rand(5, STEPS, int(np.prod(shape)), generator=torch.Generator().manual_seed(1)) < 0.5).float()


CHAINS = {
    "dilated": ((2, 9, 8), [nn.Conv2d(2, 4, (2, 3), dilation=(3, 2), padding=(0, 2), groups=2), leaky(), nn.Flatten(),
                            nn.Linear(4 * 6 * 8, 3), leaky(0.75)]),
    "transposed": ((4, 3, 4), [nn.ConvTranspose2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0),
                                                  groups=2), leaky(),
                               nn.ConvTranspose2d(6, 2, 2, stride=2), leaky(), nn.Flatten(), nn.Linear(240, 3),
                               leaky(0.75)]),
    "line": ((2, 15), [nn.AvgPool1d(2, 1), nn.Conv1d(2, 4, 3, dilation=2), nn.BatchNorm1d(4), leaky(),
                       nn.ConvTranspose1d(4, 2, 2, stride=2, bias=False), leaky(), nn.AdaptiveAvgPool1d(5),
                       nn.Flatten(), nn.Linear(10, 3), leaky(0.25)]),
    "larger": ((1, 3, 3), [nn.Conv2d(1, 2, 2), leaky(), nn.AdaptiveAvgPool2d((4, 3)), nn.Flatten(), nn.Linear(24, 3),
                           leaky()]),
    "two pools": ((1, 11, 10), [nn.AvgPool2d((2, 1), stride=1), nn.Conv2d(1, 2, 3), nn.AvgPool2d((1, 2), (2, 1)),
                                leaky(0.25), nn.AvgPool2d((1, 2)), nn.AvgPool2d(2, 1, padding=1, divisor_override=2),
                                nn.Flatten(), nn.Linear(2 * 5 * 4, 3), leaky()]),
    "uneven": ((1, 7, 8), [nn.Conv2d(1, 2, 3, padding="same", dilation=2), leaky(), nn.AdaptiveAvgPool2d((6, 4)),
                           nn.Conv2d(2, 3, 2), leaky(0.25), nn.Flatten(), nn.Linear(45, 3), leaky()]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_spikes_are_those_of_torch(name):
    shape, modules = CHAINS[name]
    inputs, alive = spikes_of(shape), 0
    for seed in range(40):
        drawn(modules, seed)
        network = from_snntorch(nn.Sequential(*modules), in_shape=shape, steps=STEPS, readout="spike_count")
        got = run_float(network, inputs.numpy()).spikes[1:]
        wanted = run_snntorch(modules, shape, inputs)
        assert len(got) == len(wanted) and all(
            np.array_equal(one, other) for one, other in zip(got, wanted, strict=True))
        alive += all(0.02 < one.mean() < 0.9 for one in wanted)
    assert alive >= 3


def test_kernels_keep_their_dilation_and_pools_their_sides():
    shape, modules = CHAINS["dilated"]
    first, _ = from_snntorch(nn.Sequential(*modules), in_shape=shape, steps=2, readout="spike_count").layers
    assert first.connectivity == Conv2d(in_shape=shape, channels=4, kernel=(2, 3), dilation=(3, 2), padding=(0, 2),
                                        groups=2)
    shape, modules = CHAINS["transposed"]
    first, *_ = from_snntorch(nn.Sequential(*modules), in_shape=shape, steps=2, readout="spike_count").layers
    assert first.connectivity == ConvTranspose2d(
        in_shape=shape, channels=6, kernel=(3, 2), stride=(2, 1), padding=(1, 0), output_padding=(1, 0), groups=2)
    pools = nn.Sequential(nn.Conv2d(1, 2, 1), leaky(), nn.AvgPool2d((3, 2)), nn.AvgPool2d((1, 2)), nn.Flatten(),
                          nn.Linear(8, 2), leaky()).eval()
    *_, last = from_snntorch(pools, in_shape=(1, 6, 8), steps=2, readout="spike_count").layers
    assert last.connectivity == Dense(in_shape=(2, 6, 8), neurons=2, pool=(3, 4)) and last.average_pool


ENDS = {
    "map": [leaky()],
    "flat map": [leaky(), nn.Flatten()],
    "flat before neurons": [nn.Flatten(), leaky()],
    "global pool": [leaky(), nn.AdaptiveAvgPool2d(1), nn.Flatten()],
    "pool": [leaky(), nn.AvgPool2d((2, 1), stride=1)],
}


@pytest.mark.parametrize("name", ENDS)
def test_classes_are_the_places_of_what_comes_out(name):
    chain = drawn([nn.Conv2d(1, 4, 3), leaky(), nn.Conv2d(4, 3, (2, 3)), *ENDS[name]])
    inputs = spikes_of((1, 7, 6))
    network = from_snntorch(nn.Sequential(*chain), in_shape=(1, 7, 6), steps=STEPS, readout="spike_count")
    assert network.readout == ("potential" if "pool" in name else "spike_count")
    assert (len(network.layers) == 3) == ("pool" in name)
    x, states, total = inputs.transpose(0, 1).unflatten(2, (1, 7, 6)), {}, torch.zeros(())
    with torch.no_grad():
        for step in x:
            for place, module in enumerate(chain):
                if isinstance(module, snn.Leaky):
                    step, states[place] = module(step, states.get(place, torch.zeros_like(step)))
                else:
                    step = module(step)
            total = total + step.flatten(1)
    result = run_float(network, inputs.numpy())
    wanted = total.argmax(1)
    assert wanted.any() and np.array_equal(result.classes, wanted.numpy())
    if len(network.layers) == 3:  # the membranes are the pooled counts themselves
        assert torch.allclose(torch.as_tensor(result.membranes[-1][:, -1]), total.double())


def test_pooled_spikes_have_no_first_spike():
    chain = [nn.Conv2d(1, 4, 3), leaky(), nn.AdaptiveAvgPool2d(1)]
    with pytest.raises(CompileError, match=r"^model\.2 \(AdaptiveAvgPool2d\) must be followed by synapses, or be read "
                                           r"by its spike_count, not by first_spike$"):
        from_snntorch(nn.Sequential(*chain).eval(), in_shape=(1, 7, 6), steps=STEPS, readout="first_spike")


class Line(nn.Module):
    """A forward of its own, over lines."""

    def __init__(self):
        super().__init__()
        self.conv, self.fire = nn.Conv1d(2, 3, 3), leaky()
        self.fc, self.last = nn.Linear(3 * 4, 2), leaky()

    def forward(self, x):
        one, other, found = self.fire.init_leaky(), self.last.init_leaky(), []
        for step in range(STEPS):
            spikes, one = self.fire(self.conv(x[step]), one)
            out, other = self.last(self.fc(functional.avg_pool1d(spikes, 2).flatten(1)), other)
            found.append(out)
        return torch.stack(found)


def test_a_line_is_followed_through_a_forward_of_its_own():
    model = Line()
    chain = [model.conv, model.fire, nn.AvgPool1d(2), nn.Flatten(), model.fc, model.last]
    drawn(chain)
    options = {"in_shape": (2, 10), "steps": STEPS, "readout": "spike_count"}
    inputs = spikes_of((2, 10))
    network = from_snntorch(model.eval(), **options)
    assert network.layers[0].connectivity == Conv2d(in_shape=(2, 1, 10), channels=3, kernel=(1, 3))
    for one, other in zip(run_float(network, inputs.numpy()).spikes[1:], run_snntorch(chain, (2, 10), inputs),
                          strict=True):
        assert other.any() and np.array_equal(one, other)


@pytest.mark.parametrize(("modules", "sentence"), [
    ([nn.Conv2d(2, 3, 1), leaky()], r"^model\.0 \(Conv2d\) must take \(C, H, W\), not \(2, 10\)$"),
    ([nn.Conv1d(2, 3, 3), leaky(), nn.Linear(8, 2), leaky()],
     r"^model\.2 \(Linear\) must come behind a Flatten: it would act on the rows of a map$"),
    ([nn.Conv1d(2, 3, 3), leaky(), nn.AvgPool2d(2)], r"^model\.2 \(AvgPool2d\) must take \(C, H, W\), not \(3, 8\)$"),
])
def test_lines_and_maps_are_told_apart(modules, sentence):
    with pytest.raises(CompileError, match=sentence):
        from_snntorch(nn.Sequential(*modules).eval(), in_shape=(2, 10), steps=2, readout="spike_count")
