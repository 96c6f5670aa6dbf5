# SPDX-License-Identifier: MIT
"""Look-up tables of units, by yosys; the model of `firstspike_boards.lut_model` fitted to them.

It measures the designs that are new or have other Verilog than in results/luts.json, an hour for all of them, then fits
and compares with designs that the fit has not seen; `--fit` measures nothing.
"""

import hashlib
import importlib
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import firstspike as fs
import numpy as np
from firstspike.verb_demo import shipped
from firstspike_arch.program import Program, write_atomically
from firstspike_boards import lut_coefficients, lut_model
from firstspike_boards.family import Family
from firstspike_boards.lut_model import program_units
from firstspike_boards.open_flow import synthesise
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.toolchain import ToolError
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP
from resources import FAMILIES, LUTS_OF_CELL, MULTIPLIERS
from scipy.optimize import lsq_linear
from table import RESULTS, Row, publish

STORED = RESULTS / "luts.json"
COEFFICIENTS = Path(lut_model.__file__).with_name("lut_coefficients.py")
TOLERANCE = 0.1

Design = tuple[str, str, dict]
"""Name of a network of the zoo, a letter, and the options of its compilation."""

NETWORKS: dict[str, dict] = {
    "digits_diet": {}, "digits_ettfs": {}, "digits_latency": {}, "digits_multi_threshold": {},
    "nmnist_multi_threshold": {"in_max": 3}, "mnist_latency": {}, "mnist_ettfs_conv": {}, "mnist_multi_threshold": {},
    "mnist_diet": {}, "mnist_ettfs": {},
}
"""Networks of the zoo, with the options that they need."""

MAPPINGS: tuple[Design, ...] = (
    ("digits_ettfs", "a", {"lanes": 8, "early_exit": True, "winner": "scan", "port": "image"}),
    ("digits_ettfs", "b", {"lanes": [22, 5], "register_rows": 2}),
    ("digits_ettfs", "c", {"lanes": [64, 10]}),
    ("digits_ettfs", "d", {"lanes": [32, 10], "events_per_cycle": 2, "port": "image"}),
    ("digits_diet", "a", {"lanes": [4, 5, 4], "merges": True, "port": "image"}),
    ("digits_diet", "b", {"lanes": [1, 11, 10], "banks": [(3, 2), (1, 1), (1, 1)], "rotates": True,
                          "register_rows": 2}),
    ("digits_latency", "a", {"lanes": [3, 16, 5], "early_exit": True}),
    ("digits_latency", "b", {"lanes": [4, 12, 5], "banks": [(2, 3), (1, 1), (1, 1)], "rotates": True,
                             "early_exit": True}),
    ("digits_multi_threshold", "a", {"lanes": [8, 10], "port": "image"}),
    ("digits_multi_threshold", "b", {"lanes": [1, 5], "kernel_parallel": True, "merges": True}),
    ("nmnist_multi_threshold", "a", {"lanes": [3, 12, 2], "merges": True}),
    ("nmnist_multi_threshold", "b", {"lanes": [1, 2, 5], "banks": [(2, 2), (3, 1), (1, 1)], "rotates": True}),
    ("mnist_latency", "a", {"lanes": [5, 8, 10, 3], "merges": True, "early_exit": True, "port": "image"}),
    ("mnist_latency", "b", {"lanes": [2, 1, 12, 5], "banks": [(1, 5), (2, 5), (1, 1), (1, 1)], "merges": True,
                            "rotates": [False, True, False, False]}),
    ("mnist_latency", "c", {"lanes": [15, 3, 20, 4], "banks": [(1, 1), (1, 5), (1, 1), (1, 1)], "merges": True,
                            "rotates": True, "early_exit": True}),
    ("mnist_ettfs_conv", "a", {"lanes": [2, 4, 15, 10], "banks": [(3, 1), (1, 2), (1, 1), (1, 1)],
                               "early_exit": True, "winner": "scan", "port": "image"}),
    ("mnist_multi_threshold", "a", {"lanes": [3, 10, 10, 4], "merges": True}),
    ("mnist_diet", "a", {"lanes": [3, 10, 12, 10], "merges": True, "port": "image"}),
    ("mnist_ettfs", "a", {"lanes": [32, 5], "early_exit": True, "port": "image"}),
)
"""Network, letter and mapping of the designs that are measured for the fit."""

FRESH: tuple[Design, ...] = (
    ("mnist_ettfs_conv", "fresh", {"lanes": [3, 12, 8, 2], "banks": [(1, 1), (1, 3), (1, 1), (1, 1)], "merges": True,
                                   "rotates": True}),
    ("nmnist_multi_threshold", "fresh", {"lanes": [2, 4, 2], "banks": [(1, 3), (2, 2), (1, 1)], "merges": True,
                                         "rotates": [False, True, False]}),
)
"""Designs that the fit does not see."""


