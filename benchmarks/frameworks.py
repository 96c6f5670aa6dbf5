# SPDX-License-Identifier: MIT
"""Frameworks' own runs of random networks against what is imported of them, spike for spike.

Needs the frameworks: pip install 'firstspike[snntorch,spikingjelly,norse]'; one that is missing has no rows.
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import astuple
from importlib.util import find_spec
from pathlib import Path

import firstspike as fs
import numpy as np
import torch
from firstspike_arch.float_network import FloatNetwork
from firstspike_compiler.errors import CompileError
from firstspike_sim.testing.framework_runs import run_firstspike, run_norse, run_snntorch, run_spikingjelly
from firstspike_sim.testing.random_chain import alive, exact_golden_spikes, part, random_chain
from table import Row, publish
from torch import nn

NETWORKS, INPUTS, STEPS, IN_MAX = 50, 20, 6, 2
MODEL = "../models/lif_norse.nir"
IMPORTED = {"steps": STEPS, "readout": "spike_count", "in_max": IN_MAX}

Draw = Callable[[np.random.Generator, bool], tuple[FloatNetwork, Callable[[torch.Tensor], list[np.ndarray]]]]


def choose(rng: np.random.Generator, exact: bool, *values: float) -> float:
    """One of the values, and anything a little more if it need not be exact."""
    return float(rng.choice(values)) + (0.0 if exact else float(rng.uniform(0, 0.1)))


def draw_firstspike(rng: np.random.Generator, exact: bool):
    options = ({"single_spike": True}, {}, {"reset": "zero", "strict": True}, {"levels": 3})[int(rng.integers(4))]

    def neurons() -> nn.Module:
        theta = choose(rng, exact, 0.5, 1.0, 1.75)
        leak = 1.0 if rng.random() < 0.3 else choose(rng, exact, 0.5, 0.75)
        return fs.LIF(leak, theta, **options)

    modules, shape = random_chain(rng, neurons, exact=exact)
    if "levels" in options:  # the largest of several magnitudes has no counterpart
        modules = [nn.AvgPool2d(2) if isinstance(one, nn.MaxPool2d) else one for one in modules]
    return (fs.from_torch(fs.SpikingSequential(*modules), in_shape=shape, **IMPORTED),
            lambda x: run_firstspike(modules, shape, x))


def draw_snntorch(rng: np.random.Generator, exact: bool):
    import snntorch

    reset, delay = str(rng.choice(["subtract", "zero", "none"])), bool(rng.random() < 0.5)
    current = reset != "zero" and rng.random() < 0.3

    def neurons() -> nn.Module:
        options = {"beta": choose(rng, exact, 0.5, 0.75), "threshold": choose(rng, exact, 0.5, 1.0, 1.75),
                   "reset_mechanism": reset, "reset_delay": delay or reset == "subtract"}
        return snntorch.Synaptic(alpha=0.0, **options) if current else snntorch.Leaky(**options)

    modules, shape = random_chain(rng, neurons, exact=exact)
    return fs.from_snntorch(modules, in_shape=shape, **IMPORTED), lambda x: run_snntorch(modules, shape, x)


def draw_spikingjelly(rng: np.random.Generator, exact: bool):
    from spikingjelly.activation_based import layer, neuron

    v_reset = (None, 0.0, -0.25, 0.25)[int(rng.integers(4))]
    kind = int(rng.integers(3))

    def neurons() -> nn.Module:
        options = {"v_threshold": choose(rng, exact, 0.5, 0.75, 1.0), "v_reset": v_reset, "step_mode": "m"}
        if kind == 0:
            return neuron.IFNode(**options)
        return neuron.LIFNode(tau=choose(rng, exact, 2.0, 4.0), decay_input=kind == 1, **options)

    modules, shape = random_chain(rng, neurons, layer, exact=exact)
    return (fs.from_spikingjelly(nn.Sequential(*modules), in_shape=shape, **IMPORTED),
            lambda x: run_spikingjelly(modules, shape, x))


def draw_norse(rng: np.random.Generator, exact: bool):
    import norse.torch as norse
    from norse.torch.functional.reset import reset_subtract, reset_value

    kind, dt = int(rng.integers(4)), 2.0**-10

    def neurons() -> nn.Module:
        numbers = {"v_th": torch.tensor(choose(rng, exact, 0.5, 0.75, 1.0)),
                   "v_reset": torch.tensor(float(rng.choice([-0.125, 0.0, 0.125])))}
        if kind == 0:
            return norse.IAFCell(norse.IAFParameters(**numbers))
        numbers |= {"tau_mem_inv": torch.tensor(choose(rng, exact, 0.25, 0.5) / dt),
                    "v_leak": torch.tensor(float(rng.choice([0.0, 0.125])))}
        if kind == 1:
            return norse.LIFCell(norse.LIFParameters(tau_syn_inv=torch.tensor(1 / dt), **numbers), dt=dt)
        reset = reset_subtract if kind == 2 else reset_value
        return norse.LIFBoxCell(norse.LIFBoxParameters(reset_method=reset, **numbers), dt=dt)

    modules, shape = random_chain(rng, neurons, exact=exact)
    return (fs.from_norse(norse.SequentialState(*modules), in_shape=shape, **IMPORTED),
            lambda x: run_norse(modules, shape, x))


def living(draw: Draw, exact: bool) -> Iterator[tuple[FloatNetwork, np.ndarray, list[np.ndarray]]]:
    """Imported networks that fire on 2-70 % of their neuron-steps, inputs, and the framework's own spikes."""
    found, seed = 0, 0
    while found < NETWORKS:
        rng = np.random.default_rng(seed)
        network, run = draw(rng, exact)
        seed += 1
        size = int(np.prod(network.layers[0].connectivity.in_shape))  # pyright: ignore - imports have one
        inputs = rng.integers(0, IN_MAX + 1, size=(INPUTS, STEPS, size)) * (rng.random((INPUTS, STEPS, size)) < 0.5)
        expected = run(torch.tensor(inputs, dtype=torch.float32))
        if alive(expected):
            found += 1
            yield network, inputs, expected


