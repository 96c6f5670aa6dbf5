# SPDX-License-Identifier: MIT
"""Tables on narrow and wide terminals: no word is broken, and measures have names that a person would use."""

import firstspike as fs
import pytest
from firstspike.tables import accuracy_table, legible
from firstspike.verb_demo import shipped
from firstspike.verb_inspect import _integer_layers, _real_layers
from rich.console import Console
from rich.table import Table

NETWORK = fs.load(shipped("zoo", "digits_latency.safetensors"))


def printed(table: Table, width: int) -> tuple[str, bool]:
    """What a console of that width shows, and whether it is still a table."""
    console = Console(width=width)
    shown = legible(console, table)
    with console.capture() as captured:
        console.print(shown)
    return captured.get(), shown is table


@pytest.mark.parametrize("width", [80, 100, 160])
@pytest.mark.parametrize("table", [
    _real_layers(dict(enumerate(NETWORK.layers))), _integer_layers(fs.compile(NETWORK, lanes=4).program),
], ids=["real", "integer"])
def test_no_word_is_broken(table, width):
    text, whole = printed(table, width)
    words = {word for column in table.columns for cell in (column.header, *column.cells) for word in str(cell).split()}
    assert words <= set(text.split())
    assert max(map(len, text.splitlines())) <= width
    assert whole == (width == 160)


def test_a_table_that_fits_stays_one():
    table = Table("layer", "lanes")
    table.add_row("dense0", "8")
    assert printed(table, 80)[1]


def test_accuracies_have_names():
    network = fs.load(shipped("zoo", "digits_ettfs.safetensors"))
    accuracy = {"teacher_test": 0.75, "teacher_validation": 0.5, **network.accuracy}
    text, _ = printed(accuracy_table(accuracy, network.readout), 80)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines() if line.startswith("│")]
    assert rows == [[name, *(f"{accuracy[f'{kind}_{split}{other}']:.2%}" for split in ("validation", "test"))]
                    for name, kind, other in (
                        ("real numbers", "float", ""), ("integers", "quantised", ""),
                        ("its teacher, without spikes", "teacher", ""),
                        ("real numbers, read by weighted spikes instead", "float", "_weighted_spikes"),
                        ("integers, read by weighted spikes instead", "quantised", "_weighted_spikes"))]
