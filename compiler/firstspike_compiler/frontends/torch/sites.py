# SPDX-License-Identifier: MIT
"""The neurons of a traced model: they do not run, but hand out symbols for their spikes and states, step by step."""

from dataclasses import dataclass
from typing import Any

import torch
from firstspike_arch.connectivity import Shape
from torch import nn

from ...errors import CompileError
from .framework import Protocol
from .graph import Node, Refused
from .symbol import ALL, ALWAYS, SUM, Symbol, Symbols, leaves

__all__ = ["Sites"]


@dataclass(eq=False)
class _Site:
    """Neurons at one place: what they took in the first step and in later ones, and how many they ran so far."""

    node: Node
    steps: int = 0
    first: Node | None = None
    later: Node | None = None


@dataclass(frozen=True, eq=False)
class _Handed:
    """States of neurons after a step, as one object."""

    node: Node
    when: int | str


class Sites:
    """All places at which neurons run.

    Parameters
    ----------
    symbols : Symbols
    """

    def __init__(self, symbols: Symbols):
        self._symbols = symbols
        self._sites: dict[Node, _Site] = {}
        self._kept: dict[str, _Site] = {}  # of modules that keep their states, by name

    def fire(self, where: str, module: nn.Module, protocol: Protocol, args: tuple, kwargs: dict) -> Any:
        """What neurons return for their currents, and for states that are handed to them."""
        symbols = self._symbols
        given = args[0] if args else None
        if not isinstance(given, Symbol):
            raise symbols.refuse(f"{where} must be called with its currents first")
        handed = leaves([args[1:], kwargs])
        tokens = [one for one in handed if isinstance(one, (Symbol, _Handed))]
        numbers = [one for one in handed if isinstance(one, torch.Tensor) and not isinstance(one, Symbol)]
        if any(bool(one.any()) for one in numbers):
            raise CompileError(f"{where} must start from its resting state, not from another")
        shape = (protocol.neurons,) if protocol.neurons else given.step_shape
        if protocol.all_steps:
            if given.when != ALL or given.folded:
                raise Refused(f"{where} must take the currents of all steps, [T, B, …]")
            if tokens or (protocol.kept and where in self._kept):
                raise self._two_places(where)
            site = self._kept[where] = self._new(where, module, shape)
            site.steps, site.first = symbols.steps, given.node
            return self._out(site, ALL, protocol)
        if given.when in (ALL, SUM):
            raise Refused(f"{where} must take the currents of one step, [B, …]")
        if tokens:
            site = self._handed(where, module, tokens)
        elif protocol.kept and not numbers and where in self._kept:
            site = self._kept[where]
        else:
            site = self._new(where, module, shape)
            if protocol.kept and not numbers:
                self._kept[where] = site
        self._take(site, self._current(site, given, handed=bool(tokens)))
        return self._out(site, site.steps - 1, protocol)

    def close(self) -> None:
        """Give each neurons' node what they take in every step, when all have run all steps."""
        for site in self._sites.values():
            if site.steps != self._symbols.steps:
                raise Refused(f"{site.node.where} must run {self._symbols.steps} steps, as many as steps says, not "
                              f"{site.steps}")
            assert site.first is not None
            site.node.inputs[:] = [site.first if site.later is None else site.later]

    def _new(self, where: str, module: nn.Module, shape: Shape) -> _Site:
        node = Node(kind="neurons", where=where, module=module, shape=shape)
        return self._sites.setdefault(node, _Site(node=node))

    def _handed(self, where: str, module: nn.Module, tokens: list[Any]) -> _Site:
        """The site that gave these states, or spikes handed as one, in the step before."""
        owners = {one.node.inputs[0] if one.node.kind == "state" else one.node for one in tokens}
        site = self._sites.get(next(iter(owners)))
        if site is None or len(owners) > 1 or site.node.module is not module or any(
                one.when != site.steps - 1 for one in tokens):
            raise self._symbols.refuse(f"{where} must get the states that it gave in the step before")
        return site

    def _current(self, site: _Site, given: Symbol, *, handed: bool) -> Node:
        """The node of the currents in the next step of a site."""
        symbols, where, step = self._symbols, site.node.where, site.steps
        if given.when in (ALWAYS, step):
            return given.node
        if step == 0 and symbols.how == "step":
            raise Refused(f"{where} must go on from its states of the step before, not start anew in every call: "
                          "keep them in the module, or run all steps in the forward")
        if step == 0:
            raise Refused(f"{where} must run all steps in their order and start once, not in step {given.when}")
        if not handed and (given.when != step - 1 or symbols.how == "step"):
            raise self._two_places(where)
        if given.when != step - 1:
            raise symbols.refuse(f"{where} takes values of step {given.when} in step {step}")
        return symbols.graph.before(given.node, where)

    def _take(self, site: _Site, node: Node) -> None:
        """Note what a site takes in its next step, which must be the same in every step."""
        where = site.node.where
        if site.steps == 0:
            site.first = node
        elif site.later is None:
            site.later = node
            for one in node.cone:
                if one.kind == "before" and one.inputs[0] is not site.node:
                    raise CompileError(f"{where} must not take spikes that {one.where} sent in the step before: "
                                       "recurrence stays inside a layer")
            if self._symbols.graph.at_first(node) is not site.first:
                raise self._unlike(site, site.first, node)
        elif node is not site.later:
            raise self._unlike(site, site.later, node)
        site.steps += 1

    @staticmethod
    def _unlike(site: _Site, one: Node | None, other: Node) -> Refused:
        assert one is not None
        left, right = ([node.where for node in end.cone] for end in (one, other))
        first = next((name for name in left if name not in right), one.where)
        then = next((name for name in right if name not in left), other.where)
        return Refused(f"{site.node.where} must get its currents in the same way in every step, not by {first} in one, "
                       f"and by {then} in step {site.steps}")

    def _two_places(self, where: str) -> Refused:
        hint = " (a forward that runs one input through all steps is read with input_kind 'direct')"
        return Refused(f"{where} must have one place in the model: its membranes go on from call to call"
                       f"{hint * (self._symbols.how == 'step')}")

    def _out(self, site: _Site, when: int | str, protocol: Protocol) -> Any:
        symbols, node = self._symbols, site.node
        spikes = symbols.symbol(node, node.shape, when)
        if protocol.spikes_only:
            return spikes
        if protocol.states == 0:
            return spikes, _Handed(node, when)
        states = [symbols.graph.make("state", node.where, node, key=place) for place in range(protocol.states)]
        return spikes, *(symbols.symbol(one, node.shape, when) for one in states)
