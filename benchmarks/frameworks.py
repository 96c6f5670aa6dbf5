# SPDX-License-Identifier: MIT
"""Frameworks' own runs of random networks against what is imported of them, or of their NIR files, spike for spike.

Needs the frameworks: pip install 'firstspike[snntorch,spikingjelly,norse,sinabs]'; one that is missing has no rows. Of
sinabs and Rockpool there are recorded files, too.
"""

import json
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import firstspike as fs
import numpy as np
import torch
from firstspike_arch.float_network import FloatNetwork
from firstspike_compiler.errors import CompileError, CompileWarning
from firstspike_sim.testing.framework_runs import (
    StateFork,
    run_firstspike,
    run_norse,
    run_sinabs,
    run_snntorch,
    run_spikingjelly,
)
from firstspike_sim.testing.nir_exporters import draw_alive
from firstspike_sim.testing.random_chain import (
    Fork,
    Parting,
    alive,
    exact_golden_spikes,
    features,
    fill,
    part,
    random_chain,
)
from table import Row, publish
from torch import nn

NETWORKS, INPUTS, STEPS, IN_MAX = 50, 20, 6, 2
MODEL = "../models/lif_norse.nir"
FILES = Path(__file__).parents[1] / "tests" / "compiler" / "nir_files"


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """A chain of modules, what was imported of it, and the framework's own run of inputs[B, T, N]."""

    modules: Sequence[nn.Module]
    network: FloatNetwork
    run: Callable[[torch.Tensor], list[np.ndarray]]


Draw = Callable[[np.random.Generator, bool], Drawn]


def choose(rng: np.random.Generator, exact: bool, *values: float, shape: tuple[int, ...] = ()) -> np.ndarray:
    """One of the values, or one for each place of ``shape``, and anything a little more if it need not be exact."""
    return rng.choice(values, shape) + (0.0 if exact else rng.uniform(0, 0.1, shape))


def tensor(values: np.ndarray | float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float32)


def fields(rng: np.random.Generator) -> dict[str, Any]:
    """What is given to every import: sometimes events of both signs."""
    signed = {"in_min": -IN_MAX} if rng.random() < 0.2 else {}
    return {"steps": STEPS, "readout": "spike_count", "in_max": IN_MAX, **signed}


def draw_firstspike(rng: np.random.Generator, exact: bool) -> Drawn:
    kinds: tuple[dict[str, Any], ...] = {"single_spike": True}, {}, {"reset": "zero", "strict": True}, {"levels": 3}
    options = kinds[int(rng.integers(4))] | ({"current_leak": float(choose(rng, exact, 0.5, 0.75))}
                                             if rng.random() < 0.5 else {})

    def neurons(shape: tuple[int, ...]) -> nn.Module:
        theta = float(choose(rng, exact, 0.5, 1.0, 1.75, 3.0))
        leak = 1.0 if rng.random() < 0.3 else float(choose(rng, exact, 0.5, 0.75))
        return fs.LIF(leak, theta, **options)

    # The largest of several magnitudes has no counterpart.
    modules, shape = random_chain(rng, neurons, exact=exact, spikes_maximum="levels" not in options,
                                  fork=partial(Fork, chain=fs.SpikingSequential))
    network = fs.from_torch(fs.SpikingSequential(*modules), in_shape=shape, **fields(rng))
    return Drawn(modules=modules, network=network, run=lambda x: run_firstspike(modules, shape, x))


def draw_snntorch(rng: np.random.Generator, exact: bool) -> Drawn:
    import snntorch

    reset, delay, kept = str(rng.choice(["subtract", "zero", "none"])), rng.random() < 0.5, rng.random() < 0.5
    lasts, each = rng.random() < 0.5, rng.random() < 0.4
    delay = delay and not (lasts and reset == "zero")  # which takes a current away, too

    def neurons(shape: tuple[int, ...]) -> nn.Module:
        places = shape if each else ()
        numbers: dict[str, Any] = {"beta": tensor(choose(rng, exact, 0.5, 0.75, shape=places)),
                                   "threshold": tensor(choose(rng, exact, 0.5, 1.0, 1.75, 3.0, shape=places))}
        options = numbers | {"reset_mechanism": reset, "reset_delay": delay or reset == "subtract",
                             "init_hidden": kept}
        if lasts:
            options["alpha"] = tensor(choose(rng, exact, 0.0, 0.5, 0.75, shape=places))
        plain, recurrent = (snntorch.Synaptic, snntorch.RSynaptic) if lasts else (snntorch.Leaky, snntorch.RLeaky)
        size = shape[0]
        # RSynaptic resets one step late, whatever it is told.
        odd = (reset == "zero" and (delay or lasts)) or (lasts and not options["reset_delay"])
        if len(shape) > 1 or odd or rng.random() < 0.7:
            return plain(**options)
        if rng.random() < 0.5:
            module = recurrent(linear_features=size, **options)
            fill(rng, module.recurrent, exact)
            return module
        weights: Any = tensor(choose(rng, exact, -0.5, -0.25, 0.5, shape=(size,)))
        return recurrent(all_to_all=False, V=weights, **options)

    modules, shape = random_chain(rng, neurons, exact=exact, fork=Fork if kept else None)
    network = fs.from_snntorch(modules, in_shape=shape, **fields(rng))
    return Drawn(modules=modules, network=network, run=lambda x: run_snntorch(modules, shape, x))


