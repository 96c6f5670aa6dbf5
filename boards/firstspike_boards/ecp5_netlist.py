# SPDX-License-Identifier: MIT
"""Peephole optimisation of ECP5 netlists, in three steps that yosys does not have.

Flip-flops behind a block RAM become the RAM's own output register: the clock-to-output delay of a DP16KD is 5.8 ns
without it, 0.6 ns with it. Where a memory is deeper than a block, so that a multiplexer is between both, they change
places first. LUTs in front of an adder become a part of its own LUTs, of which an adder uses two inputs of four.
"""

from collections import Counter
from dataclasses import dataclass
from itertools import count, permutations, product

__all__ = ["absorb_adder_inputs", "absorb_output_registers", "improve", "retime_block_multiplexers"]

_WORD_BITS, _WIDE_BITS = 18, 36
_GATES_MAX, _SELECTS_MAX = 16, 4
_ADDER = 0x96AA
"""Function of a CCU2C's LUTs by which yosys adds A and B, with C = 0 and D = 1; C = D = 0 gives what is carried: A."""


def improve(netlist: dict) -> None:
    """Change a yosys JSON netlist of ECP5 cells in place, in all ways."""
    retime_block_multiplexers(netlist)
    absorb_output_registers(netlist)
    absorb_adder_inputs(netlist)


def absorb_output_registers(netlist: dict) -> int:
    """Change a yosys JSON netlist of ECP5 cells in place; return the number of block RAM ports that use their register.

    A port of a DP16KD is changed if each output bit in use drives exactly one TRELLIS_FF and nothing else, and if these
    flip-flops share one clock enable, share the port's clock, have no reset and start at 0. A word of 36 bits is at the
    outputs of both ports, which then change together, so that both registers have the same mode and clock enable.
    """
    return sum(_absorb_registers(module) for module in netlist["modules"].values())


def retime_block_multiplexers(netlist: dict) -> int:
    """Change a yosys JSON netlist of ECP5 cells in place; return the number of flip-flops behind multiplexers of block
    RAMs that were moved in front of them, where `absorb_output_registers` takes them over.

    A flip-flop is moved if it is one of those that a block RAM can absorb, and if what is in front of it is nothing but
    a multiplexer of outputs of block RAMs that drive nothing else, chosen by flip-flops, which are moved, too. All that
    are behind one block RAM are moved, or none.
    """
    return sum(_retime(module) for module in netlist["modules"].values())


@dataclass(frozen=True)
class _Cone:
    """Gates in front of a flip-flop, and the nets that they read: outputs of block RAMs, and of flip-flops."""

    gates: frozenset[str]
    data: frozenset[int]
    selects: frozenset[int]


def _retime(module: dict) -> int:
    cells, uses = module["cells"], _uses(module)
    drivers = {net: (name, pin) for name, cell in cells.items() for pin, nets in cell["connections"].items()
               if cell["port_directions"][pin] == "output" for net in nets if not isinstance(net, str)}
    cones = {}
    for name, cell in cells.items():
        if cell["type"] == "TRELLIS_FF" and _control(cell) is not None:
            cone = _cone(cells, uses, drivers, cell["connections"]["DI"][0])
            if cone is not None and len(cone.data) > 1 and _is_zero(cells, drivers, cell["connections"]["DI"][0], cone):
                cones[name] = cone
    _keep_whole_ports(cells, uses, drivers, cones)
    fresh, registers = count(1 + max(drivers, default=0)), {}
    for name, cone in cones.items():
        moved = cells.pop(name)
        pins = moved["connections"]
        for net in cone.data | cone.selects:
            place = net, _control(moved)
            if place not in registers:
                registers[place] = next(fresh)
                cells[f"{name}_before_{registers[place]}"] = {
                    **moved, "connections": {**pins, "DI": [net], "Q": [registers[place]]}}
        for gate in map(cells.get, cone.gates):
            for pin, (net,) in gate["connections"].items():
                if gate["port_directions"][pin] != "output":
                    gate["connections"][pin] = [registers.get((net, _control(moved)), net)]
                elif [net] == pins["DI"]:
                    gate["connections"][pin] = pins["Q"]
    return len(cones)


