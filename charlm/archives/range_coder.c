/* The range coder of range_coder.py, to the bit. Unsigned 64-bit integers only; no product overflows. */

#include <stddef.h>
#include <stdint.h>

#define TOTAL_BITS 24
#define MIN_RANGE ((uint64_t)1 << 32)

typedef struct {
    uint64_t offset;   /* the code's value above the start of the interval */
    uint64_t range;    /* the length of the interval */
    uint64_t position; /* bytes read */
} range_decoder;

static void carry(uint8_t *end)
{
    do
        end--;
    while (++*end == 0);
}

/* Write the code of n symbols, which takes at most 4 n + 8 bytes; return its length. */
size_t charlm_range_encode(const uint32_t *low_N, const uint32_t *frequency_N, size_t n, uint8_t *out)
{
    uint64_t low = 0, range = UINT64_MAX;
    uint8_t *end = out;
    for (size_t i = 0; i < n; i++) {
        uint64_t scale = range >> TOTAL_BITS, before = low;
        low += scale * low_N[i];
        range = scale * frequency_N[i];
        if (low < before)
            carry(end);
        if (range < MIN_RANGE) {
            for (int shift = 56; shift >= 32; shift -= 8)
                *end++ = (uint8_t)(low >> shift);
            low <<= 32;
            range <<= 32;
        }
    }
    for (int bytes = 0; bytes <= 8; bytes++) {
        uint64_t mask = bytes == 8 ? 0 : UINT64_MAX >> (8 * bytes);
        uint64_t code = (low + mask) & ~mask;
        if (code - low >= range)
            continue;
        if (low + mask < low)
            carry(end);
        for (int shift = 56; shift > 56 - 8 * bytes; shift -= 8)
            *end++ = (uint8_t)(code >> shift);
        break;
    }
    return (size_t)(end - out);
}

static uint32_t next_word(range_decoder *decoder, const uint8_t *data, uint64_t size)
{
    uint32_t word = 0;
    for (int i = 0; i < 4; i++, decoder->position++)
        word = word << 8 | (decoder->position < size ? data[decoder->position] : 0);
    return word;
}

void charlm_range_start(range_decoder *decoder, const uint8_t *data, uint64_t size)
{
    decoder->position = 0;
    decoder->range = UINT64_MAX;
    decoder->offset = (uint64_t)next_word(decoder, data, size) << 32;
    decoder->offset |= next_word(decoder, data, size);
}

/* Decode a symbol of each lane; return their number, or a smaller one if no code has these bytes. */
size_t charlm_range_decode_step(range_decoder *decoder, const uint8_t *data, uint64_t size,
                                const uint32_t *frequencies_LV, size_t lanes, size_t vocab_size, int64_t *symbols_L)
{
    for (size_t lane = 0; lane < lanes; lane++) {
        const uint32_t *frequency_V = frequencies_LV + lane * vocab_size;
        uint64_t scale = decoder->range >> TOTAL_BITS, target = decoder->offset / scale, low = 0;
        size_t symbol = 0;
        while (symbol < vocab_size && target - low >= frequency_V[symbol])
            low += frequency_V[symbol++];
        if (symbol == vocab_size)
            return lane;
        decoder->offset -= scale * low;
        decoder->range = scale * frequency_V[symbol];
        if (decoder->range < MIN_RANGE) {
            decoder->range <<= 32;
            decoder->offset = decoder->offset << 32 | next_word(decoder, data, size);
            if (decoder->position > size + 8)
                return lane;
        }
        symbols_L[lane] = (int64_t)symbol;
    }
    return lanes;
}
