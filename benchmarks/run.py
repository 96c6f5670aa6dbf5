# SPDX-License-Identifier: MIT
"""All benchmarks: one script a table, each in a process of its own."""

import subprocess
import sys
from pathlib import Path

TABLES = ("cycles", "area", "fmax")


def main() -> None:
    wanted = sys.argv[1:] or TABLES
    here = Path(__file__).parent
    failed = [name for name in wanted if subprocess.run([sys.executable, here / f"{name}.py"], check=False).returncode]
    if failed:
        sys.exit(f"benchmarks failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
