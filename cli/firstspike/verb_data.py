# SPDX-License-Identifier: MIT
"""firstspike data NAME"""

from typing import Annotated

import typer
from firstspike_train.official_files import fetch
from rich.console import Console


def data(
    name: Annotated[str, typer.Argument(help="mnist, fashion-mnist, cifar10, cifar100 or tiny-imagenet.")],
) -> None:
    """Fetch the official files of a data set into FIRSTSPIKE_DATA, checked by their MD5 sums."""
    console = Console()
    with console.status(f"fetching {name}"):
        found = fetch(name)
    for path in found:
        console.print(f"there: {path}", highlight=False, soft_wrap=True)
