# SPDX-License-Identifier: MIT
"""Energy estimate of the papers, a constant for each operation in 45 nm, and the memory accesses that it leaves out.

The estimate does not apply to an FPGA. It serves to compare with published figures, which count arithmetic alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from firstspike_arch.program import Program

from .activity import Operations

__all__ = ["FP32", "INT8", "MEMORY_PJ_A_BIT", "Arithmetic", "Traffic", "compute_energy", "memory_traffic"]


@dataclass(frozen=True, kw_only=True)
class Arithmetic:
    """Energy of one multiply-accumulate and of one accumulate, in pJ."""

    name: str
    multiply_accumulate_pj: float
    accumulate_pj: float


# Ref: M. Horowitz, "Computing's energy problem (and what we can do about it)", ISSCC 2014, figure 1.1.9: 45 nm, 0.9 V;
# multiplications and additions added up as the spiking papers do.
FP32 = Arithmetic(name="FP32", multiply_accumulate_pj=4.6, accumulate_pj=0.9)
INT8 = Arithmetic(name="INT8", multiply_accumulate_pj=0.23, accumulate_pj=0.03)
MEMORY_PJ_A_BIT = 10 / 64
"""Energy of a memory access in pJ a bit: 10 pJ for 64 bits of 8 KB; larger memories take more (1 MB: 100 pJ).

Ref: the same figure.
"""


def compute_energy(operations: Sequence[Operations], kind: Arithmetic) -> float:
    """Return the energy of the synaptic operations of all layers, in pJ."""
    return sum(kind.multiply_accumulate_pj * one.multiplications + kind.accumulate_pj * one.additions
               for one in operations)


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Bits transferred to and from memories: weights read, membranes read and written."""

    weight_bits: int
    membrane_bits: int

    @property
    def energy_pj(self) -> float:
        return MEMORY_PJ_A_BIT * (self.weight_bits + self.membrane_bits)


def memory_traffic(program: Program, operations: Sequence[Operations]) -> Traffic:
    """Count the memory traffic of all layers, at the program's widths.

    Every synaptic operation reads a weight, and reads and writes a membrane; every update of a neuron reads and writes
    a membrane.
    """
    weights = membranes = 0
    for layer, plan, one in zip(program.network.layers, program.config.layers, operations, strict=True):
        touched = one.events + one.multiplications
        weights += touched * layer.weight_bits
        membranes += 2 * (touched + one.updates) * plan.membrane_bits
    return Traffic(weight_bits=weights, membrane_bits=membranes)