def _cone(cells: dict, uses: Counter, drivers: dict, net: int) -> _Cone | None:
    """Return what computes a net, if that is as `retime_block_multiplexers` wants it."""
    gates, data, selects, stack = set(), set(), set(), [net]
    while stack:
        net = stack.pop()
        name, _ = drivers.get(net, ("", ""))
        kind = cells[name]["type"] if name else ""
        if kind in ("LUT4", "PFUMX", "L6MUX21") and uses[net] == 1 and len(gates) < _GATES_MAX:
            gates.add(name)
            stack += [one for pin, (one,) in cells[name]["connections"].items()
                      if cells[name]["port_directions"][pin] != "output" and not isinstance(one, str)]
        elif kind == "DP16KD":
            data.add(net)
        elif kind == "TRELLIS_FF":
            selects.add(net)
        else:
            return None
    return _Cone(frozenset(gates), frozenset(data), frozenset(selects)) if len(selects) <= _SELECTS_MAX else None


def _is_zero(cells: dict, drivers: dict, net: int, cone: _Cone) -> bool:
    """Whether a net is 0 where all outputs of block RAMs are, as they are at power-up, whatever is selected."""
    def value(net, selects: dict) -> int:
        if isinstance(net, str) or net in cone.data:
            return int(net == "1")
        if net in selects:
            return selects[net]
        gate = cells[drivers[net][0]]
        pins = {pin: value(nets[0], selects) for pin, nets in gate["connections"].items()
                if gate["port_directions"][pin] != "output"}
        if gate["type"] == "PFUMX":
            return pins["ALUT" if pins["C0"] else "BLUT"]
        if gate["type"] == "L6MUX21":
            return pins["D1" if pins["SD"] else "D0"]
        return int(gate["parameters"]["INIT"], 2) >> sum(pins[pin] << bit for bit, pin in enumerate("ABCD")) & 1

    return not any(value(net, dict(zip(cone.selects, bits, strict=True)))
                   for bits in product((0, 1), repeat=len(cone.selects)))


def _keep_whole_ports(cells: dict, uses: Counter, drivers: dict, cones: dict[str, _Cone]) -> None:
    """Remove the flip-flops that are behind a port of a block RAM some of whose outputs drive something else, or
    flip-flops that move at another time."""
    def read(name: str) -> Counter:
        return Counter(net for gate in cones[name].gates for pin, (net,) in cells[gate]["connections"].items()
                       if net in cones[name].data and cells[gate]["port_directions"][pin] != "output")

    def port(net: int) -> tuple[str, str]:
        name, pin = drivers[net]
        return name, next(sides for sides in _read_ports(cells[name]) if pin[2] in sides)

    while True:
        inside = sum(map(read, cones), Counter())
        controls: dict = {}
        for name, cone in cones.items():
            for net in cone.data:
                controls.setdefault(port(net), set()).add(_control(cells[name]))
        whole = {one for one, found in controls.items() if len(found) == 1 and all(
            inside[net] == uses[net] for pin, (net,) in cells[one[0]]["connections"].items()
            if pin[:2] == "DO" and pin[2] in one[1])}
        parted = [name for name, cone in cones.items() if any(port(net) not in whole for net in cone.data)]
        if not parted:
            return
        for name in parted:
            del cones[name]


def absorb_adder_inputs(netlist: dict) -> int:
    """Change a yosys JSON netlist of ECP5 cells in place; return the number of LUTs that adders have taken over.

    A LUT is taken over if all that it drives are inputs of adders, one of each, and if the adder's LUT can do its part:
    it has one input for the other summand and three for those of the LUT, and what is carried where two of these are 0
    must be the other summand, so the LUT must give 0 there. A word that is gated by a select, or chosen from two, does.
    """
    return sum(_absorb_luts(module) for module in netlist["modules"].values())


def _absorb_luts(module: dict) -> int:
    cells, uses = module["cells"], _uses(module)
    readers: dict = {}  # of each net: adders' inputs, as cell, half, and whether it is input A
    for name, cell in cells.items():
        if cell["type"] != "CCU2C":
            continue
        pins, parameters = cell["connections"], cell["parameters"]
        for half in "01":
            others = pins[f"C{half}"], pins[f"D{half}"]
            if (int(parameters[f"INIT{half}"], 2), parameters[f"INJECT1_{half}"], *others) == (
                    _ADDER, "NO", ["0"], ["1"]):
                for pin in "AB":
                    readers.setdefault(pins[pin + half][0], []).append((name, half, pin == "A"))
    taken = 0
    for name in [name for name, cell in cells.items() if cell["type"] == "LUT4"]:
        lut = cells[name]
        here = [one for one in readers.get(lut["connections"]["Z"][0], ())
                if cells[one[0]]["connections"][f"D{one[1]}"] == ["1"]]  # it may have taken over another LUT
        if not here or len(here) != uses[lut["connections"]["Z"][0]] or len({one[:2] for one in here}) < len(here):
            continue
        found = _adder_function(lut)
        if found is None:
            continue
        nets, function = found
        for adder, half, is_left in here:
            cell = cells[adder]
            pins = cell["connections"]
            pins[f"A{half}"] = pins[f"{'B' if is_left else 'A'}{half}"]
            for pin, net in zip("BCD", nets, strict=True):
                pins[f"{pin}{half}"] = [net]
            cell["parameters"][f"INIT{half}"] = f"{function:016b}"
        del cells[name]
        taken += 1
    return taken


