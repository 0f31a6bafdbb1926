/// Marks functions whose loops are worth compiling for wider vectors, chosen at run time.
#pragma once

/// Such a function is compiled for AVX-512, AVX2 and the baseline. All give the same bits: the
/// order of operations is written in the source, and nothing is fused (-ffp-contract=off).
/// Sanitizers start before the run-time choice can be made, so they get the baseline.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define NUMPYGEONS_VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define NUMPYGEONS_VECTORISED
#endif
