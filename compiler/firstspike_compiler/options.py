# SPDX-License-Identifier: MIT
"""Options of the compiler: their defaults, what they must be, and what of the mapping they leave open."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from firstspike_arch.banks import kernel_banks
from firstspike_arch.connectivity import Conv2d
from firstspike_arch.core_specs import can_multiply_leaks, pairs_obstacle
from firstspike_arch.external import external_obstacle
from firstspike_arch.float_network import LeakRounding
from firstspike_arch.layer_options import LayerOptions
from firstspike_arch.layer_plan import can_merge
from firstspike_arch.network import IntegerNetwork
from firstspike_arch.shown import shown
from firstspike_arch.skipping import skips_obstacle

from .errors import CompileError
from .passes.choose_scales import Powers, WeightScale

__all__ = ["Options", "check_mapping", "given_options"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """Options of a compilation; see `compile_network`."""

    lanes: int | Sequence[int] | None = None
    lane_budget: int | None = None
    events: Sequence[float | None] | None = None
    weight_bits: int | Sequence[int] | None = None
    weight_scale: WeightScale | None = None
    per_channel: bool = False
    percentile: float | None = None
    powers: Powers | None = None
    port: Literal["events", "image"] = "events"
    early_exit: bool = False
    winner: Literal["tree", "scan"] = "tree"
    kernel_parallel: bool | Sequence[bool] | None = None
    banks: Sequence[tuple[int, int]] | None = None
    rotates: bool | Sequence[bool | tuple[bool, bool]] | None = None
    merges: bool | Sequence[bool] | None = None
    bit_serial: bool = False
    register_rows: int = 8
    single_port: Sequence[int] = ()
    events_per_cycle: int | Sequence[int] | None = None
    skips: bool | Sequence[bool] | None = None
    forwards: bool | Sequence[bool] | None = None
    multiplies_leaks: bool | Sequence[bool] | None = None
    lut_ram: bool | Sequence[bool | tuple[bool, bool]] | None = None
    headroom_bits: int = 0
    endless: bool | None = None
    in_min: int | None = None
    in_max: int | None = None
    steps_max: int | None = None
    leak_shift_max: int | None = None
    leak_rounding: LeakRounding | None = None
    timeout: int = 0
    read_back: bool = False
    ordered: bool = False
    external: Sequence[int] = ()
    beat_bits: int = 64
    protect: Literal["none", "parity"] = "none"
    layers: Sequence[LayerOptions] | None = None


def check_mapping(options: Options, network: IntegerNetwork) -> None:
    """Raise a `CompileError` if an option of the mapping is none, or does not fit the network."""
    layers = len(network.layers)
    if not isinstance(options.headroom_bits, int) or options.headroom_bits < 0:
        raise CompileError(f"headroom_bits must be ≥ 0, not {shown(options.headroom_bits)}")
    if not isinstance(options.register_rows, int) or options.register_rows < 2:
        raise CompileError(f"register_rows must be at least 2, not {shown(options.register_rows)}")
    if options.protect not in ("none", "parity"):
        raise CompileError(f"protect must be 'none' or 'parity', not {shown(options.protect)}")
    if options.timeout and options.port == "image":
        raise CompileError(f"timeout must be 0 with port 'image', where an image waits for its end, not "
                           f"{shown(options.timeout)}")
    strays = [index for index in options.single_port if index not in range(layers)]
    if strays:
        raise CompileError(f"single_port must name layers 0…{layers - 1}, not {shown(strays[0])}")
    strays = [index for index in options.external if index not in range(layers)]
    if strays:
        raise CompileError(f"external must name layers 0…{layers - 1}, not {shown(strays[0])}")
    if options.beat_bits not in (32, 64, 128):
        raise CompileError(f"beat_bits must be 32, 64 or 128, not {shown(options.beat_bits)}")
    for index in options.external:
        if obstacle := external_obstacle(network, index):
            raise CompileError(f"layer {index} ({network.layers[index].name}): {obstacle}")


def given_options(network: IntegerNetwork, options: Options) -> list[dict[str, Any]]:
    """Return the options of each layer that the mapping must not choose, because the caller has."""
    given: dict[str, list] = {}
    if (banks := _banks(network, options)) is not None:
        given["banks"] = banks
    if options.rotates is not None:
        given["rotates"] = _pairs("rotates", network, options.rotates)
    if options.merges is not None:
        given["merges"] = _merges(network, options, options.merges)
    if options.skips is not None:
        given["skips"] = _skips(network, options.skips)
    if options.forwards is not None:
        given["forwards"] = _switches("forwards", options.forwards, [
            isinstance(layer.connectivity, Conv2d) for layer in network.layers])
    if options.multiplies_leaks is not None:
        given["multiplies_leaks"] = _switches("multiplies_leaks", options.multiplies_leaks, [
            can_multiply_leaks(network, index) for index in range(len(network.layers))])
    if options.lut_ram is not None:
        given["lut_ram"] = _pairs("lut_ram", network, options.lut_ram)
    if options.events_per_cycle is not None:
        given["events_per_cycle"] = _events_per_cycle(network, options)
    return [{name: values[index] for name, values in given.items()} for index in range(len(network.layers))]


def _banks(network: IntegerNetwork, options: Options) -> list[tuple[int, int]] | None:
    """Return the banks (down, across) of each layer; None: the mapping chooses them."""
    wanted, given, layers = options.kernel_parallel, options.banks, network.layers
    if given is not None:
        if wanted is not None:
            raise CompileError("banks must not be given together with kernel_parallel, which chooses them")
        pairs = [(one[0], one[1]) for one in given if isinstance(one, tuple | list) and len(one) == 2]
        if not len(pairs) == len(given) == len(layers) or not all(
                isinstance(side, int) and side >= 1 for pair in pairs for side in pair):
            raise CompileError(f"banks must be a pair of numbers of at least 1 for each of the {len(layers)} layers, "
                               f"not {shown(given)}")
        return pairs
    if wanted is None:
        return None
    if isinstance(wanted, bool):
        return [kernel_banks(layer) if wanted else (1, 1) for layer in layers]
    if len(wanted) != len(layers) or not all(isinstance(one, bool) for one in wanted):
        raise CompileError(f"kernel_parallel must be true or false, or that for each of the {len(layers)} "
                           f"layers, not {shown(wanted)}")
    for index, (layer, one) in enumerate(zip(layers, wanted, strict=True)):
        if one and kernel_banks(layer) == (1, 1):
            raise CompileError(
                f"layer {index} ({layer.name}): kernel_parallel must be false: it takes a convolution whose events "
                "reach several outputs, at distances that share no factor with their number, without a pool of "
                "currents")
    return [kernel_banks(layer) if one else (1, 1) for layer, one in zip(layers, wanted, strict=True)]


def _merges(network: IntegerNetwork, options: Options, wanted: bool | Sequence[bool]) -> list[bool]:
    """Return for each layer whether the spikes of its pool windows are merged."""
    return _switches("merges", wanted, [can_merge(layer) and index not in options.external
                                       for index, layer in enumerate(network.layers)])


def _skips(network: IntegerNetwork, wanted: bool | Sequence[bool]) -> list[bool]:
    """Return for each layer whether the marker of a step skips rows."""
    return _switches("skips", wanted, [skips_obstacle(network, index) is None for index in range(len(network.layers))])


def _switches(name: str, wanted: bool | Sequence[bool], can: Sequence[bool]) -> list[bool]:
    """Return a switch of each layer, given as one for all that can have it, or as one for each."""
    if isinstance(wanted, bool):
        return [wanted and one for one in can]
    if isinstance(wanted, str) or not isinstance(wanted, Sequence) or len(wanted) != len(can) or not all(
        isinstance(one, bool) for one in wanted
    ):
        raise CompileError(f"{name} must be true or false, or that for each of the {len(can)} layers, not "
                           f"{shown(wanted)}")
    return list(wanted)


def _events_per_cycle(network: IntegerNetwork, options: Options) -> list[int]:
    """Return the events that each layer takes in one cycle."""
    wanted, count = options.events_per_cycle, len(network.layers)
    obstacles = [
        "events_per_cycle must be 1 with external weights, not 2" if index in options.external else pairs_obstacle(
            network, index, single_port=index in options.single_port,
            bit_serial=options.bit_serial and index == 0) for index in range(count)]
    if _is_one_or_two(wanted):
        return [2 if wanted == 2 and obstacle is None else 1 for obstacle in obstacles]
    if isinstance(wanted, str) or not isinstance(wanted, Sequence) or len(wanted) != count or not all(
        map(_is_one_or_two, wanted)
    ):
        raise CompileError(f"events_per_cycle must be 1 or 2, or that for each of the {count} layers, not "
                           f"{shown(wanted)}")
    for index, (one, obstacle) in enumerate(zip(wanted, obstacles, strict=True)):
        if one == 2 and obstacle is not None:
            raise CompileError(f"layer {index} ({network.layers[index].name}): {obstacle}")
    return list(wanted)


def _is_one_or_two(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value in (1, 2)


def _pairs(
    name: str, network: IntegerNetwork, wanted: bool | Sequence[bool | tuple[bool, bool]],
) -> list[tuple[bool, bool]]:
    """Return a pair of switches of each layer, given as one for all, or as one or a pair for each."""
    given = [wanted] * len(network.layers) if isinstance(wanted, bool) else wanted
    given = given if isinstance(given, Sequence) else ()
    pairs = [(one[0], one[1]) if isinstance(one, tuple | list) and len(one) == 2 else (one, one) for one in given]
    if len(pairs) != len(network.layers) or not all(isinstance(one, bool) for pair in pairs for one in pair):
        raise CompileError(f"{name} must be true or false, or that, or a pair of that, for each of the "
                           f"{len(network.layers)} layers, not {shown(wanted)}")
    return [(bool(down), bool(across)) for down, across in pairs]
