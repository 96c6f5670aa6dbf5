// SPDX-License-Identifier: MIT
// Drives the Verilated accelerator: one loop, no Python per cycle. See verilator.py for the files.
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <vector>
#include "Vfirstspike.h"
#include "Vfirstspike___024root.h"
#include "verilated.h"
#ifdef WAVES
#include "verilated_fst_c.h"
#endif
#include "edges.h"  // EDGES, RESULT_WORDS (32 bits each), COUNTER_ADDRESSES, STATUS_CYCLES, READ_EDGES(see); BEAT_BITS (0: no memory)

using Words = std::vector<int64_t>;

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

static void write_words(const char* name, const Words& words) {
    FILE* file = fopen(name, "wb");
    if (!file || fwrite(words.data(), 8, words.size(), file) != words.size() || fclose(file)) {
        fprintf(stderr, "cannot write %s\n", name);
        exit(2);
    }
}

// A port of up to 64 bits is an integer, a wider one an array of 32-bit words.
template <typename Port> static uint32_t word_of(const Port& port, int index) {
    if constexpr (std::is_integral_v<Port>) return index < 2 ? uint64_t(port) >> (32 * index) : 0;
    else return port[index];
}

#if BEAT_BITS
// The external memory, as external_memory.py has it: which cycles it takes requests in, and answers in.
class Memory {
    struct Request { int64_t address, beats, when; };
    const Words image = read_words("memory.bin"), latency = read_words("latency.bin");
    const Words gaps = read_words("beat_gaps.bin"), stalls = read_words("request_stalls.bin");
    std::vector<Request> requests;
    size_t answered = 0, beat = 0, sent = 0;
    int64_t since = -1, from = 0;

    void begin(int64_t cycle) {
        if (answered == requests.size()) return;
        from = std::max(requests[answered].when + 1 + latency[answered % latency.size()], cycle + 1);
    }
    uint32_t word(size_t octets) const {
        const size_t place = octets / 8;
        return place < image.size() ? uint64_t(image[place]) >> octets % 8 * 8 : 0;
    }

public:
    int64_t beats() const { return sent; }
    template <typename Top> void offer(Top& top, int64_t cycle) {
        top.responses_valid = answered < requests.size() && cycle >= from;
        if (!top.responses_valid) return;
        const Request& request = requests[answered];
        const size_t at = request.address + beat * (BEAT_BITS / 8);
        const uint64_t flags = int64_t(beat) == request.beats - 1;  // last, and no error above it
        using Port = std::decay_t<decltype(top.responses_payload)>;
        if constexpr (std::is_integral_v<Port>) top.responses_payload = word(at) | flags << 32;
        else {
            for (int i = 0; i < BEAT_BITS / 32; i++) top.responses_payload[i] = word(at + 4 * i);
            top.responses_payload[BEAT_BITS / 32] = flags;
        }
    }
    template <typename Top> void take(Top& top, int64_t cycle) {  // when the outputs are known
        if (top.requests_valid && since < 0) since = cycle;
        top.requests_ready = since >= 0 && cycle >= since + stalls[requests.size() % stalls.size()];
        top.eval();
    }
    template <typename Top> void step(Top& top, int64_t cycle) {
        if (top.responses_valid && top.responses_ready) {
            from = cycle + 1 + gaps[++sent % gaps.size()];
            if (int64_t(++beat) == requests[answered].beats) beat = 0, answered++, begin(cycle);
        }
        if (top.requests_valid && top.requests_ready) {
            const uint64_t payload = top.requests_payload;
            requests.push_back({int64_t(payload & 0xFFFFFFFF), int64_t(payload >> 32), cycle});
            since = -1;
            if (answered + 1 == requests.size()) begin(cycle);
        }
    }
};
#define OFFER(memory) memory.offer(top, cycle)
#define TAKE(memory) memory.take(top, cycle)
#define STEP(memory) memory.step(top, cycle)
#else
struct Memory {};
#define OFFER(memory)
#define TAKE(memory)
#define STEP(memory)
#endif

