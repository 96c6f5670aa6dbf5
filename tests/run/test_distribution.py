# SPDX-License-Identifier: MIT
"""The driver alone: its wheel, without torch and without firstspike, on old Pythons too; its files, and its errors."""

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import create_autospec

import numpy as np
import pytest
from firstspike.axi_export import write_axi
from firstspike_hw.axi.driver_facts import driver_facts, driver_words
from firstspike_run import AxiDma, Export, ExportError, MappedRegisters, StreamError, StreamFifo
from firstspike_run.ports import Allocate, Registers

ROOT = Path(__file__).parents[2]

ALONE = """
import sys
wheel, numpy, folder = sys.argv[1:]
sys.path[:0] = [wheel, numpy]
import numpy as np
import firstspike_run
from firstspike_run import Accelerator, AxiDma, Export
assert firstspike_run.__file__.startswith(wheel)
export = Export.read(folder)
print(export.network, sorted(name for name in sys.modules if name in
      ("torch", "amaranth", "safetensors", "numba", "firstspike", "firstspike_arch", "firstspike_hw")))
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation",
                    "--wheel-dir", folder, ROOT / "run"], check=True)
    (wheel,) = folder.glob("firstspike_run-*.whl")
    return wheel


def test_the_wheel_works_with_numpy_alone(wheel, lif, tmp_path):
    write_axi(lif, tmp_path / "axi")
    (tmp_path / "packages").mkdir()
    installed = Path(np.__file__).parents[1]
    for package in ("numpy", "numpy.libs"):
        if (installed / package).exists():
            (tmp_path / "packages" / package).symlink_to(installed / package)
    done = subprocess.run([sys.executable, "-I", "-S", "-c", ALONE, wheel, tmp_path / "packages", tmp_path / "axi"],
                          text=True, capture_output=True, check=True)
    assert done.stdout == "lif []\n", done.stderr


def test_it_keeps_to_python_3_8(tmp_path):
    """By what its source uses: syntax and standard library."""
    files = sorted((ROOT / "run" / "firstspike_run").glob("*.py"))
    newer = tmp_path / "newer.py"
    newer.write_text("list(zip([1], [2], strict=True))\n")
    for some, status in ((files, 0), ([newer], 1)):
        done = subprocess.run([sys.executable, "-c", "import vermin; vermin.main()", "-t=3.8-", "--no-tips",
                               "--violations", *some], text=True, capture_output=True)
        assert some and done.returncode == status, done.stdout


def test_an_export_is_read_back(lif, tmp_path):
    write_axi(lif, tmp_path)
    export = Export.read(tmp_path)
    facts = {key: value for key, value in export.facts.items() if key != "words_file"}
    assert facts == json.loads(json.dumps(driver_facts(lif)))
    assert np.array_equal(export.port_words, driver_words(lif))


def test_what_is_no_export_is_refused(lif, tmp_path):
    with pytest.raises(ExportError, match="none: must be a folder of 'firstspike export-axi'"):
        Export.read(tmp_path / "none")
    write_axi(lif, tmp_path)
    words, manifest = tmp_path / "port_words.bin", tmp_path / "manifest.json"
    words.write_bytes(words.read_bytes()[:-1])
    with pytest.raises(ExportError, match=r"port_words\.bin: must be the weights that were exported; the file is"):
        Export.read(tmp_path)
    words.unlink()
    with pytest.raises(ExportError, match="missing, truncated or altered"):
        Export.read(tmp_path)
    for text in ("{}", "[1]", "{"):
        manifest.write_text(text)
        with pytest.raises(ExportError, match=r"manifest\.json: must be what this version of"):
            Export.read(tmp_path)


def test_mapped_registers(tmp_path):
    file = tmp_path / "uio0"
    file.write_bytes(bytes(range(256)) * 32)
    registers = MappedRegisters(file, offset=4096)
    assert registers.read(8) == 0x0B0A0908
    registers.write(12, 0x12345678)
    assert registers.read(12) == 0x12345678 and file.read_bytes()[4096 + 12 : 4096 + 16] == b"\x78\x56\x34\x12"
    assert file.read_bytes()[4096 + 16 :] == (bytes(range(256)) * 16)[16:]
    with pytest.raises(OSError, match="none"):
        MappedRegisters(tmp_path / "none")


def dma(status: dict[int, int]) -> AxiDma:
    registers = create_autospec(Registers, instance=True)
    registers.read.side_effect = status.get
    return AxiDma(registers, create_autospec(Allocate, instance=True))


def test_an_engine_that_has_stopped_says_why():
    running = {0x04: 2, 0x34: 2}
    assert dma(running).done() and not dma({**running, 0x34: 0}).done() and not dma({**running, 0x04: 0}).done()
    for status, sentence in (({**running, 0x34: 1 | 1 << 4}, r"S2MM of the DMA engine must run, but has stopped: "
                              r"internal error \(a packet longer than its buffer\)"),
                             ({**running, 0x04: 1 | 3 << 5}, "MM2S of .* error of the memory, address that no memory"),
                             ({**running, 0x04: 1}, "MM2S of .* it was reset")):
        with pytest.raises(StreamError, match=sentence):
            dma(status).done()
    with pytest.raises(StreamError, match="must end its reset, but does not: has it a clock"):
        dma({0x00: 1 << 2}).reset()
    with pytest.raises(ValueError, match="length_bits must be 8…26, not 27"):
        AxiDma(create_autospec(Registers, instance=True), create_autospec(Allocate, instance=True), length_bits=27)


def test_a_fifo_that_is_too_small_is_noticed():
    registers = create_autospec(Registers, instance=True)
    registers.read.return_value = 3
    with pytest.raises(StreamError, match="the FIFO must have room for 4 words, not 3"):
        StreamFifo(registers).begin(np.zeros(16, dtype=np.uint8), 8)
