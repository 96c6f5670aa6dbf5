# SPDX-License-Identifier: MIT
"""firstspike: trained time-to-first-spike and LIF networks become verified FPGA accelerators."""

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from firstspike_arch import versions

__version__ = versions.VERSION

if TYPE_CHECKING:
    from .public import *  # noqa: F403 - its names, with their types
else:
    def __getattr__(name: str) -> Any:
        """Import a module of the package, or all public names with torch, which most commands' answers do not need."""
        if find_spec(f"{__name__}.{name}"):
            return import_module(f"{__name__}.{name}")
        if name.startswith("__") and name != "__all__":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        public = import_module(f"{__name__}.public")
        globals().update({one: getattr(public, one) for one in ("__all__", *public.__all__)})
        if name not in globals():
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return globals()[name]

    def __dir__() -> list[str]:
        return sorted({*globals(), *import_module(f"{__name__}.public").__all__})
