# SPDX-License-Identifier: MIT
"""Program: integer network, mapping and memory images, the one artefact that all backends run."""

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .array import ArrayConfig
from .connectivity import Window, from_plain, to_plain
from .core_spec import CoreSpec
from .core_specs import core_specs
from .events import TokenLayout
from .external import BEATS_BITS, REQUEST_ADDRESS_BITS
from .layer import Branch, Layer
from .layer_options import LayerOptions
from .memory import MemoryShape
from .memory_image import MemoryImage, Segment
from .network import IntegerNetwork
from .neuron import Neuron
from .plain import decode
from .shown import said, shown
from .status import COUNTERS, FAULTS_ADDRESS, MEMORIES_MAX, PARITY_ADDRESSES, PROGRAM_WORD, program_address
from .weight_image import external_words, weight_image

__all__ = ["Program", "ProgramError", "status_addresses", "write_atomically"]

FORMAT = 4


class ProgramError(ValueError):
    """A program is not well-formed, or its file is truncated, altered or of another format."""


def write_atomically(path: Path, data: bytes | str) -> None:
    """Write a file completely or not at all: to a temporary file beside it, which is then renamed.

    Missing folders are created.

    Raises
    ------
    OSError
        The file cannot be written; the error names ``path``.
    """
    payload = data.encode() if isinstance(data, str) else data
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(payload)
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from None


