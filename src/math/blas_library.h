/* OpenBLAS' functions, found when its library is loaded: for math/ alone. */
#ifndef LB_MATH_BLAS_LIBRARY_H
#define LB_MATH_BLAS_LIBRARY_H

#include <cblas.h>
#include <stddef.h>

#include "base/status.h"

typedef struct lb_blas_library {
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(cblas_dgemm) *dgemm;
    __typeof__(cblas_ssyrk) *ssyrk;
    __typeof__(cblas_dsyrk) *dsyrk;
    __typeof__(cblas_dtrsm) *dtrsm;
    __typeof__(cblas_dtrmm) *dtrmm;
    /* LAPACK, column-major. Behind the arguments come the lengths of the texts, as Fortran passes them. */
    void (*dpotrf)(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t uplo_length);
    void (*dtrtri)(const char *uplo, const char *diag, const int *n, double *a, const int *lda, int *info,
                   size_t uplo_length, size_t diag_length);
    void (*dsyevr)(const char *jobz, const char *range, const char *uplo, const int *n, double *a, const int *lda,
                   const double *vl, const double *vu, const int *il, const int *iu, const double *abstol, int *m,
                   double *w, double *z, const int *ldz, int *isuppz, double *work, const int *lwork, int *iwork,
                   const int *liwork, int *info, size_t jobz_length, size_t range_length, size_t uplo_length);
    __typeof__(openblas_set_num_threads) *set_num_threads;
    __typeof__(openblas_get_num_threads) *get_num_threads;
    __typeof__(openblas_get_parallel) *get_parallel;
    __typeof__(openblas_get_config) *get_config;
    __typeof__(openblas_get_corename) *get_corename;
    /* Its own, which a build may keep to itself: NULL. */
    void (*choose_core)(void), (*forget_core)(void);
    void *(*get_buffer)(int unused);
    void (*free_buffer)(void *p);
} lb_blas_library;

extern lb_blas_library lb_blas; /* after lb_blas_init */

/* Loads it, with one thread. */
LB_NODISCARD lb_status lb_blas_load(void);

#endif
