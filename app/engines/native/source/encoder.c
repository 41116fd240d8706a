/* The layers of a BERT encoder with products of eight bits, for one processor core.

   Sequences follow each other without padding. What is rounded has a scale for 128 numbers of a
   row, so a row depends on its own sequence and on nothing else that is computed with it. All
   memory comes from the caller, who has checked all sizes. */
#include <math.h>
#include <stddef.h>

#include "attention.h"
#include "products.h"

/* Of so many rows, all is computed that needs no other rows while they are in the cache. */
#define BLOCK 112
/* The function of the activation, of numbers of a greater size, is 0 or the number itself. */
#define GELU_END 4.2f

/* The sanitizer of addresses has to be told where each part of the caller's memory ends. */
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
/* More than a row of what a head reads. */
#define GAP 4096
INLINE void forbid_behind(char *part, Size bytes, Size whole) {
    ASAN_UNPOISON_MEMORY_REGION(part, (size_t)bytes);
    ASAN_POISON_MEMORY_REGION(part + bytes, (size_t)(whole - bytes));
}
#else
#define GAP 0
INLINE void forbid_behind(char *part, Size bytes, Size whole) {
    (void)part, (void)bytes, (void)whole;
}
#endif

typedef struct {
    /* Query, key and value of the first head, of the second, and so on. The query is scaled so that
       scores are exponents of 2. */
    Matrix attention, mixed, up, down;
    const float *mixed_scale, *mixed_shift, *down_scale, *down_shift;
    /* Of each head, what is added to scores of tokens of the first part that look at the second, and
       of those of the second that look at the first; or NULL. */
    const float *gates;
} Layer;

typedef struct {
    int32_t width, heads, inner;
    float epsilon;
    const Layer *layers;
} Encoder;

typedef struct {
    Rounded states, block, grown;
    AttentionRoom attention;
    float *head, *context, *sums, *up;
} Room;

/* x * P(X < x) of a normal X, off by at most 2e-5 (1e-5 of large numbers): P(X < x) - 1/2 is x times
   a polynomial of x * x, by the method of least maximum error of the product. */
INLINE Floats gelu(Floats x) {
    static const float FACTORS[] = {3.988345785e-01f,  -6.622207718e-02f, 9.740940507e-03f,
                                    -1.086459127e-03f, 8.983596437e-05f,  -5.289566752e-06f,
                                    2.072477709e-07f,  -4.795666595e-09f, 4.923825280e-11f};
    Floats inside = smaller(larger(x, all(-GELU_END)), all(GELU_END)), square = inside * inside;
    Floats sum = all(FACTORS[8]);
    UNROLL for (int i = 7; i >= 0; i--) sum = multiply_add(sum, square, all(FACTORS[i]));
    return x * multiply_add(sum, inside, all(0.5f));
}

/* states = normalized(states + added) */
void normalize(float *states, const float *added, int32_t count, int32_t width,
               const float *scale, const float *shift, float epsilon) {
    for (Size row = 0; row < (Size)count; row++, states += width, added += width) {
        Floats sum = {0}, squares = {0};
        for (int i = 0; i < width; i += LANES) {
            Floats value = load(states + i) + load(added + i);
            store(states + i, value);
            sum += value;
        }
        float mean = total(sum) / (float)width;
        for (int i = 0; i < width; i += LANES) {
            Floats value = load(states + i) - mean;
            squares = multiply_add(value, value, squares);
        }
        float factor = 1 / sqrtf(total(squares) / (float)width + epsilon);
        for (int i = 0; i < width; i += LANES) {
            Floats value = (load(states + i) - mean) * factor;
            store(states + i, multiply_add(value, load(scale + i), load(shift + i)));
        }
    }
}

/* out = a @ b; the columns of b fill panels. */
void multiply(const float *a, int32_t rows, int32_t inner, const float *b, int32_t columns,
              float *out) {
    int tiles = parts_of(rows, MAX_ROWS);
    for (int tile = 0; tile < tiles; tile++) {
        int first = start_of(tile, tiles, rows), end = start_of(tile + 1, tiles, rows);
        multiply_floats(a + (Size)first * inner, inner, end - first, b, columns, inner, columns,
                        out + (Size)first * columns, columns);
    }
}

/* With no memory, only `used` grows. */
static void *take(char *memory, Size *used, Size count, Size size) {
    char *taken = memory ? memory + *used : NULL;
    const Size bytes = count * size, whole = (bytes + 63) / 64 * 64 + GAP;
    if (memory) forbid_behind(taken, bytes, whole);
    *used += whole;
    return taken;
}

static Rounded take_rounded(char *memory, Size *used, Size rows, int32_t width) {
    Rounded taken = {.width = width};
    taken.bytes = take(memory, used, rows * (Size)width, 1);
    taken.scale = take(memory, used, rows * (Size)width / GROUP, sizeof(float));
    return taken;
}

