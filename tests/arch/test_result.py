# SPDX-License-Identifier: MIT
"""Result words: every field comes back, of any sign, in as few bits as it needs."""

import numpy as np
import pytest
from firstspike_arch.result import ResultLayout


@pytest.mark.parametrize("classes, steps, bits", [(1, 1, 2), (2, 8, 5), (3, 9, 1), (4, 4, 12), (10, 300, 20)])
def test_fields_of_a_result_come_back(classes, steps, bits):
    layout = ResultLayout(classes=classes, steps_max=steps, score_bits=bits)
    assert (layout.class_bits, layout.step_bits) == (max(1, (classes - 1).bit_length()),
                                                     max(1, (steps - 1).bit_length()))
    assert layout.bits == layout.class_bits + layout.step_bits + 2 + classes * bits
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    random = np.random.default_rng(classes)
    for label, step, decided_by in ((classes - 1, steps - 1, 3), (0, steps // 2, 1), (classes // 2, 0, 2)):
        scores = [low, high, *random.integers(low, high + 1, classes).tolist()][:classes]
        word, place = 0, 0
        for value, width in ((label, layout.class_bits), (step, layout.step_bits), (decided_by, 2),
                             *((score, bits) for score in scores)):
            word |= (value & (1 << width) - 1) << place
            place += width
        assert place == layout.bits and layout.unpack(word) == (label, step, decided_by, scores)
