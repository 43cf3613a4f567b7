/* Scores of sorted sets as text: what Redis 8.0 reads as a number where, and how it writes one.
 *
 * Redis reads floating point numbers in two ways, which differ at the edges; both are here because an error
 * text hangs on them. Nothing in here keeps state. */
#ifndef WEFT_SIM_MODEL_SCORE_H
#define WEFT_SIM_MODEL_SCORE_H

#include <stdbool.h>
#include <stddef.h>

#define MODEL_SCORE_TEXT_MAX 40

/* A score, increment or weight: the whole text, no leading space; hexadecimal is read; infinities are, NaN
 * is not; what overflows or vanishes to zero is refused. */
bool model_score_parse(const char *text, size_t len, double *out);

/* A bound of a range, or an element to SORT by: up to the first NUL; no leading space, no hexadecimal; the
 * empty text is 0; what overflows is infinite; NaN is refused. */
bool model_bound_parse(const char *text, size_t len, double *out);

/* The text Redis sends for it; returns its length. */
size_t model_score_format(double score, char out[MODEL_SCORE_TEXT_MAX]);

/* Is the text one that Redis could send for this score? More than one may be: a few numbers come out with 17
 * digits where fewer would do, and whether zero keeps its sign depends on the encoding's past. */
bool model_score_text_fits(const char *text, size_t len, double score);

#endif
