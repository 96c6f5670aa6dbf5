// SPDX-License-Identifier: MIT
// What the boards of verilated_board.py have in common: commands by stdin, answers by stdout, clock, reset and lights.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>
#include "Vfirstspike.h"
#include "verilated.h"

struct Board {
    struct Command { uint32_t octets, restart; uint64_t cycles; };
    struct Answer { uint32_t octets, status; uint64_t cycles; };

    VerilatedContext context;
    Vfirstspike top{&context};
    Command command;
    std::vector<uint8_t> given;  // with the command

    // Arguments: glitches, the probability of a fault at each chance of one; the seed.
    Board(char** arguments) : glitches(atof(arguments[0])), random(strtoull(arguments[1], nullptr, 10)) {}

    bool fault() { return glitches > 0 && share(random) < glitches; }

    void clock() { top.clk = 0, top.eval(), top.clk = 1, top.eval(); }

    void reset() {
        top.rst = 1;
        clock(), clock();
        top.rst = 0;
    }

    // The next command; false: there is none.
    bool next() {
        if (!get(&command, sizeof command)) return false;
        given.resize(command.octets);
        if (!get(given.data(), given.size())) exit(2);
        if (command.restart) reset();
        return true;
    }

    void answer(const std::vector<uint8_t>& octets, uint64_t cycles) {
        const Answer head{uint32_t(octets.size()), uint32_t(top.busy | top.fault << 1), cycles};
        fwrite(&head, sizeof head, 1, stdout);
        fwrite(octets.data(), 1, octets.size(), stdout);
        fflush(stdout);
    }

private:
    double glitches;
    std::mt19937_64 random;
    std::uniform_real_distribution<double> share{0, 1};

    static bool get(void* data, size_t size) { return fread(data, 1, size, stdin) == size; }
};
