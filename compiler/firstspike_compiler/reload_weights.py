# SPDX-License-Identifier: MIT
"""Other weights and biases for hardware that is built."""

from dataclasses import replace

from firstspike_arch.network import IntegerNetwork
from firstspike_arch.program import Program
from firstspike_arch.shown import shown

from .errors import CompileError
from .passes.prove_widths import prove_widths

__all__ = ["reload_weights"]


def reload_weights(program: Program, network: IntegerNetwork) -> Program:
    """Return a program with other weights and biases that runs on the same hardware as ``program``.

    Raises
    ------
    CompileError
        Something other than memory contents differs, or the new weights need more membrane bits, by their width proof,
        than the hardware has.
    """
    old = program.network
    for name in ("input_kind", "readout", "steps", "steps_max", "cutoff", "in_min", "in_max", "step_weights",
                 "endless"):
        if getattr(network, name) != getattr(old, name):
            raise CompileError(f"{name} must be {shown(getattr(old, name))} as built, not "
                               f"{shown(getattr(network, name))}")
    if len(network.layers) != len(old.layers):
        raise CompileError(f"network must have {len(old.layers)} layers as built, not {len(network.layers)}")
    for index, (built, layer) in enumerate(zip(old.layers, network.layers, strict=True)):
        if (layer.connectivity.weight_shape, layer.weight_bits) != (built.connectivity.weight_shape, built.weight_bits):
            raise CompileError(
                f"layer {index} ({layer.name}): weights must be {built.connectivity.weight_shape} of "
                f"{built.weight_bits} bits as built, not {layer.connectivity.weight_shape} of {layer.weight_bits} bits"
            )
    reloaded = replace(program, network=network)
    for built, core, proof in zip(program.cores, reloaded.cores, prove_widths(network), strict=True):
        where, had, has = f"layer {core.index} ({core.layer.name})", built.hardware(), core.hardware()
        if had["synapses"] != has["synapses"]:
            raise CompileError(f"{where}: synapses must be as built (sources, shapes, strides, padding, groups, pools)")
        if had != has:
            raise CompileError(
                f"{where}: neurons must be as built (threshold, leak, reset, clamps, v_init, number of bias rows)"
            )
        if proof.current_bits > core.plan.current_bits:
            raise CompileError(f"{where}: currents and rises of thresholds must fit the {core.plan.current_bits} bits "
                               f"as built, not {proof.current_bits}")
        if proof.bits > core.plan.membrane_bits:
            raise CompileError(
                f"{where}: membranes must fit the {core.plan.membrane_bits} bits as built, not {proof.bits}: "
                f"v − theta reaches {proof.low}…{proof.high}"
            )
    return reloaded
