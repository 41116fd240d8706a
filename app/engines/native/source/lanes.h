/* What differs between processors and between compilers: how wide a vector is, and how bytes are
   multiplied.

   All else is written once, with the vector types that GCC and Clang have in common. The file is
   compiled for each kind of processor by itself (build.py), so no function asks what the processor
   can do. */
#ifndef LANES_H
#define LANES_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __aarch64__
#include <arm_neon.h>
#else
#include <immintrin.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* A tile has at most MAX_ROWS rows, and as many columns as VECTORS vectors have. Its sums leave room
   in the registers for what is read. */
#if defined(__AVX512VNNI__)
#define LANES 16
/* 28 registers of 32. */
#define VECTORS 2
#define MAX_ROWS 14
#define EACH_ROWS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) \
    DO(13) DO(14)
#elif defined(__aarch64__)
#define LANES 4
/* 24 registers of 32. With 14 rows and 2 vectors more would be read for each product. */
#define VECTORS 4
#define MAX_ROWS 6
#else
#define LANES 8
/* 12 registers of 16. */
#define VECTORS 2
#define MAX_ROWS 6
#endif
#if MAX_ROWS == 6
#define EACH_ROWS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)
#endif

/* The byte of the number 0. */
#ifdef __aarch64__
#define ZERO 0
#else
#define ZERO 128
#endif

/* Signed, so that no sign is lost on the way from a number. */
typedef ptrdiff_t Size;

/* Numbers in memory may be read as vectors, wherever they are. */
#define IN_MEMORY aligned(1), may_alias
typedef float Floats __attribute__((vector_size(LANES * 4)));
typedef int32_t Ints __attribute__((vector_size(LANES * 4)));
typedef float StoredFloats __attribute__((vector_size(LANES * 4), IN_MEMORY));
typedef int32_t StoredInts __attribute__((vector_size(LANES * 4), IN_MEMORY));
typedef uint8_t StoredBytes __attribute__((vector_size(LANES), IN_MEMORY));

INLINE Floats load(const float *from) { return *(const StoredFloats *)from; }
INLINE Ints load_ints(const void *from) { return *(const StoredInts *)from; }
INLINE void store(float *to, Floats values) { *(StoredFloats *)to = values; }
/* To subtract 0 changes no number, and so costs nothing; to add it would change -0. */
INLINE Floats all(float value) { return value - (Floats){0}; }
INLINE Ints all_ints(int32_t value) { return value - (Ints){0}; }

/* Numbers of a, then of b, by where they are. */
INLINE Floats picked(Floats a, Floats b, Ints from) {
#ifdef __clang__
    Floats out;
    UNROLL for (int i = 0; i < LANES; i++)
        out[i] = from[i] < LANES ? a[from[i]] : b[from[i] - LANES];
    return out;
#else
    return __builtin_shuffle(a, b, from);
#endif
}

/* add_products: to each sum of 32 bits, four products of the bytes that come in with signed ones are
   added. store_bytes: of each number the lowest eight bits. multiply_add: a * b + c, rounded once. No
   compiler may do that by itself (build.py): each would do it in other places, even in two copies of
   one function, and the score of a pair would depend on what is computed with it. */
#ifdef __aarch64__
INLINE Floats multiply_add(Floats a, Floats b, Floats c) { return vfmaq_f32(c, a, b); }
INLINE Floats larger(Floats a, Floats b) { return vmaxq_f32(a, b); }
INLINE Floats smaller(Floats a, Floats b) { return vminq_f32(a, b); }

INLINE Ints add_products(Ints sums, Ints bytes, Ints weights) {
    return vdotq_s32(sums, vreinterpretq_s8_s32(bytes), vreinterpretq_s8_s32(weights));
}

INLINE void store_bytes(uint8_t *to, Ints values) {
    int16x4_t words = vmovn_s32(values);
    int8x8_t bytes = vmovn_s16(vcombine_s16(words, words));
    memcpy(to, &bytes, LANES);
}
#else
#if LANES == 16
INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
    return (Floats)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
}
INLINE Floats larger(Floats a, Floats b) { return (Floats)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE Floats smaller(Floats a, Floats b) { return (Floats)_mm512_min_ps((__m512)a, (__m512)b); }
/* In the same order as below, with narrower vectors: a layer is 7 % faster. */
INLINE float largest(Floats a) { return _mm512_reduce_max_ps((__m512)a); }
INLINE float total(Floats a) { return _mm512_reduce_add_ps((__m512)a); }

INLINE Ints add_products(Ints sums, Ints bytes, Ints weights) {
    return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)bytes, (__m512i)weights);
}
#else
INLINE Floats multiply_add(Floats a, Floats b, Floats c) {
    return (Floats)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
}
INLINE Floats larger(Floats a, Floats b) { return (Floats)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE Floats smaller(Floats a, Floats b) { return (Floats)_mm256_min_ps((__m256)a, (__m256)b); }

#ifdef __AVXVNNI__
INLINE Ints add_products(Ints sums, Ints bytes, Ints weights) {
    return (Ints)_mm256_dpbusd_avx_epi32((__m256i)sums, (__m256i)bytes, (__m256i)weights);
}
#else
/* Two neighbours are added in 16 bits: the weights must be so small that their sum fits. */
INLINE Ints add_products(Ints sums, Ints bytes, Ints weights) {
    __m256i pairs = _mm256_maddubs_epi16((__m256i)bytes, (__m256i)weights);
    return sums + (Ints)_mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}
#endif
#endif

INLINE void store_bytes(uint8_t *to, Ints values) {
    *(StoredBytes *)to = __builtin_convertvector(values, StoredBytes);
}
#endif

#if LANES < 16
/* Each number exchanged with the one at this distance, a power of 2. */
INLINE Floats exchanged(Floats a, int distance) {
    Ints from;
    UNROLL for (int i = 0; i < LANES; i++) from[i] = i ^ distance;
    return picked(a, a, from);
}
INLINE float largest(Floats a) {
    UNROLL for (int distance = LANES / 2; distance; distance /= 2)
        a = larger(a, exchanged(a, distance));
    return a[0];
}
INLINE float total(Floats a) {
    UNROLL for (int distance = LANES / 2; distance; distance /= 2) a += exchanged(a, distance);
    return a[0];
}
#endif
#endif
