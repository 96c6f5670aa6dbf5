// SPDX-License-Identifier: MIT
// The two functions that Verilator's waveform writer wants of LZ4, so that waves need no system package: a valid block
// of literals, nothing compressed. Ref: LZ4 block format, https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md
#ifndef FIRSTSPIKE_LZ4_H
#define FIRSTSPIKE_LZ4_H
#include <string.h>

static inline int LZ4_compressBound(int size) { return size + size / 255 + 16; }

static inline int LZ4_compress_default(const char* from, char* to, int size, int capacity) {
    if (size < 0 || capacity < LZ4_compressBound(size)) return 0;
    char* at = to;
    *at++ = (char)((size < 15 ? size : 15) << 4);
    if (size >= 15) {
        int left = size - 15;
        for (; left >= 255; left -= 255) *at++ = (char)255;
        *at++ = (char)left;
    }
    memcpy(at, from, (size_t)size);
    return (int)(at + size - to);
}
#endif
