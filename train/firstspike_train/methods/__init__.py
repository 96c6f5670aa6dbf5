# SPDX-License-Identifier: MIT
"""Training methods: one file each. What the loop needs of a method is `method.Method`."""
