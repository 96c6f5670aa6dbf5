# SPDX-License-Identifier: MIT
"""The names of ``import firstspike``, which imports this module when the first of them is used."""

from firstspike_arch.network_builder import NetworkBuilder
from firstspike_compiler.frontends.lava_file import load_lava
from firstspike_compiler.frontends.nir_file import load_nir
from firstspike_compiler.nir_export import save_nir
from firstspike_sim.stimulus import encode_latency
from firstspike_train.neurons import IF, LIF, LeakyIntegrator, SpikingSequential

from .api import (
    Calibration,
    Mapping,
    Quantised,
    Verification,
    calibrate,
    choose_bits,
    compile,
    component,
    connect,
    count_events,
    estimate,
    export,
    infer,
    load,
    map_to_device,
    open_build,
    quantise_at,
    save,
    simulate,
    verify,
)
from .torch_module import from_norse, from_sinabs, from_snntorch, from_spikingjelly, from_torch

__all__ = [
    "IF", "LIF", "Calibration", "LeakyIntegrator", "Mapping", "NetworkBuilder", "Quantised", "SpikingSequential",
    "Verification", "calibrate", "choose_bits", "compile", "component", "connect", "count_events", "encode_latency",
    "estimate", "export", "from_norse", "from_sinabs", "from_snntorch", "from_spikingjelly", "from_torch", "infer",
    "load", "load_lava", "load_nir", "map_to_device", "open_build", "quantise_at", "save", "save_nir", "simulate",
    "verify",
]