def draw_spikingjelly(rng: np.random.Generator, exact: bool) -> Drawn:
    from spikingjelly.activation_based import functional, layer, neuron

    v_reset = (None, 0.0, -0.25, 0.25)[int(rng.integers(4))]
    kind = int(rng.integers(5))

    def node() -> nn.Module:
        options = {"v_threshold": float(choose(rng, exact, 0.5, 1.0, 2.0, 3.0)), "v_reset": v_reset}
        if kind == 0:
            return neuron.IFNode(**options)
        if kind > 2:
            return neuron.CUBALIFNode(*(float(choose(rng, exact, 0.5, 0.75)) for _ in range(2)), **options)
        return neuron.LIFNode(tau=float(choose(rng, exact, 2.0, 4.0)), decay_input=kind == 1, **options)

    def neurons(shape: tuple[int, ...]) -> nn.Module:
        size = shape[0]
        if len(shape) > 1 or rng.random() < 0.7:
            return node()
        if rng.random() < 0.5:
            return layer.ElementWiseRecurrentContainer(node(), lambda one, other: one + other)
        module = layer.LinearRecurrentContainer(node(), size, size)
        fill(rng, module.rc, exact)
        with torch.no_grad():  # what comes in passes through
            module.rc.weight[:, :size] = torch.eye(size)
        return module

    modules, shape = random_chain(rng, neurons, layer, exact=exact, fork=Fork)
    if isinstance(modules[0], nn.Linear | nn.Conv2d) and rng.random() < 0.4:
        modules.insert(0, layer.Delay(int(rng.integers(1, 3))))
    if isinstance(modules[-2], nn.Linear) and rng.random() < 0.4:
        modules.insert(-2, layer.Delay(1))
    model = nn.Sequential(*modules)
    functional.set_step_mode(model, "m")
    network = fs.from_spikingjelly(model, in_shape=shape, **fields(rng))
    return Drawn(modules=modules, network=network, run=lambda x: run_spikingjelly(modules, shape, x))


def draw_norse(rng: np.random.Generator, exact: bool) -> Drawn:
    import norse.torch as norse
    from norse.torch.functional.reset import reset_subtract, reset_value

    kind, dt, each = int(rng.choice([0, 1, 1, 1, 2, 3, 4, 4])), 2.0**-10, rng.random() < 0.4

    def neurons(shape: tuple[int, ...]) -> nn.Module:
        size, count = shape if each else (), shape[0]
        numbers: dict[str, Any] = {"v_th": tensor(choose(rng, exact, 0.5, 0.75, 1.0, 2.0, shape=size)),
                                   "v_reset": tensor(rng.choice([-0.125, 0.0, 0.125], size))}
        if kind == 0:
            return norse.IAFCell(norse.IAFParameters(**numbers))
        numbers |= {"tau_mem_inv": tensor(choose(rng, exact, 0.25, 0.5, shape=size) / dt),
                    "v_leak": tensor(rng.choice([0.0, 0.125], size))}
        if kind == 1:
            parameters = norse.LIFParameters(tau_syn_inv=tensor(choose(rng, exact, 0.25, 0.5, 0.875, shape=size) / dt),
                                             **numbers)
            if len(shape) > 1 or rng.random() < 0.4:
                return norse.LIFCell(parameters, dt=dt)
            weights = tensor(choose(rng, exact, -0.25, 0.125, 0.25, shape=(count, count)))
            parameters = parameters._replace(v_leak=torch.tensor(0.125))  # the cell takes no tensor of several
            return norse.LIFRecurrentCell(count, count, parameters, dt=dt, input_weights=torch.eye(count),
                                          recurrent_weights=weights)
        if kind == 4:
            numbers |= {name: torch.tensor(float(choose(rng, exact, *choices))) for name, choices in (
                ("v_th", (0.25, 0.5)), ("beta", (0.25, 0.5, 1.0)))}  # the cell takes no tensor of several
            parameters = norse.LSNNParameters(
                tau_syn_inv=tensor(choose(rng, exact, 0.5, 0.875, shape=size) / dt),
                tau_adapt_inv=tensor(choose(rng, exact, 0.125, 0.25, 0.5, shape=size) / dt),
                **numbers | {"v_leak": torch.tensor(float(rng.choice([0.0, 0.125])))})
            if len(shape) > 1 or rng.random() < 0.5:
                return norse.LSNNCell(parameters, dt=dt)
            weights = tensor(choose(rng, exact, -0.25, 0.125, 0.25, shape=(count, count)))
            return norse.LSNNRecurrentCell(count, count, parameters, dt=dt, input_weights=torch.eye(count),
                                           recurrent_weights=weights)
        reset = reset_subtract if kind == 2 else reset_value
        return norse.LIFBoxCell(norse.LIFBoxParameters(reset_method=reset, **numbers), dt=dt)

    modules, shape = random_chain(rng, neurons, exact=exact, fork=partial(StateFork, chain=norse.SequentialState))
    network = fs.from_norse(norse.SequentialState(*modules), in_shape=shape, **fields(rng))
    return Drawn(modules=modules, network=network, run=lambda x: run_norse(modules, shape, x))


