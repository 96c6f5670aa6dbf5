# SPDX-License-Identifier: MIT
"""Training methods: one file each. What the loop needs of one is `layer_stack.LayerStack`."""