@dataclass(frozen=True, kw_only=True, eq=False)
class Program:
    """An integer network mapped onto an array.

    Parameters
    ----------
    network : IntegerNetwork
    config : ArrayConfig
        Configuration of the array, with options for each layer.
    """

    network: IntegerNetwork
    config: ArrayConfig

    def __post_init__(self) -> None:
        if len(self.config.layers) != len(self.network.layers):
            raise ProgramError(
                f"config must have options for each of the {len(self.network.layers)} layers, "
                f"not {len(self.config.layers)}"
            )
        if len(self.network.layers) > MEMORIES_MAX:
            raise ProgramError(f"a program must have at most {MEMORIES_MAX} layers, whose memories the program port "
                               f"can name, not {len(self.network.layers)}")
        try:
            self.cores  # noqa: B018 - made now, so that options that do not fit their layer are reported here
        except ValueError as error:
            raise ProgramError(str(error)) from None
        for core, shape in zip(self.cores, self.memories(), strict=True):
            chunks = program_address(shape.depth, 0, shape.chunks)
            if chunks > 1 << PROGRAM_WORD["address"]:
                raise ProgramError(
                    f"layer {core.index} ({core.layer.name}): weights must lie at 2^{PROGRAM_WORD['address']} "
                    f"addresses of the program port, not {chunks}: give it more lanes, whose words are fewer and wider")
        for index, options in enumerate(self.config.layers):
            if options.bit_serial and (index or not self.network.bit_by_bit):
                raise ProgramError(f"layer {index}: bit_serial must be off: it takes an input of numbers, none of them "
                                   "negative, and no branches")
        if self.config.early_exit and not self.network.earliest_decides:
            raise ProgramError(
                "early_exit must be off: only first_spike, or weighted_spikes of single-spike neurons with one "
                f"threshold, can decide before the last step, not {self.network.readout}"
            )
        if self.config.early_exit and self.network.endless:
            raise ProgramError("early_exit must be off for an endless network, whose results come at the end of each "
                               "window")
        if self.config.read_back and self.external:
            raise ProgramError("read_back must be off with external weights, which the core has none of to read back")
        if self.external_octets > 1 << REQUEST_ADDRESS_BITS:
            raise ProgramError(f"external weights must fit 2^{REQUEST_ADDRESS_BITS} octets, not "
                               f"{self.external_octets}")
        for core in self.external:
            if core.fetching and core.fetching.beats >= 1 << BEATS_BITS:
                raise ProgramError(f"layer {core.index} ({core.layer.name}): a slice of external weights must have at "
                                   f"most 2^{BEATS_BITS} − 1 beats, not {core.fetching.beats}: give it fewer lanes or "
                                   "wider beats")
        if self.config.ordered and (self.config.port == "image" or self.network.input_kind == "latency"):
            raise ProgramError("ordered must be off with port 'image', which sends events in order, and with latency "
                               "input, which has each address once in all steps, not once in each")
        if self.config.port == "image" and not (self.network.input_kind == "latency" or self.direct_bytes):
            raise ProgramError("port 'image' must have latency input, or a direct input of 0…255 or −128…127, not "
                               f"{shown(self.network.input_kind)} of {self.network.in_min}…{self.network.in_max}")

    @property
    def direct_bytes(self) -> bool:
        """Whether the input is direct, and every number fits a byte."""
        network = self.network
        low, high = (-128, 127) if network.in_min < 0 else (0, 255)
        return network.input_kind == "direct" and low <= network.in_min and network.in_max <= high

    @cached_property
    def cores(self) -> tuple[CoreSpec, ...]:
        """Description of each core, in order."""
        return core_specs(self.network, self.config)

    @property
    def edge_layouts(self) -> tuple[TokenLayout, ...]:
        """Token layout of the stream on each edge."""
        layers = self.config.layers
        return tuple(replace(self.network.layout_of(edge.source), slots=layers[edge.target].events_per_cycle)
                     for edge in self.network.edges())

    def memories(self) -> tuple[MemoryShape, ...]:
        """Return the loadable memories, in the order of the program port's memory index."""
        return tuple(core.memory for core in self.cores)

    @property
    def needs_loading(self) -> bool:
        """Whether some memories have no initial contents, so that a host must load the program."""
        return any(options.single_port for options in self.config.layers)

    def images(self) -> dict[str, list[int]]:
        """Return the contents of each memory, by name."""
        return {core.memory.name: weight_image(core) for core in self.cores}

    @property
    def has_parity(self) -> bool:
        """Whether memories of some core carry parity."""
        return any(options.parity for options in self.config.layers)

    @property
    def external(self) -> tuple[CoreSpec, ...]:
        """The cores whose weights are in an external memory."""
        return tuple(core for core in self.cores if core.fetching)

    @property
    def external_octets(self) -> int:
        """Number of octets of the external memory, from its address 0 on, that hold external weights."""
        return max((one.end for one in self.external_segments), default=0)

    @property
    def external_segments(self) -> tuple[Segment, ...]:
        """Parts of the external memory, one for each layer with external weights: "core0" that of layer 0."""
        return tuple(Segment(name=f"core{core.index}", address=core.fetching.base,
                             size=core.fetching.end - core.fetching.base) for core in self.cores if core.fetching)

    def external_image(self) -> MemoryImage:
        """Return the contents of the external memory: the slices of each layer (`Fetching`), from address 0 on.

        Raises
        ------
        MemoryImageError
            No layer has external weights.
        """
        segments, contents = self.external_segments, bytearray(self.external_octets)
        for core, one in zip(self.external, segments, strict=True):
            assert core.fetching is not None
            contents[one.address:one.end] = core.fetching.octets_of(external_words(core))
        return MemoryImage(digest=self.digest(), segments=segments, contents=bytes(contents))

    def port_words(self) -> np.ndarray:
        """Return all images as words of the program port, uint64[K], without buffers of external weights, which are
        filled before they are read."""
        words, images = [], self.images()
        for index, (core, shape) in enumerate(zip(self.cores, self.memories(), strict=True)):
            first = core.bias_word if core.fetching else 0
            for word, value in enumerate(images[shape.name][first:], start=first):
                for chunk in range(shape.chunks):
                    address = program_address(word, chunk, shape.chunks)
                    words.append((value >> 32 * chunk & 0xFFFF_FFFF) | address << 32 | index << 56)
        return np.array(words, dtype=np.uint64)

    def digest(self) -> str:
        """Return the SHA-256 of network and configuration."""
        return hashlib.sha256(self._serialise()).hexdigest()

    def architecture(self) -> str:
        """Return the SHA-256 of all that the RTL depends on. Programs that share it differ only in their images."""
        network = {item.name: getattr(self.network, item.name)
                   for item in fields(IntegerNetwork) if item.name not in ("name", "layers")}
        array = {item.name: getattr(self.config, item.name) for item in fields(ArrayConfig) if item.name != "layers"}
        hardware = {"network": network, "array": array, "cores": [core.hardware() for core in self.cores]}
        return hashlib.sha256(json.dumps(hardware, sort_keys=True).encode()).hexdigest()

    def with_config(self, **changes) -> "Program":
        """Return the same network with changes to the array's configuration."""
        return replace(self, config=replace(self.config, **changes))

    def to_bytes(self) -> bytes:
        """Return the contents of a file that `load` reads: a digest, and safetensors with the description in its
        header."""
        body = self._serialise()
        return hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    def save(self, path: str | Path) -> None:
        """Write `to_bytes` to a file, completely or not at all."""
        write_atomically(Path(path), self.to_bytes())

    @classmethod
    def load(cls, path: str | Path) -> "Program":
        """Read a file that `save` wrote.

        Raises
        ------
        ProgramError
            The file is missing, truncated, altered, or of another format.
        """
        path = Path(path)
        try:
            raw = path.read_bytes()
        except OSError as error:
            raise ProgramError(f"{path}: cannot be read: {error.strerror}") from None
        digest, _, body = raw.partition(b"\n")
        if len(digest) != 64 or hashlib.sha256(body).hexdigest().encode() != digest:
            raise ProgramError(f"{path}: digest must match its contents; the file is truncated, altered or no program")
        with tempfile.NamedTemporaryFile(suffix=".safetensors") as file:
            file.write(body)
            file.flush()
            try:
                with safe_open(file.name, framework="numpy") as archive:
                    head = json.loads((archive.metadata() or {}).get("firstspike_program", "null"))
                    tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118 - not a dict
            except (SafetensorError, ValueError, RecursionError) as error:
                raise ProgramError(f"{path}: must be a firstspike program: {said(error)}") from None
        if not isinstance(head, dict) or head.get("format") != FORMAT:
            raise ProgramError(f"{path}: must be a firstspike program of format {FORMAT}")
        try:
            program = _from_parts(head, tensors)
        except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise ProgramError(f"{path}: is not a well-formed program: {said(error, 500)}") from None
        return program

    def _serialise(self) -> bytes:
        head, tensors = self._describe()
        return save(tensors, {"firstspike_program": json.dumps(head, sort_keys=True)})

    def _describe(self) -> tuple[dict, dict[str, np.ndarray]]:
        """Return the whole program as plain JSON values and arrays."""
        tensors: dict[str, np.ndarray] = {}
        layers = []
        for index, layer in enumerate(self.network.layers):
            tensors[f"{index}.weights"] = np.ascontiguousarray(layer.weights, dtype=np.int8)
            neuron = {}
            for item in fields(Neuron):
                value = getattr(layer.neuron, item.name)
                if isinstance(value, np.ndarray):
                    tensors[f"{index}.{item.name}"] = np.ascontiguousarray(value, dtype=np.int64)
                elif item.name not in Neuron.arrays() and item.name not in layer.neuron.idle():
                    neuron[item.name] = value
            for number, branch in enumerate(layer.branches):
                tensors[f"{index}.branch{number}.weights"] = np.ascontiguousarray(branch.weights, dtype=np.int8)
            for name, delays in _delays_of(index, layer):
                tensors[name] = np.ascontiguousarray(delays, dtype=np.int16)
            branches = [{"source": branch.source, **to_plain(branch.connectivity)} for branch in layer.branches]
            layers.append({"name": layer.name, "weight_bits": layer.weight_bits, "scale": layer.scale,
                           "neuron": neuron, "connectivity": to_plain(layer.connectivity), "branches": branches,
                           **({"weight_exponent": layer.weight_exponent} if layer.weight_exponent else {}),
                           **({} if layer.current_pool is None else {"current_pool": asdict(layer.current_pool)})})
        network = {item.name: getattr(self.network, item.name)
                   for item in fields(IntegerNetwork) if item.name != "layers"}
        config = {**_chosen(self.config), "layers": [_chosen(options) for options in self.config.layers]}
        return {"format": FORMAT, "network": network, "layers": layers, "config": config}, tensors


