// SPDX-License-Identifier: MIT
// A board and the two wires of its UART, bit by bit. Arguments: cycles a bit, and those of Board.
#include <deque>
#include "board.h"

int main(int, char** argv) {
    const int divisor = atoi(argv[1]);
    Board board{argv + 2};
    auto& top = board.top;
    top.rx = 1;
    board.reset();
    std::deque<uint8_t> sending;
    int bits = 0, bit_cycle = 0;  // of the octet on the wire to the board: left, and how long the current one has been
    unsigned frame = 0;
    int place = -1, wait = 0;  // of the octet on the wire from the board: bits seen, and cycles to the next sample
    unsigned octet = 0;
    while (board.next()) {
        sending.insert(sending.end(), board.given.begin(), board.given.end());
        std::vector<uint8_t> received;
        uint64_t cycle = 0;
        for (bool whole = false; cycle < board.command.cycles && !whole; cycle++) {
            if (bit_cycle == 0) {
                if (bits == 0 && !sending.empty()) {
                    frame = 1u << 9 | sending.front() << 1;  // stop bit, octet, start bit
                    bits = 10;
                    sending.pop_front();
                }
                top.rx = (bits ? frame & 1 : 1) != board.fault();
                frame >>= 1;
                if (bits) bits--;
            }
            if (++bit_cycle == divisor) bit_cycle = 0;
            top.clk = 0;
            top.eval();
            const bool level = top.tx;
            if (place < 0) {
                if (!level) place = 0, octet = 0, wait = divisor / 2;
            } else if (--wait == 0) {
                const bool bit = level != board.fault();
                wait = divisor;
                if (place == 0 && bit) place = -1;  // no start bit
                else if (place == 9) {
                    place = -1;
                    if (bit) received.push_back(octet), whole = octet == 0;
                } else {
                    if (place) octet |= unsigned(bit) << (place - 1);
                    place++;
                }
            }
            top.clk = 1;
            top.eval();
        }
        board.answer(received, cycle);
    }
    return 0;
}
