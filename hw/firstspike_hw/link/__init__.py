# SPDX-License-Identifier: MIT
"""The host link: frames over UART or SPI to and from an accelerator."""