def status_addresses(program: Program) -> dict[str, int]:
    """Return the status address of each counter that the accelerator of a program has, by name."""
    return {**{name: address for address, name in enumerate(COUNTERS)},
            **({"faults": FAULTS_ADDRESS} if program.external else {}),
            **(PARITY_ADDRESSES if program.has_parity else {})}


def _chosen(options: ArrayConfig | LayerOptions) -> dict[str, Any]:
    """Return the options that are not at their defaults, by name: one that comes new changes no digest where it is not
    used."""
    return {item.name: getattr(options, item.name) for item in fields(options)
            if getattr(options, item.name) != item.default}


def _delays_of(index: int, layer: Layer) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and values of the delays of each set of synapses that has some."""
    for place, branch in enumerate(layer.synapses(index)):
        if branch.delays is not None:
            yield f"{index}.branch{place - 1}.delays" if place else f"{index}.delays", branch.delays


def _from_parts(head: dict, tensors: dict[str, np.ndarray]) -> Program:
    layers = []
    for index, layer in enumerate(head["layers"]):
        vectors = {name: tensors.get(f"{index}.{name}") for name in Neuron.arrays()}
        vectors |= {name: tensors[f"{index}.{name}"] for name in Neuron.ratios() if f"{index}.{name}" in tensors}
        delays = {name: tensors[name].astype(np.int64) for name in tensors
                  if name.startswith(f"{index}.") and name.endswith(".delays")}
        layers.append(Layer(
            name=layer["name"], weight_bits=layer["weight_bits"], scale=layer["scale"],
            weights=tensors[f"{index}.weights"].astype(np.int64), neuron=Neuron(**vectors, **layer["neuron"]),
            connectivity=from_plain(layer["connectivity"]),
            current_pool=decode(Window, layer["current_pool"]) if "current_pool" in layer else None,
            delays=delays.get(f"{index}.delays"), weight_exponent=layer.get("weight_exponent", 0),
            branches=tuple(
                Branch(source=branch.pop("source"), connectivity=from_plain(branch),
                       weights=tensors[f"{index}.branch{number}.weights"].astype(np.int64),
                       delays=delays.get(f"{index}.branch{number}.delays"))
                for number, branch in enumerate(layer["branches"])),
        ))
    network: dict[str, Any] = dict(head["network"], step_weights=tuple(head["network"]["step_weights"]))
    config = decode(ArrayConfig, head["config"])
    return Program(network=IntegerNetwork(layers=tuple(layers), **network), config=config)
