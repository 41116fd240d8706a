/* Products of matrices, in eight bits and in full precision.

   A product is computed in tiles: some rows, and as many columns as a few vectors have. The sums of a
   tile stay in registers; for that, the number of its rows has to be known to the compiler, so
   there is a function for each number. Rows are divided evenly among tiles: a tile of few rows
   would wait for its own sums. How rows are divided changes no result: each sum is made by itself,
   always in the same order. */
#ifndef PRODUCTS_H
#define PRODUCTS_H

#include "lanes.h"

#define TILE_COLUMNS (VECTORS * LANES)
/* Weights are stored in panels of 32 columns: four rows of 32 columns, column by column, follow
   each other, because so many are multiplied at once. */
#define PANEL 32
/* So many numbers of a row share a scale: with more of them the order of scores gets worse. */
#define GROUP 128
#define MAX_BYTE 127
/* Added to a number of a byte, it leaves none that is negative. */
#define MIDDLE 128
#define SMALLEST_SCALED 1e-9f

/* [inputs, outputs] as bytes, a scale for each output. `start` is what 128 in each of the bytes
   that come in would add to each sum, negated: [groups, outputs]. */
typedef struct {
    int32_t inputs, outputs;
    const int8_t *weights;
    const int32_t *start;
    const float *scale, *bias;
} Matrix;

/* Rows of bytes; `scale` has a number for each group of each row. */
typedef struct {
    uint8_t *bytes;
    float *scale;
    int32_t width;
} Rounded;

typedef void ByteTile(const Rounded *rows, int first, const Matrix *matrix, int column,
                      float *out, Size out_width);

INLINE void byte_tile(const int count, const Rounded *rows, int first, const Matrix *matrix,
                      int column, float *out, Size out_width) {
    const Size width = (Size)rows->width, groups = width / GROUP;
    const int8_t *weights = matrix->weights + (Size)(column / PANEL) * PANEL * width
                            + (Size)(column % PANEL) * 4;
    const float *scale = rows->scale + (Size)first * groups;
    Floats results[MAX_ROWS][VECTORS];
    UNROLL for (int row = 0; row < count; row++)
        UNROLL for (int i = 0; i < VECTORS; i++) results[row][i] = (Floats){0};
    for (Size group = 0; group < groups; group++) {
        const int32_t *start = matrix->start + group * (Size)matrix->outputs + column;
        Ints sums[MAX_ROWS][VECTORS];
        UNROLL for (int row = 0; row < count; row++)
            UNROLL for (int i = 0; i < VECTORS; i++)
                sums[row][i] = ZERO ? load_ints(start + i * LANES) : (Ints){0};
        /* A pointer for three rows each, which the compiler may not replace: with one for each row
           there are not enough registers for them. */
        const uint8_t *three[(MAX_ROWS + 2) / 3];
        UNROLL for (int i = 0; 3 * i < count; i++)
            three[i] = rows->bytes + (Size)(first + 3 * i) * width + group * GROUP;
        for (int step = 0; step < GROUP; step += 4) {
            Ints columns[VECTORS];
            UNROLL for (int i = 0; i < VECTORS; i++)
                columns[i] = load_ints(weights + i * LANES * 4);
            UNROLL for (int row = 0; row < count; row++) {
                int32_t four;
                memcpy(&four, three[row / 3] + (Size)(row % 3) * width, sizeof four);
                Ints bytes = all_ints(four);
                UNROLL for (int i = 0; i < VECTORS; i++)
                    sums[row][i] = add_products(sums[row][i], bytes, columns[i]);
            }
            weights += PANEL * 4;
            UNROLL for (int i = 0; 3 * i < count; i++) {
                three[i] += 4;
                __asm__("" : "+r"(three[i]));
            }
        }
        UNROLL for (int row = 0; row < count; row++)
            UNROLL for (int i = 0; i < VECTORS; i++)
                results[row][i] = multiply_add(__builtin_convertvector(sums[row][i], Floats),
                                               all(scale[(Size)row * groups + group]),
                                               results[row][i]);
    }
    UNROLL for (int row = 0; row < count; row++)
        UNROLL for (int i = 0; i < VECTORS; i++) {
            int at = column + i * LANES;
            store(out + (Size)row * out_width + i * LANES,
                  multiply_add(results[row][i], load(matrix->scale + at),
                               load(matrix->bias + at)));
        }
}

typedef void FloatTile(const float *a, Size a_width, const float *b, Size b_width, int inner,
                       float *out, Size out_width);