int main(int argc, char** argv) {
    VerilatedContext context;
    context.commandArgs(argc, argv);
    Vfirstspike top{&context};
    const Words words = read_words("words.bin"), gaps = read_words("gaps.bin"), stalls = read_words("stalls.bin");
    const Words images = read_words("images.bin");  // program-port words, before the first input word
    const int64_t limit = atoll(argv[1]), drain = atoll(argv[2]);
    const size_t count = stalls.size();
    Words accepted(words.size(), -1), decided(count, -1), taken(count, -1), results, edge_tokens[EDGES], edge_cycles[EDGES];
#ifdef WAVES
    context.traceEverOn(true);
    VerilatedFstC waves;
    top.trace(&waves, 99);
    waves.open("wave.fst");
#define DUMP() waves.dump(context.time()), context.timeInc(1)
#else
#define DUMP()
#endif
    auto edge = [&] { DUMP(); top.clk = 1; top.eval(); DUMP(); top.clk = 0; };
    Memory memory;
#if BEAT_BITS
    top.requests_ready = top.responses_valid = 0;
#endif
    top.clk = 0; top.rst = 1;
    top.source_valid = 0; top.result_ready = 0; top.program_port_valid = 0; top.restart = 0; top.status_address = 0;
    for (int i = 0; i < 2; i++) { top.eval(); edge(); }
    top.rst = 0;
    for (size_t i = 0, waited = 0; i < images.size();) {
        if (waited == size_t(limit)) {
            fprintf(stderr, "program port not ready within %ld cycles: %zu of %zu words taken\n", long(limit), i,
                    images.size());
            return 3;
        }
        top.program_port_valid = 1;
        top.program_port_payload = images[i];
        top.eval();
        if (top.program_port_ready) i++, waited = 0;
        else waited++;
        edge();
    }
    top.program_port_valid = 0;
    size_t word = 0, result = 0;
    int64_t cycle = 0, available = gaps.empty() ? 0 : gaps[0], quiet = 0;
    const auto start = std::chrono::steady_clock::now();
    while (quiet < drain) {
        if (cycle == limit) {
            fprintf(stderr, "no end within %ld cycles: %zu of %zu input words taken, %zu of %zu results\n", long(limit),
                    word, words.size(), result, count);
            return 3;
        }
        const bool offered = word < words.size() && cycle >= available;
        top.source_valid = offered;
        if (offered) top.source_payload = words[word];
        const bool stalled = result < count && stalls[result];
        top.result_ready = !stalled || (decided[result] >= 0 && cycle >= decided[result] + stalls[result]);
        OFFER(memory);
        top.eval();
        TAKE(memory);
        bool quiet_now = word == words.size() && result == count;
        if (top.result_valid && result < count) {
            if (decided[result] < 0) decided[result] = cycle;
            if (top.result_ready) {
                for (int i = 0; i < RESULT_WORDS; i++) results.push_back(word_of(top.result_payload, i));
                taken[result++] = cycle;
            }
        }
        if (offered && top.source_ready) {
            accepted[word++] = cycle;
            if (word < words.size()) available = cycle + 1 + gaps[word];
        }
#define SEE(number, valid, ready, payload)                         \
        if ((valid) && (ready)) {                                  \
            edge_tokens[number].push_back(payload);                \
            edge_cycles[number].push_back(cycle);                  \
            quiet_now = false;                                     \
        }
        READ_EDGES(SEE)
        STEP(memory);
        quiet = quiet_now ? quiet + 1 : 0;
        edge();
        cycle++;
    }
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    Words counters;
    top.source_valid = 0;
    const int addresses[] = {COUNTER_ADDRESSES};
    for (const int address : addresses) {
        top.status_address = address;
        for (int j = 0; j < STATUS_CYCLES; j++) { top.eval(); edge(); }
        top.eval();
        counters.push_back(top.status_data);
    }
#if BEAT_BITS
    counters.push_back(memory.beats());
#endif
#ifdef WAVES
    waves.close();
#endif
    write_words("accepted.bin", accepted); write_words("decided.bin", decided); write_words("taken.bin", taken);
    write_words("results.bin", results); write_words("counters.bin", counters);
    for (int i = 0; i < EDGES; i++) {
        char name[32];
        snprintf(name, sizeof name, "tokens%d.bin", i); write_words(name, edge_tokens[i]);
        snprintf(name, sizeof name, "cycles%d.bin", i); write_words(name, edge_cycles[i]);
    }
    printf("%ld %.9f\n", long(cycle), seconds);
    return 0;
}
