#!/bin/sh
# SPDX-License-Identifier: MIT
# LiteDRAM 2024.12: the data pins of a standalone SDR controller are inputs.
#
# Most would expect: litedram.gen declares sdram_dq as inout, as its cells TRELLIS_IO drive these pins on writes.
# Seen: they are "input wire [15:0] sdram_dq", so that synthesis may drop what drives them, and no write leaves the chip.
#
# Ends with 0 if that is seen, and with 1 if LiteDRAM behaves otherwise.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m pip install --quiet --target "$folder/packages" litedram==2024.12 litex==2024.12 migen==0.10.0
cd "$folder"
cat > core.yml <<'YAML'
{"cpu": "None", "device": "LFE5U-85F-6BG381C", "memtype": "SDR", "sdram_module": "IS42S16160", "sdram_module_nb": 2,
 "sdram_rank_nb": 1, "sdram_phy": "GENSDRPHY", "input_clk_freq": 50000000, "sys_clk_freq": 50000000,
 "user_ports": {"0": {"type": "native"}}}
YAML
PYTHONPATH="$folder/packages" python3 -m litedram.gen core.yml --output-dir out --name core > log 2>&1 || { tail log; exit 1; }
grep -n "sdram_dq\b" out/gateware/core.v | grep -m1 "wire"
grep -c "\.DIR (\"BIDIR\")" out/gateware/core.v
grep -q "input  *wire  *\[15:0\] sdram_dq" out/gateware/core.v && grep -q "\.B (sdram_dq\[15\])" out/gateware/core.v
