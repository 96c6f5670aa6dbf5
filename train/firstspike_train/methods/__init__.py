# SPDX-License-Identifier: MIT
"""Training methods, one file each; all are subclasses of `layer_stack.LayerStack`."""
