/* What differs between processors: how wide a vector is, and how bytes are multiplied.

   All else is written once, with the vector types of GCC and Clang. The file is compiled for each
   kind of processor by itself (build.py), so no function asks what the processor can do. */
#ifndef LANES_H
#define LANES_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

#if defined(__AVX512VNNI__)
#define LANES 16
/* Sums of 14 rows and 2 vectors are 28 registers of 32: as many as leave room for what is read. */
#define MAX_ROWS 14
#define EACH_ROWS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6) DO(7) DO(8) DO(9) DO(10) DO(11) DO(12) \
    DO(13) DO(14)
#else
#define LANES 8
/* 12 registers of 16. */
#define MAX_ROWS 6
#define EACH_ROWS(DO) DO(1) DO(2) DO(3) DO(4) DO(5) DO(6)
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

#if LANES == 16
INLINE Floats larger(Floats a, Floats b) { return (Floats)_mm512_max_ps((__m512)a, (__m512)b); }
INLINE Floats smaller(Floats a, Floats b) { return (Floats)_mm512_min_ps((__m512)a, (__m512)b); }
INLINE float largest(Floats a) { return _mm512_reduce_max_ps((__m512)a); }
INLINE float total(Floats a) { return _mm512_reduce_add_ps((__m512)a); }

/* To each sum of 32 bits, four products of unsigned bytes with signed ones are added. */
INLINE Ints add_products(Ints sums, Ints bytes, Ints weights) {
    return (Ints)_mm512_dpbusd_epi32((__m512i)sums, (__m512i)bytes, (__m512i)weights);
}
#else
INLINE Floats larger(Floats a, Floats b) { return (Floats)_mm256_max_ps((__m256)a, (__m256)b); }
INLINE Floats smaller(Floats a, Floats b) { return (Floats)_mm256_min_ps((__m256)a, (__m256)b); }

INLINE Floats halves_exchanged(Floats a) {
    return __builtin_shuffle(a, (Ints){4, 5, 6, 7, 0, 1, 2, 3});
}
INLINE Floats pairs_exchanged(Floats a) {
    return __builtin_shuffle(a, (Ints){2, 3, 0, 1, 6, 7, 4, 5});
}
INLINE Floats neighbours_exchanged(Floats a) {
    return __builtin_shuffle(a, (Ints){1, 0, 3, 2, 5, 4, 7, 6});
}
INLINE float largest(Floats a) {
    a = larger(a, halves_exchanged(a));
    a = larger(a, pairs_exchanged(a));
    return larger(a, neighbours_exchanged(a))[0];
}
INLINE float total(Floats a) {
    a += halves_exchanged(a);
    a += pairs_exchanged(a);
    return (a + neighbours_exchanged(a))[0];
}

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
#endif
