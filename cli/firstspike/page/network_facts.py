# SPDX-License-Identifier: MIT
"""Facts of a program that do not depend on inputs: layers and mapping, use of devices, width proofs."""

from collections.abc import Mapping

from firstspike_arch.core_spec import CoreSpec
from firstspike_arch.network import INPUT
from firstspike_arch.program import Program
from firstspike_arch.shown import shown
from firstspike_boards.devices import DEVICES, Device
from firstspike_compiler.passes.prove_widths import prove_widths
from firstspike_sim.models.activity import Activity

from ..mapping import FILL, device_parts, device_use

__all__ = ["check_device", "device_facts", "network_facts", "width_facts"]

TAKEN = {"luts": "LUTs", "memory": "block RAMs", "multipliers": "multipliers"}
"""What devices have, by the fields of `Use`."""


def network_facts(program: Program, inferences: int) -> dict:
    """Name, input and layers of a network, with the mapping of each layer."""
    network, config = program.network, program.config
    return {
        "name": network.name, "inferences": inferences, "input": network.input_kind, "shape": list(network.input_shape),
        "steps": network.steps, "endless": network.endless, "readout": network.readout, "port": config.port,
        "early_exit": config.early_exit, "winner": config.winner, "digest": program.digest(),
        "elements": sum(core.plan.elements for core in program.cores),
        "weight_bits": sum(shape.depth * shape.used_bits for shape in program.memories()),
        "layers": [_layer(core) for core in program.cores],
    }


def _layer(core: CoreSpec) -> dict:
    layer, plan = core.layer, core.plan
    return {
        "name": layer.name, "from": ["input" if one.source == INPUT else one.source for one in core.inputs],
        "in_shape": list(layer.in_shape), "out_shape": list(layer.out_shape), "neurons": layer.neurons,
        "weight_bits": layer.weight_bits, "membrane_bits": plan.membrane_bits, "lanes": plan.lanes,
        "banks": list(plan.banks), "rows": plan.rows, "elements": plan.elements,
        "events_per_cycle": plan.options.events_per_cycle, "merges": plan.options.merges, "skips": plan.options.skips,
        "forwards": plan.options.forwards, "multiplies_leaks": plan.options.multiplies_leaks,
        "memory": [core.memory.depth, core.memory.stored_bits],
    }


def check_device(name: str | None) -> None:
    """Raise ValueError unless the device is known; None: none is named."""
    if name is not None and name not in DEVICES:
        raise ValueError(f"--device must be one of {', '.join(DEVICES)}, not {shown(name)}")


def device_facts(program: Program, name: str | None) -> dict:
    """What an accelerator takes of each device; of the named one, or the smallest that it fits, also part by part."""
    check_device(name)
    rows, fitting = [], []
    for device in DEVICES.values():
        use, has = device_use(program, device), _has(device)
        fits = all(getattr(use, field) <= limit * (FILL if field == "luts" else 1) for field, limit in has.items())
        rows.append({"name": device.name, "fits": fits, "lut_inputs": device.lut_inputs,
                     **{field: {"used": getattr(use, field), "of": limit} for field, limit in has.items()}})
        if fits:
            fitting.append(device)
    largest = max(DEVICES.values(), key=lambda one: one.blocks)
    named = DEVICES[name] if name else min(fitting, key=lambda one: (one.luts, one.blocks), default=largest)
    parts = [{"name": part, "luts": use.luts, "memory": use.memory} for part, use in device_parts(program, named)]
    return {"names": TAKEN, "fill": FILL, "shown": named.name, "devices": rows, "parts": parts}


def _has(device: Device) -> Mapping[str, int]:
    """What a device has, by the fields of `Use`."""
    return {"luts": device.luts, "memory": device.blocks, "multipliers": device.multipliers}


def width_facts(program: Program, activity: Activity | None) -> list[dict]:
    """For each layer the bits of a membrane, the proof, and what the inferences reached."""
    found = []
    for index, (core, proof) in enumerate(zip(program.cores, prove_widths(program.network), strict=True)):
        reached = None if activity is None else [int(activity.lowest[index]), int(activity.highest[index])]
        found.append({"layer": core.layer.name, "bits": core.plan.membrane_bits, "proved_bits": proof.bits,
                      "proved": [proof.low, proof.high], "reached": reached, "proof": str(proof)})
    return found
