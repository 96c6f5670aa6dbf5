# SPDX-License-Identifier: MIT
"""Compiled code on disk is that of the twins as they are now."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from firstspike_sim.timing import compilation, cycle_loop
from firstspike_sim.timing.compilation import sources, sources_digest

CALLER = '''
from pathlib import Path
import numba
from firstspike_sim.timing.compilation import FROM_PYTHON, sources_digest
from callee import add

def _kept(digest):
    @numba.njit(cache=True, **FROM_PYTHON)
    def run(number):
        _ = digest
        return add(number)
    return run

run = _kept(sources_digest([Path("callee.py")]))
print(run(40), sum(run.stats.cache_hits.values()))
'''
CALLEE = '''
from firstspike_sim.timing.compilation import twin

@twin
def add(number):
    return number + 1
'''


def test_a_change_in_another_file_is_noticed(tmp_path):
    """By the function that is kept, as numba on this machine does it; and without a change what is kept is used."""
    (tmp_path / "caller.py").write_text(CALLER)
    said = []
    for callee in (CALLEE, CALLEE, CALLEE.replace("+ 1", "+ 2"), CALLEE):
        (tmp_path / "callee.py").write_text(callee)
        said.append(subprocess.run([sys.executable, "-B", "caller.py"], cwd=tmp_path, check=True, capture_output=True,
                                   text=True).stdout.split())
    assert said == [["41", "0"], ["41", "1"], ["42", "0"], ["41", "1"]]


def test_the_loop_is_kept_by_the_digest_of_all_its_sources():
    held = [cell.cell_contents for cell in cycle_loop.run.py_func.__closure__]
    assert held == [sources_digest(sources())]
    names = {file.name for file in sources()}
    folder = Path(str(compilation.__file__)).parent
    assert {file.name for file in folder.glob("*.py")} | {"events.py", "external.py", "layer_plan.py"} == names


@pytest.mark.parametrize("name", ["stream_buffer.py", "sequencer.py", "events.py"])
def test_any_change_of_a_source_changes_the_digest(tmp_path, name):
    for file in sources():
        shutil.copy(file, tmp_path)
    before = sources_digest(tmp_path.iterdir())
    assert before == sources_digest(sources())
    changed = tmp_path / name
    changed.write_text(changed.read_text() + "# more\n")
    assert sources_digest(tmp_path.iterdir()) != before
