// SPDX-License-Identifier: MIT
// Runs inferences of the Verilated accelerator with one flipped bit each time, from reset. See upset_bench.py for the
// files.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <type_traits>
#include <vector>
#include "Vfirstspike.h"
#include "Vfirstspike___024root.h"
#include "verilated.h"
#include "state.h"  // RESULT_WORDS (32 bits each), PARITY_ADDRESS (-1: none), FLIP_CASES: case ELEMENT: flip(REGISTER, bit); break; …

using Words = std::vector<int64_t>;
enum Recovery { NOT_NEEDED, BY_RESTART, BY_RESET, NONE };

static Words read_words(const char* name) {
    FILE* file = fopen(name, "rb");
    if (!file) { fprintf(stderr, "cannot open %s\n", name); exit(2); }
    fseek(file, 0, SEEK_END);
    Words words(ftell(file) / 8);
    rewind(file);
    if (fread(words.data(), 8, words.size(), file) != words.size()) exit(2);
    fclose(file);
    return words;
}

// Up to 64 bits are an integer, more are an array of 32-bit words.
template <typename Bits> static void flip(Bits& bits, int64_t bit) {
    if constexpr (std::is_integral_v<Bits>) bits ^= Bits(1) << bit;
    else bits[bit / 32] ^= uint32_t(1) << bit % 32;
}
template <typename Port> static uint32_t word_of(const Port& port, int index) {
    if constexpr (std::is_integral_v<Port>) return index < 2 ? uint64_t(port) >> (32 * index) : 0;
    else return port[index];
}

struct Upset { int64_t element, word, bit, cycle; };  // element -1: none
struct Seen {
    Words decided, results;
};

struct Machine {
    Vfirstspike top;

    explicit Machine(VerilatedContext& context) : top{&context} {
        top.clk = 0; top.restart = 0; top.status_address = 0; top.program_port_valid = 0;
        reset();
    }
    void edge() { top.clk = 1; top.eval(); top.clk = 0; }
    void quiet(int64_t cycles) {
        top.source_valid = 0; top.result_ready = 1;
        for (; cycles; cycles--) { top.eval(); edge(); }
        top.eval();
    }
    void reset() { top.rst = 1; quiet(2); top.rst = 0; }
    void restart() { top.restart = 1; quiet(1); top.restart = 0; }
    int64_t mismatches() {
        if (PARITY_ADDRESS < 0) return 0;
        top.status_address = PARITY_ADDRESS;
        top.eval();
        return top.status_data;
    }
    void apply(const Upset& upset) {
        const int64_t word = upset.word, bit = upset.bit;
        auto* root = top.rootp;
        switch (upset.element) { FLIP_CASES }
        (void)word; (void)bit; (void)root;
    }
    // Offer words until all results are there, then `more` cycles for any that should not be; give up at the limit.
    Seen run(const int64_t* words, size_t size, size_t results, int64_t limit, int64_t more, const Upset& upset) {
        Seen seen;
        size_t word = 0;
        for (int64_t cycle = 0, rest = more; cycle < limit && rest; cycle++) {
            if (cycle == upset.cycle) apply(upset);
            top.source_valid = word < size;
            if (word < size) top.source_payload = words[word];
            top.result_ready = 1;
            top.eval();
            if (top.result_valid) {
                seen.decided.push_back(cycle);
                for (int i = 0; i < RESULT_WORDS; i++) seen.results.push_back(word_of(top.result_payload, i));
            }
            if (word < size && top.source_ready) word++;
            if (seen.decided.size() >= results) rest--;
            edge();
        }
        return seen;
    }
};

int main(int argc, char** argv) {
    const Words words = read_words("words.bin"), sets = read_words("sets.bin"), trials = read_words("trials.bin");
    const int64_t results = atoll(argv[1]), more = atoll(argv[2]);
    FILE* file = fopen("seen.bin", "wb");
    const Upset none{-1, 0, 0, -1};
    VerilatedContext context;
    context.threads(1);
    for (size_t i = 0; i < trials.size(); i += 5) {
        // Of each set: bounds of its words, the bound of the first inference, and the limit in cycles.
        const int64_t* set = &sets[4 * trials[i]];
        const int64_t* first = &words[set[0]];
        const Upset upset{trials[i + 1], trials[i + 2], trials[i + 3], trials[i + 4]};
        auto machine = std::make_unique<Machine>(context);
        Seen seen = machine->run(first, set[1] - set[0], results, set[3], more, upset);
        const int64_t noticed = machine->mismatches();
        int64_t recovery = NOT_NEEDED;
        if (int64_t(seen.decided.size()) < results) {
            const size_t one = set[2] - set[0];
            const Seen wanted = std::make_unique<Machine>(context)->run(first, one, 1, set[3], 1, none);
            machine->restart();
            machine->quiet(more);
            recovery = NONE;
            if (machine->run(first, one, 1, set[3], 1, none).results == wanted.results) recovery = BY_RESTART;
            else {
                machine->reset();
                machine->quiet(more);
                if (machine->run(first, one, 1, set[3], 1, none).results == wanted.results) recovery = BY_RESET;
            }
        }
        const int64_t count = seen.decided.size();
        seen.decided.resize(results, -1);
        seen.results.resize(results * RESULT_WORDS, 0);
        const int64_t head[] = {count, recovery, noticed};
        if (fwrite(head, 8, 3, file) != 3 || fwrite(seen.decided.data(), 8, results, file) != size_t(results) ||
            fwrite(seen.results.data(), 8, seen.results.size(), file) != seen.results.size()) return 2;
    }
    return fclose(file) ? 2 : 0;
}
