/* Attention of one head within one sequence, in full precision. */
#ifndef ATTENTION_H
#define ATTENTION_H

#include "products.h"

/* Less than any score, so that what has it counts for nothing. */
#define NEVER -1e30f
/* A power of 2 below this would not be a normal number. */
#define SMALLEST_EXPONENT -120.0f
/* Added to a number, it leaves no room for what is behind the point. */
#define ROUNDING 12582912.0f

/* Powers of 2, off by at most 3e-6 of them: a polynomial for what is behind the point, by the
   method of least maximum error on [-1/2, 1/2], and the rest into the exponent. */
INLINE Floats powers_of_2(Floats x) {
    x = larger(x, all(SMALLEST_EXPONENT));
    Floats moved = x + ROUNDING, rest = x - (moved - ROUNDING);
    Floats power = multiply_add(all(9.570103e-3f), rest, all(5.591786e-2f));
    power = multiply_add(power, rest, all(2.4024745e-1f));
    power = multiply_add(power, rest, all(6.9312179e-1f));
    power = multiply_add(power, rest, all(9.9999926e-1f));
    return (Floats)((Ints)power + ((Ints)moved << 23));
}

/* [LANES, LANES]: exchanges blocks across the diagonal, from half of it down to single numbers. */
INLINE void transpose_block(const float *in, Size in_width, int rows, float *out,
                            Size out_width) {
    Floats block[LANES];
    UNROLL for (int i = 0; i < LANES; i++)
        block[i] = i < rows ? load(in + (Size)i * in_width) : (Floats){0};
    UNROLL for (int size = LANES / 2; size; size /= 2) {
        Ints low, high;
        UNROLL for (int i = 0; i < LANES; i++) {
            low[i] = i & size ? LANES + (i ^ size) : i;
            high[i] = i & size ? LANES + i : i | size;
        }
        UNROLL for (int i = 0; i < LANES; i++)
            if (!(i & size)) {
                Floats first = block[i], second = block[i | size];
                block[i] = picked(first, second, low);
                block[i | size] = picked(first, second, high);
            }
    }
    UNROLL for (int i = 0; i < LANES; i++) store(out + (Size)i * out_width, block[i]);
}

typedef struct {
    float *keys;    /* [head, padded]: transposed */
    float *weights; /* [MAX_ROWS, padded] */
    float *bias;    /* [2, padded]: what tokens of the first part add to scores, and of the second */
} AttentionRoom;

/* Scores of a row to weights, not divided by their sum, which is returned. */
INLINE float soften(float *scores, const float *bias, int padded) {
    Floats top = all(NEVER), sum = {0};
    for (int i = 0; i < padded; i += LANES) {
        Floats score = load(scores + i) + load(bias + i);
        store(scores + i, score);
        top = larger(top, score);
    }
    top = all(largest(top));
    for (int i = 0; i < padded; i += LANES) {
        Floats weight = powers_of_2(load(scores + i) - top);
        store(scores + i, weight);
        sum += weight;
    }
    return total(sum);
}

/* `states` are rows of query, key and value of the head, [tokens, 3 * head]. The first `queries` of
   them attend; the first `split` belong to the first part. */
static void attend(const float *states, int tokens, int queries, int split, int head,
                   AttentionRoom room, float *out, Size out_width) {
    const Size width = 3 * (Size)head;
    const int padded = parts_of(tokens, LANES) * LANES;
    for (int i = 0; i < tokens; i += LANES)
        for (int j = 0; j < head; j += LANES)
            transpose_block(states + (Size)i * width + head + j, width, tokens - i,
                            room.keys + (Size)j * padded + i, padded);
    int tiles = parts_of(queries, MAX_ROWS);
    for (int tile = 0; tile < tiles; tile++) {
        int first = start_of(tile, tiles, queries), end = start_of(tile + 1, tiles, queries);
        float share[MAX_ROWS], *mixed = out + (Size)first * out_width;
        multiply_floats(states + (Size)first * width, width, end - first, room.keys, padded,
                        head, padded, room.weights, padded);
        for (int row = 0; row < end - first; row++)
            share[row] = 1 / soften(room.weights + (Size)row * padded,
                                    room.bias + (first + row < split ? 0 : padded), padded);
        multiply_floats(room.weights, padded, end - first, states + 2 * head, width, tokens, head,
                        mixed, out_width);
        for (int row = 0; row < end - first; row++)
            for (int i = 0; i < head; i += LANES) {
                float *at = mixed + (Size)row * out_width + i;
                store(at, load(at) * share[row]);
            }
    }
}
#endif
