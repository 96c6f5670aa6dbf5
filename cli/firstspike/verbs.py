# SPDX-License-Identifier: MIT
"""The verbs of the command, each imported when it is called: a list of them, or one's help, does not wait for all."""

import ast
from functools import cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

VERBS = (
    "train", "compile", "build", "inspect", "quantise", "pack", "verify", "simulate", "estimate", "explore",
    "export-nir", "export-axi", "run", "monitor", "report", "robustness", "upsets", "data", "study", "demo", "doctor",
)
"""Their names, in the order of the help. `export-nir` is the function of that name in the module `verb_export_nir`; one
whose name Python has taken ends in an underscore."""

TAKEN = {"compile": "compile_"}


class Verb(TyperCommand):
    """A verb that is known by name, and in a list by its docstring; its module is imported when its arguments are
    read."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        identifier = name.replace("-", "_")
        self.module = f"{__package__}.verb_{identifier}"
        self.function = TAKEN.get(name, identifier)
        del self.help  # so that the property below is asked

    @cached_property
    def help(self) -> str | None:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The docstring of the function, read from its source."""
        spec = find_spec(self.module)
        assert spec is not None and spec.origin is not None
        for part in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
            if isinstance(part, ast.FunctionDef) and part.name == self.function:
                return ast.get_docstring(part)
        raise AssertionError(f"{self.module} has no function {self.function}")

    def make_context(self, *arguments: Any, **more: Any) -> Any:
        """Read arguments, as the verb does."""
        alone = typer.Typer(add_completion=False)
        alone.command(self.name)(getattr(import_module(self.module), self.function))
        return typer.main.get_command(alone).make_context(*arguments, **more)


class Verbs(TyperGroup):
    """All verbs."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands.update((name, Verb(name)) for name in VERBS)