static Room divide(const Encoder *encoder, Size tokens, Size longest, char *memory,
                   Size *used) {
    const Size width = (Size)encoder->width, head = width / (Size)encoder->heads;
    const Size padded = (longest + LANES - 1) / LANES * LANES;
    Room room;
    room.states = take_rounded(memory, used, tokens, encoder->width);
    room.block = take_rounded(memory, used, BLOCK, encoder->width);
    room.grown = take_rounded(memory, used, BLOCK, encoder->inner);
    room.attention.keys = take(memory, used, head * padded, sizeof(float));
    room.attention.weights = take(memory, used, MAX_ROWS * padded, sizeof(float));
    room.attention.bias = take(memory, used, 2 * padded, sizeof(float));
    room.head = take(memory, used, tokens * 3 * head, sizeof(float));
    room.context = take(memory, used, tokens * width, sizeof(float));
    room.sums = take(memory, used, BLOCK * width, sizeof(float));
    room.up = take(memory, used, BLOCK * GROUP, sizeof(float));
    return room;
}

/* Bytes that `encode` needs for so many tokens, the longest sequence of `longest`. */
Size room_size(const Encoder *encoder, int32_t tokens, int32_t longest) {
    Size used = 0;
    divide(encoder, (Size)tokens, (Size)longest, NULL, &used);
    return used;
}

static void fill_bias(const Layer *layer, int heads, int head, int tokens, int split, float *bias) {
    int padded = parts_of(tokens, LANES) * LANES;
    float to_second = layer->gates ? layer->gates[head] : 0;
    float to_first = layer->gates ? layer->gates[heads + head] : 0;
    for (int i = 0; i < padded; i++) {
        bias[i] = i < split ? 0 : i < tokens ? to_second : NEVER;
        bias[padded + i] = i < split ? to_first : i < tokens ? 0 : NEVER;
    }
}

/* From the states to what the heads have made of them, in `room->context`. With `first_only`, only
   the first token of each sequence attends, and its row is that of the sequence. */
static void mix(const Encoder *encoder, const Layer *layer, const float *states, int sequences,
                const int32_t *starts, const int32_t *splits, int first_only, const Room *room) {
    const int heads = encoder->heads, size = encoder->width / heads, tokens = starts[sequences];
    round_rows(states, tokens, &room->states);
    /* Head by head: the states of one head stay in the cache. */
    for (int head = 0; head < heads; head++) {
        multiply_bytes(&room->states, tokens, &layer->attention, head * 3 * size, 3 * size,
                       room->head, 3 * (Size)size);
        for (int i = 0; i < sequences; i++) {
            int length = starts[i + 1] - starts[i], row = first_only ? i : starts[i];
            fill_bias(layer, heads, head, length, splits[i], room->attention.bias);
            attend(room->head + (Size)starts[i] * 3 * (Size)size, length,
                   first_only ? 1 : length, splits[i], size, room->attention,
                   room->context + (Size)row * (Size)encoder->width + head * size,
                   (Size)encoder->width);
        }
    }
}

/* All of a layer that needs no other rows, for at most BLOCK rows. */
static void finish(const Encoder *encoder, const Layer *layer, float *states, const float *context,
                   int count, const Room *room) {
    const int width = encoder->width;
    const Size groups = (Size)encoder->inner / GROUP;
    round_rows(context, count, &room->block);
    multiply_bytes(&room->block, count, &layer->mixed, 0, width, room->sums, (Size)width);
    normalize(states, room->sums, count, width, layer->mixed_scale, layer->mixed_shift,
              encoder->epsilon);
    round_rows(states, count, &room->block);
    for (Size group = 0; group < groups; group++) {
        multiply_bytes(&room->block, count, &layer->up, (int)group * GROUP, GROUP, room->up, GROUP);
        for (Size row = 0; row < (Size)count; row++) {
            float *up = room->up + row * GROUP;
            for (int i = 0; i < GROUP; i += LANES) store(up + i, gelu(load(up + i)));
            Size at = row * groups + group;
            room->grown.scale[at] = round_group(up, room->grown.bytes + at * GROUP);
        }
    }
    multiply_bytes(&room->grown, count, &layer->down, 0, width, room->sums, (Size)width);
    normalize(states, room->sums, count, width, layer->down_scale, layer->down_shift,
              encoder->epsilon);
}

/* The states [tokens, width] after layers `first` to `end`, in place. Sequence i has the rows from
   starts[i] to starts[i + 1], of which the first splits[i] are those of its first part. With
   `first_only`, the first rows are then those of the first token of each sequence: of the last
   layer nothing else is computed. */
void encode(const Encoder *encoder, int32_t first, int32_t end, int32_t first_only, float *states,
            int32_t sequences, const int32_t *starts, const int32_t *splits, void *memory) {
    const Size width = (Size)encoder->width;
    int longest = 0;
    for (int i = 0; i < sequences; i++)
        longest = starts[i + 1] - starts[i] > longest ? starts[i + 1] - starts[i] : longest;
    Size used = 0;
    const Room room = divide(encoder, (Size)starts[sequences], (Size)longest, memory, &used);
    for (int number = first; number < end; number++) {
        const Layer *layer = encoder->layers + number;
        int only = first_only && number == end - 1, rows = only ? sequences : starts[sequences];
        mix(encoder, layer, states, sequences, starts, splits, only, &room);
        for (int i = 0; only && i < sequences; i++)
            memmove(states + (Size)i * width, states + (Size)starts[i] * width,
                    (size_t)width * sizeof(float));
        int blocks = parts_of(rows, BLOCK);
        for (int block = 0; block < blocks; block++) {
            int from = start_of(block, blocks, rows), to = start_of(block + 1, blocks, rows);
            finish(encoder, layer, states + (Size)from * width,
                   room.context + (Size)from * width, to - from, &room);
        }
    }
}
