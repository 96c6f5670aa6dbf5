# SPDX-License-Identifier: MIT
"""Models are run beside what was read of them: the run finds what was read wrong."""

import firstspike as fs
import pytest
import snntorch as snn
from firstspike_compiler.errors import CompileError
from firstspike_compiler.frontends import snntorch_module
from torch import nn

FIELDS = {"steps": 5, "readout": "spike_count", "input_kind": "events"}


def test_what_was_read_wrong_is_found_by_a_run(monkeypatch, shapes):
    """Were a leak forgotten, or an addition, the model's own spikes would show it."""
    hidden = {"beta": 0.95, "threshold": 0.3, "init_hidden": True}
    model = nn.Sequential(nn.Linear(784, 30), snn.Leaky(**hidden), nn.Linear(30, 10), snn.Leaky(**hidden)).eval()
    direct = FIELDS | {"input_kind": "direct", "in_max": 255, "input_scale": 1 / 255}
    right = snntorch_module._leaky

    def forgets(where, module, synapses):
        return right(where, module, synapses) if "model.1" in where else right(where, snn.Leaky(beta=0.5), synapses)

    monkeypatch.setattr(snntorch_module, "_leaky", forgets)
    with pytest.raises(CompileError, match=r"^model.3 \(Leaky\) must do what was read of it, but in a run of the "
                                           r"model its spikes differ in step \d: the model does something there, or "):
        fs.from_snntorch(model, in_shape=784, **direct)
    assert shapes(snntorch_module.from_snntorch(model, in_shape=784, **direct)) == [(30,), (10,)]  # nothing is run


def test_outputs_that_do_not_fire_are_compared_too(monkeypatch):
    leaky = snn.Leaky(beta=0.5, threshold=0.2, init_hidden=True)
    model = nn.Sequential(nn.Linear(20, 8), leaky, nn.Linear(8, 3)).eval()
    fs.from_snntorch(model, in_shape=20, **FIELDS | {"readout": "potential"})
    run = nn.Linear.forward
    monkeypatch.setattr(nn.Linear, "forward", lambda self, x: run(self, x).clamp(min=-9 * (len(self.weight) == 8)))
    with pytest.raises(CompileError, match=r"^the output of model.2 \(Linear\) must do what was read of it"):
        fs.from_snntorch(model, in_shape=20, **FIELDS | {"readout": "potential"})


def test_a_model_that_cannot_run_is_refused():
    model = nn.Sequential(nn.Linear(20, 8), snn.Leaky(beta=0.5, init_hidden=True))
    model[1].spike_grad = lambda x: (x > 0).float() if len(x) > 8 else None
    with pytest.raises(CompileError, match=r"^model must run, to be compared with what was read of it: "):
        fs.from_snntorch(model.eval(), in_shape=20, **FIELDS)
