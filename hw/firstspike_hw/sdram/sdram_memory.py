# SPDX-License-Identifier: MIT
"""An SDRAM as external memory: started by itself, read by requests, written by beats."""

from collections.abc import Sequence

from amaranth.hdl import Module, Signal
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from ..beat_streams import request_stream, response_stream, write_stream
from .sdram_core import SdramChip, StartStep
from .sdram_port import NativeInterface, SdramPort, native_port
from .sdram_starter import ControlInterface, SdramStarter, control_bus

__all__ = ["SdramMemory"]


class SdramMemory(wiring.Component):
    """`SdramPort` and `SdramStarter` beside LiteDRAM's controller, whose ports are members.

    Requests and writes may come at any time, and wait until ``started``.

    Parameters
    ----------
    chip : SdramChip
    steps : sequence of StartStep
        Of `generate_core`.
    data_bits : int
        Bits of a beat: 32, 64 or 128.

    Members
    -------
    requests, responses, writes
        As those of `SdramPort`.
    user_port_0 : Out(native_port(chip)), wb_ctrl : Out(control_bus())
        To the ports of the controller whose names begin so.
    started : Out(1)
    """

    requests: stream.Interface
    responses: stream.Interface
    writes: stream.Interface
    user_port_0: NativeInterface
    wb_ctrl: ControlInterface
    started: Signal

    def __init__(self, chip: SdramChip, steps: Sequence[StartStep], *, data_bits: int):
        self._chip, self._steps, self._data_bits = chip, steps, data_bits
        super().__init__({
            "requests": In(request_stream()), "responses": Out(response_stream(data_bits)),
            "writes": In(write_stream(data_bits)), "user_port_0": Out(native_port(chip)),
            "wb_ctrl": Out(control_bus()), "started": Out(1),
        })

    @property
    def chip(self) -> SdramChip:
        """The chip."""
        return self._chip

    @property
    def data_bits(self) -> int:
        """Bits of a beat."""
        return self._data_bits

    def elaborate(self, platform):
        m = Module()
        m.submodules.port = port = SdramPort(self._chip, data_bits=self._data_bits)
        m.submodules.starter = starter = SdramStarter(self._steps)
        connect(m, flipped(self.requests), port.requests)
        connect(m, flipped(self.writes), port.writes)
        connect(m, port.responses, flipped(self.responses))
        connect(m, port.native, flipped(self.user_port_0))
        connect(m, starter.bus, flipped(self.wb_ctrl))
        m.d.comb += self.started.eq(starter.done)
        return m
