// SPDX-License-Identifier: MIT
// A board and the two wires of its UART: octets by stdin and stdout, bits on the pins. See simulated_board.py.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <random>
#include <vector>
#include "Vfirstspike.h"
#include "verilated.h"

struct Command { uint32_t octets, restart; uint64_t cycles; };
struct Answer { uint32_t octets, status; uint64_t cycles; };

static bool get(void* data, size_t size) { return fread(data, 1, size, stdin) == size; }

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vfirstspike top{&context};
    const int divisor = atoi(argv[1]);  // cycles a bit
    const double glitches = atof(argv[2]);  // probability that a bit on either wire is the wrong one
    std::mt19937_64 random(strtoull(argv[3], nullptr, 10));
    std::uniform_real_distribution<double> share(0, 1);
    auto seen = [&](bool level) { return glitches > 0 && share(random) < glitches ? !level : level; };

    auto reset = [&] {
        top.rst = 1, top.rx = 1;
        for (int i = 0; i < 2; i++) top.clk = 0, top.eval(), top.clk = 1, top.eval();
        top.rst = 0;
    };
    reset();
    std::deque<uint8_t> sending;
    int bits = 0, bit_cycle = 0;  // of the octet on the wire to the board: left, and how long the current one has been
    unsigned frame = 0;
    int place = -1, wait = 0;  // of the octet on the wire from the board: bits seen, and cycles to the next sample
    unsigned octet = 0;
    for (Command command; get(&command, sizeof command);) {
        std::vector<uint8_t> given(command.octets), received;
        if (!get(given.data(), given.size())) return 2;
        sending.insert(sending.end(), given.begin(), given.end());
        if (command.restart) reset();
        uint64_t cycle = 0;
        for (bool whole = false; cycle < command.cycles && !whole; cycle++) {
            if (bit_cycle == 0) {
                if (bits == 0 && !sending.empty()) {
                    frame = 1u << 9 | sending.front() << 1;  // stop bit, octet, start bit
                    bits = 10;
                    sending.pop_front();
                }
                top.rx = seen(bits ? frame & 1 : 1);
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
                const bool bit = seen(level);
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
        const Answer answer{uint32_t(received.size()), uint32_t(top.busy | top.fault << 1), cycle};
        fwrite(&answer, sizeof answer, 1, stdout);
        fwrite(received.data(), 1, received.size(), stdout);
        fflush(stdout);
    }
    return 0;
}