def draw_sinabs(rng: np.random.Generator, exact: bool) -> Drawn:
    from sinabs import activation, layers
    from sinabs.layers.alif import ALIFSqueeze

    hard, each = rng.random() < 0.3, rng.random() < 0.4

    def neurons(shape: tuple[int, ...]) -> nn.Module:
        # The largest of several spikes of a window has no counterpart.
        places = shape if each else ()
        numbers = {"spike_threshold": tensor(choose(rng, exact, 0.5, 1.0, 1.75, shape=places)), "batch_size": 1,
                   "spike_fn": activation.SingleSpike,
                   "reset_fn": activation.MembraneReset() if hard else activation.MembraneSubtract()}
        if rng.random() < 0.4:
            made = ALIFSqueeze(tau_mem=torch.ones(places), tau_adapt=torch.ones(places), train_alphas=True,
                               adapt_scale=tensor(choose(rng, exact, 0.5, 1.0, 2.0, shape=places)),
                               norm_input=not each and rng.random() < 0.5, **numbers)
            made.alpha_mem.data.copy_(tensor(choose(rng, exact, 0.5, 0.75, shape=places)))
            made.alpha_adapt.data.copy_(tensor(choose(rng, exact, 0.5, 0.75, shape=places)))
            return made
        lasts = rng.random() < 0.6
        made = layers.LIFSqueeze(tau_mem=torch.ones(places), tau_syn=torch.ones(places) if lasts else None,
                                 norm_input=not each and rng.random() < 0.5, train_alphas=True, **numbers)
        made.alpha_mem.data.copy_(tensor(choose(rng, exact, 0.5, 0.75, shape=places)))
        if lasts:
            made.alpha_syn.data.copy_(tensor(choose(rng, exact, 0.25, 0.5, shape=places)))
        return made

    modules, shape = random_chain(rng, neurons, exact=exact)
    network = fs.from_sinabs(nn.Sequential(*modules).eval(), in_shape=shape, **fields(rng))
    return Drawn(modules=modules, network=network, run=lambda x: run_sinabs(modules, shape, x))


def living(draw: Draw, exact: bool) -> Iterator[tuple[Drawn, np.ndarray, list[np.ndarray]]]:
    """Imported networks that fire on 2-70 % of their neuron-steps, inputs, and the framework's own spikes."""
    found, seed = 0, 0
    while found < NETWORKS:
        rng = np.random.default_rng(seed)
        drawn = draw(rng, exact)
        seed += 1
        size = int(np.prod(drawn.network.layers[0].connectivity.in_shape))  # pyright: ignore - imports have one
        inputs = rng.integers(drawn.network.in_min, IN_MAX + 1, size=(INPUTS, STEPS, size)) * (
            rng.random((INPUTS, STEPS, size)) < 0.5)
        expected = drawn.run(torch.tensor(inputs, dtype=torch.float32))
        if alive(expected):
            found += 1
            yield drawn, inputs, expected


@dataclass
class Tally:
    """Sums over networks."""

    networks: int = 0
    compared: int = 0
    ties: int = 0
    unexplained: int = 0
    found: Counter[str] = field(default_factory=Counter)
    rich: int = 0

    def add(self, parting: Parting, found: set[str]) -> None:
        self.networks += 1
        self.compared, self.ties, self.unexplained = (
            self.compared + parting.compared, self.ties + parting.ties, self.unexplained + parting.unexplained)
        self.rich += bool(found)
        self.found.update(found)

    def features(self) -> Row:
        """How many networks have anything beside plain layers, and what."""
        return Row(what=f"… of the {self.networks}, those with more than square kernels, pools side by side and one "
                        "number a layer", floor="at least half",
                   measured=f"{self.rich}: " + ", ".join(f"{name} {count}" for name, count in sorted(
                       self.found.items(), key=lambda one: (-one[1], one[0]))),
                   met=2 * self.rich >= self.networks)


