#!/bin/sh
# SPDX-License-Identifier: MIT
# LiteX 2024.12: Verilog says it was made by the revision of the repository around the packages.
#
# Most would expect: "LiteX sha1" is LiteX's revision, or "--------" where it is installed from PyPI.
# Seen: it is that of any repository that the packages lie in, as those of a .venv do; so the text changes with each commit.
#
# Ends with 0 if that is seen, and with 1 if LiteX behaves otherwise.
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
git init --quiet
for commit in first second; do
  git -c user.name=x -c user.email=x@example.org commit --quiet --allow-empty -m "$commit"
  PYTHONPATH="$folder/packages" python3 -m litedram.gen core.yml --output-dir out --name core > log 2>&1 || { tail log; exit 1; }
  revision=$(git rev-parse --short=7 HEAD)
  grep -n "LiteX sha1" out/gateware/core.v
  grep -q "LiteX sha1 : $revision" out/gateware/core.v
done