def stored() -> dict:
    """What was measured, by design; empty if nothing was."""
    return json.loads(STORED.read_text()) if STORED.exists() else {}


def program_of(name: str, mapping: dict) -> Program:
    return fs.compile(fs.load(shipped("zoo", f"{name}.safetensors")), **mapping, **NETWORKS[name]).program


def luts_by_unit(text: str, family: Family, inputs: int) -> dict[str, int]:
    """Synthesise an accelerator; count the LUTs of each of its units, those without one as of the unit "top"."""
    with tempfile.TemporaryDirectory() as name:
        netlist = synthesise(family.synthesis, {"design.v": text}, Path(name), top=TOP)
    (module,) = (one for one in netlist["modules"].values() if int(one["attributes"].get("top", "0"), 2))
    units = units_of_cells(module)
    found: Counter[str] = Counter()
    for cell, parts in module["cells"].items():
        if weight := LUTS_OF_CELL[inputs].get(parts["type"], 0):
            found[units.get(cell, "top")] += weight
        elif parts["type"] in MULTIPLIERS:
            found["multipliers"] += 1
    return dict(sorted(found.items()))


def units_of_cells(module: dict) -> dict[str, str]:
    """Return the unit of each cell of a flattened netlist: by the nets that it drives, whose names begin with that of
    their unit, else by the cells that take what it drives."""
    unit_of_bit: dict[int, str] = {}
    for name, net in module["netnames"].items():
        if "." in name and not net["hide_name"]:
            unit_of_bit |= {bit: name.split(".")[0] for bit in net["bits"]}
    drives, takes = {}, {}
    for cell, parts in module["cells"].items():
        ports, directions = parts["connections"], parts.get("port_directions", {})
        drives[cell] = [bit for port, bits in ports.items() if directions.get(port) == "output" for bit in bits]
        for port, bits in ports.items():
            if directions.get(port) == "input":
                for bit in bits:
                    takes.setdefault(bit, []).append(cell)
    named = {cell: [unit_of_bit[bit] for bit in bits if bit in unit_of_bit] for cell, bits in drives.items()}
    units = {cell: found[0] for cell, found in named.items() if found}
    while True:  # from the named cells backwards
        more = {}
        for cell, bits in drives.items():
            if cell not in units:
                takers = Counter(units[taker] for bit in bits for taker in takes.get(bit, ()) if taker in units)
                if takers:
                    more[cell] = takers.most_common(1)[0][0]
        if not more:
            return units
        units |= more


def measure(wanted: Iterable[Design], measured: dict) -> None:
    """Measure the designs that are new or have changed, and store each at once."""
    for name, letter, mapping in wanted:
        program = program_of(name, mapping)
        text = verilog(Accelerator(program), ())
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        entry = measured.get(f"{name}/{letter}", {})
        if entry.get("verilog") == digest:
            continue
        start = time.monotonic()
        try:
            found = {str(inputs): luts_by_unit(text, family, inputs) for inputs, family in FAMILIES.items()}
        except ToolError as error:  # yosys 0.69 ends within ABC now and then, with no message
            print(f"{name}/{letter}: {error}", file=sys.stderr)
            continue
        measured[f"{name}/{letter}"] = {"verilog": digest, "mapping": mapping, "luts": found}
        write_atomically(STORED, json.dumps(measured, indent=1) + "\n")
        print(f"{name}/{letter}: {sum(found['4'].values())} LUT4, {sum(found['6'].values())} LUT6, "
              f"{time.monotonic() - start:.0f} s", file=sys.stderr)


def known(measured: dict, wanted: Iterable[Design]) -> list[Design]:
    """Those of the designs that have been measured."""
    return [one for one in wanted if f"{one[0]}/{one[1]}" in measured]


def grouped(found: dict[str, int]) -> dict[str, int]:
    """LUTs by the units of the model: program port, counters, edges and the top's own are one."""
    groups: Counter[str] = Counter()
    for unit, number in found.items():
        if unit != "multipliers":
            known = re.fullmatch(r"(core|merger|queue|extractor)\d+(_\d+)?|encoder|guard|readout", unit)
            groups[unit if known else "port"] += number
    return dict(groups)


EXPECTED = {
    "adder": (1, 1), "operand": (0.8, 0.5), "leak": (0.5, 0.2), "extra": (1, 0.4), "halve": (0.5, 0.3),
    "save": (0.3, 0.2), "bases": (0.6, 0.2), "current": (1.5, 1), "pool": (3, 2), "levels": (1, 0.6),
    "by_level": (0.5, 0.2), "product": (1.5, 1), "addends": (1.5, 1), "rotated": (2, 1), "pairs": (1, 1),
    "memory": (0.4, 0.2), "forward": (0.6, 0.4), "lut_ram": (1, 1), "lut_ram_mux": (1, 0), "selects": (0.5, 0.5),
    "spikes": (1, 1), "banks": (2, 1.5),
    "coordinates": (1, 0.5), "windows": (2, 2), "chunks": (8, 8), "addresses": (4, 3), "scattered": (8, 4),
    "passes": (5, 3), "control": (50, 40),
}
"""LUTs of four and of six inputs for each unit of a core's features, roughly, from the logic."""

