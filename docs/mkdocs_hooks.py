# SPDX-License-Identifier: MIT
"""What the site needs beside `docs`: pages and files that these link to, and links as the site has them.

In the site every page lies at the top, and other files have the place that they have in the repository.
"""

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")
"""Pages of the repository that are not in `docs`."""

LINK = re.compile(r"(\]\()([^)\s#]+)([^)\s]*\))")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages outside `docs`, and all files outside that a page links to."""
    outside = {*PAGES}
    for page in sorted(Path(config.docs_dir).glob("*.md")):
        outside |= {target.removeprefix("../") for _, target, _ in LINK.findall(page.read_text(encoding="utf-8"))
                    if target.startswith("../")}
    for name in sorted(outside):
        files.append(File.generated(config, name, abs_src_path=(ROOT / name).as_posix()))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Have links lead where the files lie in the site; code has none."""
    prefix = "docs/" if page.file.src_uri in PAGES else "../"
    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", markdown, flags=re.MULTILINE | re.DOTALL)
    parts[::2] = [LINK.sub(lambda found: found[1] + found[2].removeprefix(prefix) + found[3], part)
                  for part in parts[::2]]
    return "".join(parts)
