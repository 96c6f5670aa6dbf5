# SPDX-License-Identifier: MIT
"""Models: what a network computes, in integers and in real numbers, and what that costs."""