PULL = 0.2
"""Weight of `EXPECTED` beside that of the designs."""


WHOLE = 3
"""Weight of a whole design beside that of a unit."""


def fit(measured: dict) -> dict[int, dict[str, dict[str, float]]]:
    """Fit the coefficients, none of them negative, to the least squared relative error of units and of whole designs.

    Designs are few: what they leave open stays near `EXPECTED`.
    """
    found = {}
    for inputs in FAMILIES:
        columns: dict[tuple[str, str], int] = {}
        rows: list[tuple[dict[int, float], float, float]] = []  # numbers by column, LUTs, weight
        for name, letter, mapping in known(measured, MAPPINGS):
            groups = grouped(measured[f"{name}/{letter}"]["luts"][str(inputs)])
            whole: Counter[int] = Counter()
            for unit in program_units(program_of(name, mapping), inputs):
                row = {columns.setdefault((unit.kind, feature), len(columns)): value
                       for feature, value in unit.features.items()}
                luts = groups.get(unit.name, 0)
                rows.append((row, luts, 1 / max(luts, 100)))  # small units need not be right to the percent
                whole.update(row)
            rows.append((dict(whole), sum(groups.values()), WHOLE / sum(groups.values())))
        matrix = np.zeros((len(rows), len(columns)))
        for place, (row, _, weight) in enumerate(rows):
            matrix[place, list(row)] = np.array(list(row.values())) * weight
        target = np.array([luts * weight for _, luts, weight in rows])
        norms = np.linalg.norm(matrix, axis=0)
        norms = np.where(norms > 0, norms, 1)  # of what no design has, the expected number remains
        pull = np.array([PULL if kind == "core" else PULL / 10 for kind, _ in columns])
        expected = np.array([EXPECTED.get(feature, (0, 0))[inputs == 6] if kind == "core" else 0
                             for kind, feature in columns])
        solved = lsq_linear(np.vstack([matrix / norms, np.diag(pull)]),
                            np.concatenate([target, pull * expected * norms]), (0, np.inf)).x / norms
        found[inputs] = {}
        for (kind, feature), value in zip(columns, solved, strict=True):
            found[inputs].setdefault(kind, {})[feature] = float(f"{value:.4g}") if value > 1e-4 else 0.0
    return found


def write(coefficients: dict) -> None:
    lines = ["# SPDX-License-Identifier: MIT",
             '"""Coefficients of the LUT model, written by `benchmarks/lut_model.py`."""', "",
             '__all__ = ["COEFFICIENTS"]', "", "COEFFICIENTS: dict[int, dict[str, dict[str, float]]] = {"]
    for inputs, kinds in coefficients.items():
        lines.append(f"    {inputs}: {{")
        for kind, values in kinds.items():
            lines.append(f'        "{kind}": {{')
            lines += [f'            "{name}": {value},' for name, value in values.items()]
            lines.append("        },")
        lines.append("    },")
    lines += ["}", '"""By number of LUT inputs, kind of unit and feature."""', ""]
    write_atomically(COEFFICIENTS, "\n".join(lines))


def errors(measured: dict, wanted: Iterable[Design], inputs: int) -> dict[str, float]:
    """Relative error of the model, for each design as a whole."""
    return {f"{name}/{letter}": lut_model.program_luts(program_of(name, mapping), inputs)
            / sum(grouped(measured[f"{name}/{letter}"]["luts"][str(inputs)]).values()) - 1
            for name, letter, mapping in known(measured, wanted)}


def main() -> None:
    measured = stored()
    if "--fit" not in sys.argv:
        measure([*MAPPINGS, *FRESH], measured)
    write(fit(measured))
    importlib.reload(lut_coefficients)
    importlib.reload(lut_model)
    rows = []
    for what, wanted in (("fitted", MAPPINGS), ("that the fit has not seen", FRESH)):
        for inputs in FAMILIES:
            off = errors(measured, wanted, inputs)
            worst = max(off, key=lambda name: abs(off[name]))
            rows.append(Row(
                what=f"LUT model, {inputs} inputs, against yosys, {len(off)} designs {what}: largest error",
                floor=f"≤ {TOLERANCE:.0%}", measured=f"{off[worst]:+.1%} ({worst})", met=abs(off[worst]) <= TOLERANCE))
    publish("lut_model", rows)


if __name__ == "__main__":
    main()