def rows(name: str, draw: Draw) -> Iterator[Row]:
    compared = ties = unexplained = steps = different = whole = 0
    for network, inputs, expected in living(draw, exact=True):
        parting = part(network, inputs, expected)
        compared, ties, unexplained = (one + other for one, other in zip(
            (compared, ties, unexplained), astuple(parting), strict=True))
        integers = exact_golden_spikes(network, inputs)
        whole += bool(integers)
        for one, other in zip(expected, integers, strict=False):
            steps, different = steps + other.size, different + int((one[:, : other.shape[1]] != other).sum())
    yield Row(
        what=f"{name}, {NETWORKS} networks of multiples of 1/8 × {INPUTS} inputs: its run against the import",
        floor="0 differences", measured=f"{unexplained + ties} inferences part, of {compared} neuron-steps",
        met=unexplained + ties == 0)
    yield Row(what=f"… and in integers, the {whole} that 8 bits hold", floor="0 differences",
              measured=f"{different} differences in {steps} neuron-steps", met=different == 0 and whole > 0)
    compared = ties = unexplained = agree = classes = spikes = steps = 0
    for network, inputs, expected in living(draw, exact=False):
        parting = part(network, inputs, expected)
        compared, ties, unexplained = (one + other for one, other in zip(
            (compared, ties, unexplained), astuple(parting), strict=True))
        try:
            golden = fs.infer(fs.compile(network, lanes=1).program, inputs)
        except CompileError:  # a bias far beyond the weights: refused by name
            continue
        classes, agree = classes + INPUTS, agree + int((golden.classes == expected[-1].sum(1).argmax(1)).sum())
        for one, other in zip(expected, golden.spikes[1:], strict=True):
            steps, spikes = steps + one.size, spikes + int((one == other).sum())
    yield Row(
        what=f"{name}, {NETWORKS} networks of any numbers × {INPUTS} inputs: its run against the import",
        floor="0 unexplained differences",
        measured=f"{unexplained} unexplained in {compared} neuron-steps; {ties} inferences part at a float tie",
        met=unexplained == 0)
    yield Row(
        what=f"… and in 8-bit integers, the {classes // INPUTS} whose biases they hold", floor="reported",
        measured=f"{spikes / steps:.2%} of neuron-steps and {agree / classes:.1%} of classes the same", met=True)


def norse_file() -> Iterator[Row]:
    """A NIR file that Norse wrote, run by Norse and by what `load_nir` makes of it."""
    import nir
    import norse.torch as norse

    path = Path(os.environ.get("FIRSTSPIKE_DATA", ".")) / MODEL
    if not path.exists():
        print(f"{path} is not there; it comes with the NIR project's paper repository")
        return
    dt, steps = 1e-4, 1000
    rng = np.random.default_rng(0)
    inputs = (rng.random((INPUTS, steps, 1)) < np.linspace(0.05, 0.9, INPUTS)[:, None, None]).astype(np.int64)
    network = fs.load_nir(path, steps=steps, reset="zero", strict=True, readout="spike_count", dt=dt)
    model, state, spikes = norse.from_nir(nir.read(path, type_check=False), dt=dt), None, []
    with torch.no_grad():
        for step in range(steps):
            out, state = model(torch.tensor(inputs[:, step], dtype=torch.float32), state)
            spikes.append(out)
    expected = torch.stack(spikes, 1).numpy()
    parting = part(network, inputs, [expected])
    golden = fs.infer(fs.compile(network, lanes=1, leak_shift_max=15).program, inputs)
    yield Row(
        what=f"lif_norse.nir, {INPUTS} inputs × {steps} steps: Norse against the import",
        floor="0 unexplained differences",
        measured=f"{parting.unexplained} unexplained in {parting.compared} neuron-steps ({expected.mean():.1%} fire); "
                 f"{parting.ties} inferences part at a float tie; in integers "
                 f"{np.mean(golden.spikes[1] == expected):.2%} the same",
        met=parting.unexplained == 0)


def main() -> None:
    torch.set_num_threads(1)  # tensors are tiny
    draws = {"plain torch": ("torch", draw_firstspike), "snnTorch": ("snntorch", draw_snntorch),
             "SpikingJelly": ("spikingjelly", draw_spikingjelly), "Norse": ("norse", draw_norse)}
    found: list[Row] = []
    for name, (module, draw) in draws.items():
        if find_spec(module) is None:
            print(f"{name} is not installed: pip install 'firstspike[{module}]'")
            continue
        found.extend(rows(name, draw))
    if find_spec("norse") is not None:
        found.extend(norse_file())
    publish("frameworks", found)


if __name__ == "__main__":
    main()