/* `vectors` is VECTORS, or 1 where fewer are left. */
INLINE void float_tile(const int count, const int vectors, const float *a, Size a_width,
                       const float *b, Size b_width, int inner, float *out, Size out_width) {
    Floats sums[MAX_ROWS][VECTORS];
    UNROLL for (int row = 0; row < count; row++)
        UNROLL for (int i = 0; i < vectors; i++) sums[row][i] = (Floats){0};
    const float *three[(MAX_ROWS + 2) / 3];
    UNROLL for (int i = 0; 3 * i < count; i++) three[i] = a + (Size)(3 * i) * a_width;
    for (int step = 0; step < inner; step++) {
        Floats columns[VECTORS];
        UNROLL for (int i = 0; i < vectors; i++) columns[i] = load(b + i * LANES);
        UNROLL for (int row = 0; row < count; row++) {
            Floats factor = all(three[row / 3][(Size)(row % 3) * a_width]);
            UNROLL for (int i = 0; i < vectors; i++)
                sums[row][i] = multiply_add(factor, columns[i], sums[row][i]);
        }
        b += b_width;
        UNROLL for (int i = 0; 3 * i < count; i++) {
            three[i]++;
            __asm__("" : "+r"(three[i]));
        }
    }
    UNROLL for (int row = 0; row < count; row++)
        UNROLL for (int i = 0; i < vectors; i++)
            store(out + (Size)row * out_width + i * LANES, sums[row][i]);
}

#define TILES(N)                                                                                   \
    static __attribute__((noinline)) void bytes_##N(const Rounded *rows, int first,               \
            const Matrix *matrix, int column, float *out, Size out_width) {                     \
        byte_tile(N, rows, first, matrix, column, out, out_width);                                 \
    }                                                                                              \
    static __attribute__((noinline)) void one_##N(const float *a, Size a_width, const float *b, \
            Size b_width, int inner, float *out, Size out_width) {                             \
        float_tile(N, 1, a, a_width, b, b_width, inner, out, out_width);                           \
    }                                                                                              \
    static __attribute__((noinline)) void all_##N(const float *a, Size a_width, const float *b, \
            Size b_width, int inner, float *out, Size out_width) {                             \
        float_tile(N, VECTORS, a, a_width, b, b_width, inner, out, out_width);                     \
    }
EACH_ROWS(TILES)
#define BYTES(N) bytes_##N,
#define ONE_AND_ALL(N) {one_##N, all_##N},
static ByteTile *const byte_tiles[] = {0, EACH_ROWS(BYTES)};
static FloatTile *const float_tiles[][2] = {{0, 0}, EACH_ROWS(ONE_AND_ALL)};

/* Where part `number` of `parts` even parts begins. */
INLINE int start_of(int number, int parts, int count) {
    return (int)((int64_t)count * number / parts);
}
INLINE int parts_of(int count, int most) { return (count + most - 1) / most; }

/* out[rows, columns from `column`] */
static void multiply_bytes(const Rounded *rows, int count, const Matrix *matrix, int column,
                           int columns, float *out, Size out_width) {
    int tiles = parts_of(count, MAX_ROWS);
    for (int done = 0; done < columns; done += TILE_COLUMNS)
        for (int tile = 0; tile < tiles; tile++) {
            int first = start_of(tile, tiles, count), end = start_of(tile + 1, tiles, count);
            byte_tiles[end - first](rows, first, matrix, column + done,
                                    out + (Size)first * out_width + done, out_width);
        }
}

/* At most MAX_ROWS rows; `columns` fill vectors. */
static void multiply_floats(const float *a, Size a_width, int rows, const float *b,
                            Size b_width, int inner, int columns, float *out, Size out_width) {
    int done = 0;
    for (; done + TILE_COLUMNS <= columns; done += TILE_COLUMNS)
        float_tiles[rows][1](a, a_width, b + done, b_width, inner, out + done, out_width);
    for (; done < columns; done += LANES)
        float_tiles[rows][0](a, a_width, b + done, b_width, inner, out + done, out_width);
}

/* One group: its bytes, and the scale by which they count. */
INLINE float round_group(const float *values, uint8_t *bytes) {
    Floats top = {0};
    for (int i = 0; i < GROUP; i += LANES)
        top = larger(top, larger(load(values + i), -load(values + i)));
    float most = largest(top);
    most = most > SMALLEST_SCALED ? most : SMALLEST_SCALED;
    /* A conversion cuts off what is behind the point. */
    for (int i = 0; i < GROUP; i += LANES) {
        Floats moved = multiply_add(load(values + i), all(MAX_BYTE / most), all(MIDDLE + 0.5f));
        store_bytes(bytes + i, __builtin_convertvector(moved, Ints) - (MIDDLE - ZERO));
    }
    return most / MAX_BYTE;
}

static void round_rows(const float *values, int count, const Rounded *rows) {
    Size groups = (Size)count * (Size)rows->width / GROUP;
    for (Size group = 0; group < groups; group++)
        rows->scale[group] = round_group(values + group * GROUP, rows->bytes + group * GROUP);
}
#endif
