# SPDX-License-Identifier: MIT
"""The HTML report: one data object, its figures, and the page that shows them."""
