# SPDX-License-Identifier: MIT
"""The slowest paths between units, from a placer's delays."""

from firstspike_boards.timing_paths import TimingPath, slowest_paths

SDF = r"""(DELAYFILE
  (SDFVERSION "3.0")
  (CELL
    (CELLTYPE "top")
    (INSTANCE )
    (DELAY
      (ABSOLUTE
        (INTERCONNECT core.row\$1/Q core.sum/A (500:600:700) (400:500:600))
        (INTERCONNECT core.row\$1/Q top_gate/A (100:150:200) (100:150:200))
        (INTERCONNECT core.sum/F core.walk.word/DI (900:950:1000) (900:950:1000))
        (INTERCONNECT top_gate/F core.walk.word/DI (50:50:50) (50:50:50))
        (INTERCONNECT core.walk.word/Q queue/D (10:20:30) (10:20:30))
        (INTERCONNECT pin/O core.row\$1/DI (9000:9000:9000) (9000:9000:9000))
      )
    )
  )
  (CELL
    (CELLTYPE "FF")
    (INSTANCE core.row\$1)
    (DELAY (ABSOLUTE (IOPATH CLK Q (400:450:500) (400:450:500))))
    (TIMINGCHECK (SETUPHOLD (posedge DI) (posedge CLK) (100:100:100) (0:0:0)))
  )
  (CELL
    (CELLTYPE "LUT")
    (INSTANCE core.sum)
    (DELAY (ABSOLUTE (IOPATH A F (200:220:240) (200:220:240))))
  )
  (CELL
    (CELLTYPE "LUT")
    (INSTANCE top_gate)
    (DELAY (ABSOLUTE (IOPATH A F (200:220:240) (200:220:240))))
  )
  (CELL
    (CELLTYPE "FF")
    (INSTANCE core.walk.word)
    (DELAY (ABSOLUTE (IOPATH CLK Q (400:450:500) (400:450:500))))
    (TIMINGCHECK
      (SETUPHOLD (posedge DI) (posedge CLK) (50:60:70) (0:0:0))
      (SETUPHOLD (negedge DI) (posedge CLK) (50:60:70) (0:0:0))
    )
  )
  (CELL
    (CELLTYPE "RAM")
    (INSTANCE queue)
    (DELAY (ABSOLUTE (IOPATH CLKB Q (9:9:9) (9:9:9))))
    (TIMINGCHECK (SETUPHOLD (posedge D) (posedge CLKA) (5:5:5) (0:0:0)))
  )
)
"""


def test_the_slowest_path_of_each_pair_of_units_comes_first():
    assert slowest_paths(SDF, ["core", "core.walk"]) == [
        TimingPath(begin="core", end="core.walk", cells=("core.row$1", "core.sum", "core.walk.word"),
                   nanoseconds=(500 + 700 + 240 + 1000 + 70) / 1000),
        TimingPath(begin="core.walk", end="top", cells=("core.walk.word", "queue"), nanoseconds=(500 + 30 + 5) / 1000),
    ]


def test_a_design_without_paths_has_none():
    assert slowest_paths('(DELAYFILE (CELL (CELLTYPE "top") (INSTANCE )))', ["core"]) == []
