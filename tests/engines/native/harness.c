/* The library without Python: for processors that only an emulator has, and for sanitizers.

       harness ARRAYS RESULTS

   Each array of the file follows its size in bytes, and gets memory of its own, so that a sanitizer
   sees what is read beyond its end. harness.py writes them. */
#include <stdio.h>
#include <stdlib.h>

#include "encoder.c"

static FILE *arrays, *results;

static void *memory_of(Size size) {
    void *memory = size ? malloc((size_t)size) : NULL;
    if (size && !memory) exit(3);
    return memory;
}

static void *next(void) {
    int64_t size;
    if (fread(&size, sizeof size, 1, arrays) != 1) exit(4);
    void *array = memory_of((Size)size);
    if (size && fread(array, (size_t)size, 1, arrays) != 1) exit(5);
    return array;
}

static void write_floats(const float *numbers, Size count) {
    if (fwrite(numbers, sizeof *numbers, (size_t)count, results) != (size_t)count) exit(6);
}

static Matrix next_matrix(int32_t inputs, int32_t outputs) {
    Matrix matrix = {.inputs = inputs, .outputs = outputs};
    matrix.weights = next();
    matrix.start = next();
    matrix.scale = next();
    matrix.bias = next();
    return matrix;
}

static Layer next_layer(int32_t width, int32_t inner) {
    Layer layer;
    layer.attention = next_matrix(width, 3 * width);
    layer.mixed = next_matrix(width, width);
    layer.up = next_matrix(width, inner);
    layer.down = next_matrix(inner, width);
    layer.mixed_scale = next();
    layer.mixed_shift = next();
    layer.down_scale = next();
    layer.down_shift = next();
    layer.gates = next();
    return layer;
}

static void run_encode(void) {
    const int32_t *sizes = next();
    const float *epsilon = next();
    const int32_t count = sizes[3], first_only = sizes[4], sequences = sizes[5];
    Layer *layers = memory_of(count * (Size)sizeof *layers);
    for (int i = 0; i < count; i++) layers[i] = next_layer(sizes[0], sizes[2]);
    const Encoder encoder = {sizes[0], sizes[1], sizes[2], *epsilon, layers};
    const int32_t *starts = next(), *splits = next();
    float *states = next();
    const Size width = encoder.width, tokens = starts[sequences], only = starts[1];
    int32_t longest = 0;
    for (int i = 0; i < sequences; i++)
        longest = starts[i + 1] - starts[i] > longest ? starts[i + 1] - starts[i] : longest;
    void *memory = memory_of(room_size(&encoder, (int32_t)tokens, longest));
    /* Memory is divided anew at each call: before it is divided for the first sequence alone. */
    float *alone = memory_of(only * width * (Size)sizeof *alone);
    memcpy(alone, states, (size_t)(only * width) * sizeof *alone);
    encode(&encoder, 0, count, 0, alone, 1, starts, splits, memory);
    encode(&encoder, 0, count, first_only, states, sequences, starts, splits, memory);
    write_floats(states, tokens * width);
}

static void run_multiply(void) {
    const int32_t *sizes = next();
    const float *a = next(), *b = next();
    float *out = memory_of((Size)sizes[0] * sizes[2] * (Size)sizeof *out);
    multiply(a, sizes[0], sizes[1], b, sizes[2], out);
    write_floats(out, (Size)sizes[0] * sizes[2]);
}

static void run_normalize(void) {
    const int32_t *sizes = next();
    const float *epsilon = next();
    float *states = next();
    const float *added = next(), *scale = next(), *shift = next();
    normalize(states, added, sizes[0], sizes[1], scale, shift, *epsilon);
    write_floats(states, (Size)sizes[0] * sizes[1]);
}

int main(int count, char **names) {
    if (count != 3) return 2;
    arrays = fopen(names[1], "rb");
    results = fopen(names[2], "wb");
    if (!arrays || !results) return 2;
    run_encode();
    run_multiply();
    run_normalize();
    return fclose(results) ? 6 : 0;
}
