// SPDX-License-Identifier: MIT
// A board and the wires of its SPI peripheral: transfers by stdin and stdout, bits on the pins. See simulated_spi.py.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>
#include "Vfirstspike.h"
#include "verilated.h"

struct Command { uint32_t octets, restart; };
struct Answer { uint32_t status, unused; uint64_t cycles; };

static bool get(void* data, size_t size) { return fread(data, 1, size, stdin) == size; }

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vfirstspike top{&context};
    const double period = atof(argv[1]);  // cycles of sck
    const double glitches = atof(argv[2]);  // probability, for each bit, of each kind of fault
    std::mt19937_64 random(strtoull(argv[3], nullptr, 10));
    std::uniform_real_distribution<double> share(0, 1);
    auto fault = [&] { return glitches > 0 && share(random) < glitches; };

    uint64_t cycles = 0;
    double time = 0;  // of the controller, in cycles: its edges fall anywhere between those of the board's clock
    auto until = [&](double end) {
        for (; cycles < end; cycles++) top.clk = 0, top.eval(), top.clk = 1, top.eval();
        time = end;
    };
    auto reset = [&] {
        top.rst = 1, top.cs_n = 1, top.sck = 0, top.copi = 0;
        for (int i = 0; i < 2; i++) top.clk = 0, top.eval(), top.clk = 1, top.eval();
        top.rst = 0;
    };
    reset();
    for (Command command; get(&command, sizeof command);) {
        std::vector<uint8_t> octets(command.octets);
        if (!get(octets.data(), octets.size())) return 2;
        if (command.restart) reset();
        const uint64_t start = cycles;
        top.cs_n = 0;
        until(time + 2 * period);
        for (auto& octet : octets) {
            unsigned received = 0;
            for (int bit = 7; bit >= 0; bit--) {
                top.copi = (octet >> bit & 1) != fault();
                if (fault()) top.cs_n = 1;
                until(time + period / 2);
                top.eval();
                received = received << 1 | (top.cipo != fault());
                top.sck = !fault();  // an edge is lost
                until(time + period / 2);
                top.sck = 0;
                if (fault()) until(time + period / 2), top.sck = 1, until(time + period / 2), top.sck = 0;  // one more
                top.cs_n = 0;
            }
            octet = received;
        }
        until(time + period);
        top.cs_n = 1;
        until(time + 2 * period);
        const Answer answer{uint32_t(top.busy | top.fault << 1), 0, cycles - start};
        fwrite(&answer, sizeof answer, 1, stdout);
        fwrite(octets.data(), 1, octets.size(), stdout);
        fflush(stdout);
    }
    return 0;
}
