// SPDX-License-Identifier: MIT
// A board and the wires of its SPI peripheral, bit by bit. Arguments: cycles in a period of sck, and those of Board.
#include "board.h"

int main(int, char** argv) {
    const double period = atof(argv[1]);
    Board board{argv + 2};
    auto& top = board.top;
    uint64_t cycles = 0;
    double time = 0;  // of the controller, in cycles: its edges fall anywhere between those of the board's clock
    auto until = [&](double end) {
        for (; cycles < end; cycles++) board.clock();
        time = end;
    };
    top.cs_n = 1, top.sck = 0, top.copi = 0;
    board.reset();
    while (board.next()) {
        const uint64_t start = cycles;
        top.cs_n = 0;
        until(time + 2 * period);
        for (auto& octet : board.given) {
            unsigned received = 0;
            for (int bit = 7; bit >= 0; bit--) {
                top.copi = (octet >> bit & 1) != board.fault();
                if (board.fault()) top.cs_n = 1;
                until(time + period / 2);
                top.eval();
                received = received << 1 | (top.cipo != board.fault());
                top.sck = !board.fault();  // an edge is lost
                until(time + period / 2);
                top.sck = 0;
                if (board.fault()) {  // one more
                    until(time + period / 2), top.sck = 1;
                    until(time + period / 2), top.sck = 0;
                }
                top.cs_n = 0;
            }
            octet = received;
        }
        until(time + period);
        top.cs_n = 1;
        until(time + 2 * period);
        board.answer(board.given, cycles - start);
    }
    return 0;
}
