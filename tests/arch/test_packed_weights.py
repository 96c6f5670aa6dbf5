# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from firstspike_arch.packed_weights import pack_weights, unpack_weights, whole_steps


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_take_their_bits_and_come_back(bits):
    low, high = -(1 << bits - 1), (1 << bits - 1) - 1
    whole = np.random.default_rng(bits).integers(low, high + 1, (5, 3, 3, 3))
    whole.flat[:2] = low, high
    packed = pack_weights(whole, bits)
    assert packed.dtype == np.uint8 and len(packed) == (135 * bits + 7) // 8
    assert np.array_equal(unpack_weights(packed, bits, whole.shape), whole)


def test_the_first_weight_is_in_the_lowest_bits():
    assert pack_weights(np.array([1, -2, 3]), 4).tolist() == [0xE1, 0x03]


def test_octets_must_be_as_many_as_the_weights_take():
    with pytest.raises(ValueError, match=r"^must have 2 octets, for 3 weights of 4 bits, not 3$"):
        unpack_weights(np.zeros(3, np.uint8), 4, (3,))
    with pytest.raises(ValueError, match=r"^must have 2 octets, for 3 weights of 4 bits, not 1$"):
        unpack_weights(np.zeros(1, np.uint8), 4, (3,))
    with pytest.raises(ValueError, match=r"^must have zeros behind the last weight$"):
        unpack_weights(np.array([0, 0x10], np.uint8), 4, (3,))


def test_only_what_the_bits_hold_and_is_a_step_to_the_last_bit_is_whole():
    step = 0.1
    assert np.array_equal(whole_steps(np.array([-8, 0, 7]) * step, step, 4), [-8, 0, 7])
    assert whole_steps(np.array([8 * step]), step, 4) is None
    assert whole_steps(np.array([np.nextafter(3 * step, 1)]), step, 4) is None
