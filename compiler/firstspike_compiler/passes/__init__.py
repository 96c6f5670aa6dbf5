# SPDX-License-Identifier: MIT
"""The passes, one verb a file; each is a pure function, and `firstspike_compiler.compile` puts them in order."""
