# SPDX-License-Identifier: MIT
"""firstspike monitor: what a board is, counts and decides, until somebody has seen enough."""

import re
from unittest.mock import create_autospec, patch

import firstspike as fs
import pytest
from firstspike import verb_monitor
from firstspike.verb_monitor import CLASSES, Decision, view
from firstspike_arch.backend import DecidedBy
from firstspike_boards.link import Link
from firstspike_hw.link.frames import Identity
from firstspike_hw.toolchain import ToolError
from firstspike_sim.boards.simulated_board import SimulatedBoard
from firstspike_train.data import load
from rich.console import Console


@pytest.fixture
def closed():
    """Calls that close a simulated board."""
    close = SimulatedBoard.close
    with patch.object(SimulatedBoard, "close", autospec=True, side_effect=close) as called:
        yield called


def test_counters_and_decisions_are_shown(readable_build, closed, run):
    images, labels = load("digits", "test")
    wanted = fs.infer(fs.open_build(readable_build), images[:3])
    said = run("monitor", "--port", "simulated", readable_build, "--data", "digits", "--count", 3, "--interval", 0)
    assert re.match(r"digits_ettfs: program [0-9a-f]{16}, architecture [0-9a-f]{16}\n64 inputs, 10 classes, 12 MHz, "
                    r"buffer of 1024 bytes, read-back\n", said)
    assert re.search(r"^inferences +3 +\+1 *$", said, re.MULTILINE)
    assert re.search(r"^corrupt +0 +\+0 *$", said, re.MULTILINE) and re.search(r"^sent again +0 *$", said, re.MULTILINE)
    assert re.search(rf"^input 2: class {wanted.classes[2]} \(label {labels[2]}\) at step {wanted.steps[2]}, "
                     r"\d+ cycles, ", said, re.MULTILINE)
    scores = [int(score) for score in re.findall(r"^\d +(-?\d+)", said, re.MULTILINE)]
    assert scores == list(wanted.scores[2])
    raster = re.findall(r"^ +(\d) ([█·]{3})$", said, re.MULTILINE)
    assert [int(class_) for turn in range(3) for class_, row in raster if row[turn] == "█"] == list(wanted.classes)
    assert f"{(wanted.classes == labels[:3]).sum()} of 3 right" in said
    assert closed.call_count == 1


def test_without_inputs_only_counters_move(readable_build, run):
    said = run("monitor", "--port", "simulated", readable_build, "--count", 2, "--interval", 0)
    assert re.search(r"^frames +3 +\+1 *$", said, re.MULTILINE) and "decisions" not in said


def test_ctrl_c_ends_it_well(readable_build, closed, run):
    with patch.object(verb_monitor, "sleep", autospec=True, side_effect=KeyboardInterrupt):
        assert "digits_ettfs: program " in run("monitor", "--port", "simulated", readable_build)
    assert closed.call_count == 1


def test_a_broken_link_is_said_in_a_sentence(readable_build, closed, run):
    reads, read = [], SimulatedBoard.read

    def broken(board: SimulatedBoard, seconds: float) -> bytes:
        reads.append(seconds)
        if len(reads) == 3:
            board._process.kill()
        return read(board, seconds)

    with (patch.object(SimulatedBoard, "read", autospec=True, side_effect=broken),
          pytest.raises(ToolError, match=r"^the simulated board ended$")):
        run("monitor", "--port", "simulated", readable_build, "--interval", 0)
    assert closed.called
    with pytest.raises(ConnectionError, match=r"^request 0 \(IDENTIFY\) must be answered, but none of 16 attempts"):
        run("monitor", "--port", "loop://", "--timeout", 0.001)


def test_what_needs_a_build_says_so(run):
    with pytest.raises(ValueError, match=r"^a build must be given with --data: it defines the inputs that the device "):
        run("monitor", "--port", "loop://", "--data", "digits")
    with pytest.raises(ValueError, match=r"^a build must be given for a simulated board, which is made from it$"):
        run("monitor", "--port", "simulated")


def test_many_classes_are_cut_to_the_best():
    identity = Identity(port=0, word_bytes=8, buffer_bytes=1024, clk_hz=0, inputs=64, steps_max=8, classes=100,
                        result_bits=800, architecture="01" * 8, program="0" * 16, name="many")
    quiet = create_autospec(Link, instance=True, identity=identity, resent=3, unreadable=0)
    scores = [*range(99), -5]
    last = Decision(index=7, class_=99, step=1, decided_by=DecidedBy.TIE_BY_INDEX, cycles=50, scores=scores, label=None)
    console = Console(width=100)
    with console.capture() as capture:
        console.print(view(quiet, {"frames": 1, "cut": 2}, {"frames": 65535, "cut": 2}, [last]))
    said = capture.get()
    assert said.startswith("many: no program, architecture 0101010101010101\n64 inputs, 100 classes, buffer of 1024")
    assert [int(one) for one in re.findall(r"^(\d+) +-?\d+ ", said, re.MULTILINE)] == [*range(84, 99), 99]
    assert len(range(84, 100)) == CLASSES and re.search(r"^frames +1 +\+2 *$", said, re.MULTILINE)
    assert "input 7: class 99 at step 1, 50 cycles, tie by index" in said and " right" not in said