def rows(name: str, draw: Draw) -> Iterator[Row]:
    tally, steps, different, whole = Tally(), 0, 0, 0
    for drawn, inputs, expected in living(draw, exact=True):
        tally.add(part(drawn.network, inputs, expected), features(drawn.modules, drawn.network))
        integers = exact_golden_spikes(drawn.network, inputs)
        whole += bool(integers)
        for one, other in zip(expected, integers, strict=False):
            steps, different = steps + other.size, different + int((one[:, : other.shape[1]] != other).sum())
    yield Row(
        what=f"{name}, {NETWORKS} networks of multiples of 1/8 × {INPUTS} inputs: its run against the import",
        floor="0 differences",
        measured=f"{tally.unexplained + tally.ties} inferences part, of {tally.compared} neuron-steps",
        met=tally.unexplained + tally.ties == 0)
    yield tally.features()
    yield Row(what=f"… and in integers, the {whole} that 8 bits hold", floor="0 differences",
              measured=f"{different} differences in {steps} neuron-steps", met=different == 0 and whole > 0)
    tally, agree, classes, spikes, steps = Tally(), 0, 0, 0, 0
    for drawn, inputs, expected in living(draw, exact=False):
        tally.add(part(drawn.network, inputs, expected), features(drawn.modules, drawn.network))
        try:
            golden = fs.infer(fs.compile(drawn.network, lanes=1).program, inputs)
        except CompileError:  # a bias far beyond the weights: refused by name
            continue
        classes, agree = classes + INPUTS, agree + int((golden.classes == expected[-1].sum(1).argmax(1)).sum())
        for one, other in zip(expected, golden.spikes[1:], strict=True):
            steps, spikes = steps + one.size, spikes + int((one == other).sum())
    yield Row(
        what=f"{name}, {NETWORKS} networks of any numbers × {INPUTS} inputs: its run against the import",
        floor="0 unexplained differences",
        measured=f"{tally.unexplained} unexplained in {tally.compared} neuron-steps; {tally.ties} inferences part at a "
                 "float tie",
        met=tally.unexplained == 0)
    yield tally.features()
    yield Row(
        what=f"… and in 8-bit integers, the {classes // INPUTS} whose biases they hold", floor="reported",
        measured=f"{spikes / steps:.2%} of neuron-steps and {agree / classes:.1%} of classes the same", met=True)


def nir_rows(name: str, package: str) -> Iterator[Row]:
    """What a framework exports to NIR, read again."""
    if find_spec(package) is not None:
        tally = Tally()
        for _, one, inputs in draw_alive(package, NETWORKS):
            network = read_nir(one.graph, inputs, one.options)
            tally.add(part(network, inputs, one.run(torch.tensor(inputs, dtype=torch.float32))),
                      features(one.modules, network))
        yield parted(f"{name} → NIR → import, {NETWORKS} networks × {INPUTS} inputs: its run against the import", tally)
        yield tally.features()
        return
    tally = Tally()
    for path in sorted(FILES.glob(f"{package}_*.nir")):
        recorded = np.load(path.with_suffix(".npz"))
        inputs = recorded["inputs"].astype(np.int64)
        network = read_nir(path, inputs, json.loads(str(recorded["options"])))
        expected = [recorded[f"spikes{index}"] for index in range(len(network.layers))]
        tally.add(part(network, inputs, expected), set())
    if tally.networks:
        yield parted(f"{name} → NIR → import, {tally.networks} recorded files", tally)


def read_nir(source: Any, inputs: np.ndarray, options: dict[str, Any]) -> FloatNetwork:
    signed = {"in_min": int(inputs.min())} if inputs.min() < 0 else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CompileWarning)
        return fs.load_nir(source, steps=inputs.shape[1], in_max=int(inputs.max()), readout="spike_count",
                           **signed, **options)


def parted(what: str, tally: Tally) -> Row:
    return Row(what=what, floor="0 unexplained differences",
               measured=f"{tally.unexplained} unexplained in {tally.compared} neuron-steps; {tally.ties} inferences "
                        "part at a float tie",
               met=tally.unexplained == 0)


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
             "SpikingJelly": ("spikingjelly", draw_spikingjelly), "Norse": ("norse", draw_norse),
             "sinabs": ("sinabs", draw_sinabs)}
    found: list[Row] = []
    for name, (module, draw) in draws.items():
        if find_spec(module) is None:
            print(f"{name} is not installed: pip install 'firstspike[{module}]'")
            continue
        found.extend(rows(name, draw))
        if module != "torch":
            found.extend(nir_rows(name, module))
    found.extend(nir_rows("Rockpool", "rockpool"))
    if find_spec("norse") is not None:
        found.extend(norse_file())
    publish("frameworks", found)


if __name__ == "__main__":
    main()