def _adder_function(lut: dict) -> tuple[tuple, int] | None:
    """Return nets for an adder's inputs B, C and D, and its function of A, B, C and D, with which it adds the output of
    a LUT to A; None if there is none."""
    pins, init = lut["connections"], int(lut["parameters"]["INIT"], 2)
    nets = [pins[pin][0] for pin in "ABCD"]
    inputs = [net for net in dict.fromkeys(nets) if not isinstance(net, str)]
    if len(inputs) > 3:
        return None

    def output(values: dict) -> int:
        return init >> sum(values.get(net, net == "1") << bit for bit, net in enumerate(nets)) & 1

    for order in permutations([*inputs, *["0"] * (3 - len(inputs))]):
        table = {bits: output({net: bit for net, bit in zip(order, bits, strict=True) if not isinstance(net, str)})
                 for bits in product((0, 1), repeat=3)}
        if not table[0, 0, 0] and not table[1, 0, 0]:
            return order, sum((a ^ table[b, c, d]) << (d << 3 | c << 2 | b << 1 | a)
                              for a, b, c, d in product((0, 1), repeat=4))
    return None


def _uses(module: dict) -> Counter:
    """Count the inputs and ports that each net drives."""
    uses = Counter(net for cell in module["cells"].values() for name, nets in cell["connections"].items()
                   if cell["port_directions"][name] != "output" for net in nets)
    uses.update(net for port in module["ports"].values() if port["direction"] != "input" for net in port["bits"])
    return uses


def _absorb_registers(module: dict) -> int:
    cells, uses = module["cells"], _uses(module)
    behind = {cell["connections"]["DI"][0]: name for name, cell in cells.items() if cell["type"] == "TRELLIS_FF"}
    changed = 0
    for ram in [cell for cell in cells.values() if cell["type"] == "DP16KD"]:
        pins = ram["connections"]
        for sides in _read_ports(ram):
            read = [pin for pin in (f"DO{side}{bit}" for side in sides for bit in range(_WORD_BITS))
                    if pins.get(pin) and uses[pins[pin][0]]]
            registers = [behind.get(pins[pin][0]) for pin in read]
            if not read or None in registers or any(uses[pins[pin][0]] != 1 for pin in read):
                continue
            control, *others = {_control(cells[name]) for name in registers}
            if control is None or others:
                continue
            clock, enable = control
            if any(clock != pins[f"CLK{side}"][0] or pins.get(f"RST{side}", ["0"]) != ["0"] for side in sides):
                continue
            for pin, name in zip(read, registers, strict=True):
                pins[pin] = cells.pop(name)["connections"]["Q"]
            for side in sides:
                pins[f"OCE{side}"], ram["parameters"][f"REGMODE_{side}"] = [enable], "OUTREG"
            changed += 1
    return changed


def _read_ports(ram: dict) -> tuple[str, ...]:
    """Whose outputs each port of a DP16KD has: its own, or those of both for a word of 36 bits."""
    return ("AB",) if int(ram["parameters"].get("DATA_WIDTH_B", "0"), 2) == _WIDE_BITS else ("A", "B")


def _control(register: dict):
    """Return the nets of clock and clock enable; None if the RAM's register cannot replace this flip-flop."""
    pins, parameters = register["connections"], register["parameters"]
    plain = {"CLKMUX": "CLK", "REGSET": "RESET", "GSR": "DISABLED"}
    if any(parameters.get(name, value) != value for name, value in plain.items()):
        return None
    if parameters.get("LSRMUX", "LSR") != "LSR" or pins.get("LSR", ["0"])[0] != "0":
        return None
    # yosys puts a space behind a text that could be a number.
    if parameters.get("CEMUX", "1").strip() == "1":
        return pins["CLK"][0], "1"
    return (pins["CLK"][0], pins["CE"][0]) if parameters["CEMUX"] == "CE" else None
