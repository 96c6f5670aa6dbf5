# SPDX-License-Identifier: MIT
"""SpikingJelly's containers, and the models of its library."""

import importlib
import sys
import types
from collections.abc import Callable

import firstspike as fs
import pytest
from firstspike_compiler.errors import CompileError
from spikingjelly.activation_based import functional, layer, neuron
from torch import nn


def options(**changes):
    return {"steps": 5, "readout": "spike_count", "input_kind": "events"} | changes


def potential(**changes):
    return options(steps=2, readout="potential", input_kind="direct") | changes


@pytest.fixture
def library(monkeypatch) -> Callable[[str], types.ModuleType]:
    """``library(name)``: a module of models. They take torchvision only to download weights."""
    for name in ("torchvision", "torchvision.models", "torchvision.models.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["torchvision.models.utils"].load_state_dict_from_url = None  # pyright: ignore
    return lambda name: importlib.import_module(f"spikingjelly.activation_based.model.{name}")


def in_mode(model: nn.Module, mode: str) -> nn.Module:
    functional.set_step_mode(model, mode)
    return model.eval()


class Past(nn.Module):
    """A path past synapses, without neurons of its own."""

    def __init__(self, synapses: nn.Module):
        super().__init__()
        self.synapses = synapses

    def forward(self, x):
        return self.synapses(x) + x


@pytest.mark.parametrize("read", ["spikingjelly", "torch"])
def test_what_takes_all_steps_may_stand_in_a_forward_without_neurons(read, shapes):
    if read == "torch":
        model = fs.SpikingSequential(
            nn.Conv2d(1, 2, 3), fs.IF(0.3), Past(fs.SpikingSequential(nn.Conv2d(2, 2, 3, padding=1))), fs.IF(0.3),
            nn.Flatten(), nn.Linear(72, 3), fs.IF(0.3))
        network = fs.from_torch(model.eval(), in_shape=(1, 8, 8), **options())
    else:
        model = nn.Sequential(
            layer.Conv2d(1, 2, 3), neuron.IFNode(0.3), Past(layer.SeqToANNContainer(nn.Conv2d(2, 2, 3, padding=1))),
            neuron.IFNode(0.3), layer.Flatten(), layer.Linear(72, 3), neuron.IFNode(0.3))
        functional.set_step_mode(model, "m")
        network = fs.from_spikingjelly(model.eval(), in_shape=(1, 8, 8), **options())
    assert shapes(network) == [(2, 6, 6), (2, 6, 6), (3,)] and len(network.layers[1].branches) == 1


def test_recurrent_containers_of_spikingjelly(sources):

    def chain(*modules: nn.Module):
        return nn.Sequential(*modules, layer.Linear(8, 3), neuron.IFNode()).eval()

    for model in (
        chain(layer.LinearRecurrentContainer(nn.Sequential(nn.Linear(20, 8), neuron.LIFNode()), 20, 8)),
        chain(layer.Linear(20, 8), layer.LinearRecurrentContainer(neuron.IFNode(), 8, 8, bias=False)),
        chain(layer.Linear(20, 8), layer.ElementWiseRecurrentContainer(neuron.IFNode(), lambda x, y: x + y)),
    ):
        assert sources(fs.from_spikingjelly(model, in_shape=20, **options())) == [[0], []]
    with pytest.raises(CompileError, match=r"model.1 \(ElementWiseRecurrentContainer\) must have an element_wise_fu"):
        fs.from_spikingjelly(chain(layer.Linear(20, 8), layer.ElementWiseRecurrentContainer(
            neuron.IFNode(), lambda x, y: x * y)), in_shape=20, **options())


@pytest.mark.parametrize("mode", ["s", "m"])
def test_parametric_lif_nets(library, mode, shapes):
    nets = library("parametric_lif_net")
    for kind, shape, input_kind in [
        (nets.MNISTNet, (1, 28, 28), "direct"), (nets.NMNISTNet, (2, 34, 34), "events"),
        (nets.CIFAR10Net, (3, 32, 32), "direct"), (nets.DVSGestureNet, (2, 128, 128), "events"),
        (nets.CIFAR10DVSNet, (2, 128, 128), "events"),
    ]:
        model = in_mode(kind(2, neuron.ParametricLIFNode, v_threshold=0.2), mode)
        network = fs.from_spikingjelly(model, in_shape=shape, **potential(input_kind=input_kind))
        assert network.layers[-1].neuron.theta is None
        assert shapes(network)[-1] == (11 if kind is nets.DVSGestureNet else 10,)
        with pytest.raises(CompileError, match=r"VotingLayer\) must be followed by neurons, or be read by its potent"):
            fs.from_spikingjelly(model, in_shape=shape, **potential(input_kind=input_kind, readout="spike_count"))
    fs.compile(network, lanes=1)


@pytest.mark.parametrize("mode", ["s", "m"])
def test_spiking_vgg(library, mode, shapes):
    model = library("spiking_vgg").SpikingVGG(
        [4, "M", 4, "M", 8, "M"], batch_norm=True, num_classes=3, init_weights=False, spiking_neuron=neuron.IFNode,
        v_threshold=0.2)
    model.classifier[0], model.classifier[3] = layer.Linear(8 * 7 * 7, 12), layer.Linear(12, 12)
    model.classifier[6] = layer.Linear(12, 3)
    network = fs.from_spikingjelly(in_mode(model, mode), in_shape=(3, 56, 56), **potential())
    assert shapes(network)[-4:] == [(8, 7, 7), (12,), (12,), (3,)]
    fs.compile(network, lanes=1)


@pytest.mark.parametrize("block", ["BasicBlock", "Bottleneck"])
@pytest.mark.parametrize("name", ["spiking_resnet", "sew_resnet"])
def test_resnets(library, name, block, shapes, sources):
    models = library(name)
    kind = models.SpikingResNet if name == "spiking_resnet" else models.SEWResNet
    more = {} if name == "spiking_resnet" else {"cnf": "ADD"}
    model = kind(getattr(models, block), [2, 1, 1, 1], num_classes=3, spiking_neuron=neuron.LIFNode, tau=2.0, **more)
    network = fs.from_spikingjelly(in_mode(model, "m"), in_shape=(3, 32, 32), **potential())
    assert any(sources(network)) and shapes(network)[-1] == (3,)


def test_what_the_library_does_beyond_is_refused_by_name(library):
    models = library("sew_resnet")
    for cnf in ("AND", "IAND"):
        model = models.SEWResNet(models.BasicBlock, [1, 1, 1, 1], num_classes=3, cnf=cnf, spiking_neuron=neuron.IFNode)
        with pytest.raises(CompileError, match=r"model.layer1.0 \(BasicBlock\) must have a forward that calls modules"):
            fs.from_spikingjelly(model.eval(), in_shape=(3, 32, 32), **potential())
    model = library("ms_resnet").MSResNet(T=2, num_classes=3, layers=(1, 1, 1), base_channels=4)
    with pytest.raises(CompileError, match=r"model.layer1.0.downsample.0 \(Conv2d\) must come behind neurons, not"):
        fs.from_spikingjelly(model.eval(), in_shape=(3, 32, 32), **potential())


def resnet(library, name: str, kind: str, **more):
    models = library(name)
    model = getattr(models, kind)(models.BasicBlock, [1, 1, 1, 1], num_classes=3, spiking_neuron=neuron.IFNode, **more)
    return fs.from_spikingjelly(model.eval(), in_shape=(3, 32, 32), **potential())


def read(*modules: nn.Module):
    return fs.from_spikingjelly(nn.Sequential(*modules).eval(), in_shape=20, **options())


def fed_back(container: nn.Module):
    return read(layer.Linear(20, 8), container, layer.Linear(8, 3), neuron.IFNode())


FRAMEWORK = "SpikingJelly"
ROWS = {
    "SpikingJelly, `parametric_lif_net`": lambda library: fs.from_spikingjelly(
        library("parametric_lif_net").MNISTNet(2, neuron.IFNode, v_threshold=0.2).eval(), in_shape=(1, 28, 28),
        **potential()),
    "SpikingJelly, `spiking_vgg`": lambda library: (
        resnet(library, "spiking_resnet", "SpikingResNet") and resnet(library, "sew_resnet", "SEWResNet", cnf="ADD")),
    "SpikingJelly, `sew_resnet` with cnf": lambda library: resnet(library, "sew_resnet", "SEWResNet", cnf="AND"),
    "SpikingJelly, `ms_resnet`": lambda library: fs.from_spikingjelly(
        library("ms_resnet").MSResNet(T=2, num_classes=3, layers=(1, 1, 1), base_channels=4).eval(),
        in_shape=(3, 32, 32), **potential()),
    "SpikingJelly, `spikformer`": lambda library: fs.from_spikingjelly(
        library("spikformer").spikformer_cifar10(T=2).eval(), in_shape=(3, 32, 32), **potential()),
    "SpikingJelly, `LinearRecurrent": lambda library: (
        fed_back(layer.LinearRecurrentContainer(neuron.IFNode(), 8, 8))
        and fed_back(layer.ElementWiseRecurrentContainer(neuron.IFNode(), lambda x, y: x + y))),
    "SpikingJelly, `layer.Delay`": lambda library: read(
        layer.Delay(2, step_mode="m"), layer.Linear(20, 3, step_mode="m"), neuron.IFNode(step_mode="m")),
    "SpikingJelly, `CUBALIFNode`": lambda library: read(layer.Linear(20, 3), neuron.CUBALIFNode()),
}


def test_what_the_table_says_happens(row, happens, as_said, library):
    as_said(ROWS, row, happens, library)
