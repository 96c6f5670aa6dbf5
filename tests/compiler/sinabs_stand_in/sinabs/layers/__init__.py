# SPDX-License-Identifier: MIT
"""Layers of neurons on [B, T, …], and on [B·T, …]."""

import torch
from torch import nn

from sinabs.activation import MembraneSubtract, MultiSpike, SingleSpike


class LIF(nn.Module):
    def __init__(self, tau_mem, tau_syn=None, spike_threshold=1.0, spike_fn=MultiSpike, reset_fn=None, min_v_mem=None,
                 norm_input=True, train_alphas=False):
        super().__init__()
        alpha = torch.exp(-1 / torch.as_tensor(tau_mem, dtype=torch.float32))
        self.alpha_mem = nn.Parameter(alpha)
        self.alpha_syn = None if tau_syn is None else torch.exp(-1 / torch.as_tensor(tau_syn, dtype=torch.float32))
        self.spike_threshold = None if spike_threshold is None else nn.Parameter(torch.as_tensor(spike_threshold))
        self.min_v_mem = None if min_v_mem is None else nn.Parameter(torch.as_tensor(min_v_mem))
        self.spike_fn, self.reset_fn = spike_fn, reset_fn or MembraneSubtract()
        self.norm_input, self.train_alphas, self.v, self.i = norm_input, train_alphas, None, None

    @property
    def alpha_mem_calculated(self):
        return self.alpha_mem

    @property
    def alpha_syn_calculated(self):
        return self.alpha_syn

    def reset_states(self):
        self.v = self.i = None

    def forward(self, x):
        out = []
        for step in x.unbind(1):
            v = torch.zeros_like(step) if self.v is None else self.v
            if self.alpha_syn is not None:
                step = self.i = self.alpha_syn * (step if self.i is None else self.i + step)
            v = self.alpha_mem * v + ((1 - self.alpha_mem) * step if self.norm_input else step)
            if self.spike_fn is None:
                spikes = v
            else:
                spikes = self.spike_fn.of(v, self.spike_threshold)
                v = self.reset_fn.after(v, spikes, self.spike_threshold)
            self.v = v if self.min_v_mem is None else torch.maximum(v, self.min_v_mem)
            out.append(spikes)
        return torch.stack(out, 1)


class IAF(LIF):
    def __init__(self, spike_threshold=1.0, **options):
        super().__init__(float("inf"), spike_threshold=spike_threshold, norm_input=False, **options)


class ExpLeak(LIF):
    def __init__(self, tau_mem, norm_input=False, min_v_mem=None):
        super().__init__(tau_mem, spike_threshold=None, spike_fn=None, norm_input=norm_input, min_v_mem=min_v_mem)


class ALIF(LIF):
    def __init__(self, tau_mem, tau_adapt, tau_syn=None, adapt_scale=1.8, spike_threshold=1.0, spike_fn=SingleSpike,
                 **options):
        super().__init__(tau_mem, tau_syn=tau_syn, spike_threshold=spike_threshold, spike_fn=spike_fn, **options)
        self.alpha_adapt = nn.Parameter(torch.exp(-1 / torch.as_tensor(tau_adapt, dtype=torch.float32)))
        self.adapt_scale, self.b0, self.spike_threshold, self.b = adapt_scale, torch.as_tensor(spike_threshold), None, 0

    def __deepcopy__(self, memo):
        made = type(self)(tau_mem=2.0, tau_adapt=2.0, adapt_scale=self.adapt_scale)  # as sinabs: forgets norm_input
        return made.train()

    @property
    def alpha_adapt_calculated(self):
        return self.alpha_adapt

    def reset_states(self):
        super().reset_states()
        self.b = 0

    def forward(self, x):
        out = []
        for step in x.unbind(1):
            self.spike_threshold = nn.Parameter(self.b0 + self.adapt_scale * self.b)
            out.append(super().forward(step[:, None]))
            self.b = self.alpha_adapt * self.b + (1 - self.alpha_adapt) * out[-1][:, 0]
        return torch.cat(out, 1)


class _Squeezed:
    def __init__(self, *args, batch_size, **options):
        super().__init__(*args, **options)
        self.batch_size = batch_size

    def forward(self, x):
        return super().forward(x.unflatten(0, (self.batch_size, -1))).flatten(0, 1)


class LIFSqueeze(_Squeezed, LIF):
    pass


class IAFSqueeze(_Squeezed, IAF):
    pass


class ExpLeakSqueeze(_Squeezed, ExpLeak):
    pass


class SumPool2d(nn.LPPool2d):
    def __init__(self, kernel_size, stride=None, ceil_mode=False):
        super().__init__(1, kernel_size, stride, ceil_mode)
