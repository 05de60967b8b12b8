/* base/score.h - scores: fixed point, in thousandths
 *
 * Layer: base.
 * Concept: many boards have no floating point unit; a score is a whole number of thousandths, and
 * sums are cut to the range instead of wrapping.
 */
#ifndef PST_BASE_SCORE_H
#define PST_BASE_SCORE_H

#include "base/buf.h"

typedef int32_t pst_score;

#define PST_SCORE(points) ((pst_score)((points) * 1000))
#define PST_SCORE_MAX 9999999
#define PST_SCORE_MIN (-9999999)
#define PST_SCORE_NEVER (PST_SCORE_MAX + 1) /* a line that no sum reaches */

static inline pst_score pst_score_add(pst_score a, pst_score b)
{
	int64_t sum = (int64_t)a + b;

	return (pst_score)PST_MAX(PST_MIN(sum, PST_SCORE_MAX), PST_SCORE_MIN);
}

/* "5", "-1.5", "+0.001": digits beyond the third behind the point are rounded half away from zero.
 *  ret 0 | -PST_E_SYNTAX | -PST_E_RANGE */
int pst_score_parse(struct pst_span text, pst_score *out) PST_MUST_CHECK;

/* The shortest form with at least `digits_min` (0 to 3) behind the point: 5, 1.5, 0.001 with 0; 5.0
 * with 1. */
int pst_score_put(struct pst_buf *out, pst_score score, uint32_t digits_min) PST_MUST_CHECK;
/* Rounded to `digits` behind the point, half away from zero, as SpamAssassin prints: "5.0". */
int pst_score_put_rounded(struct pst_buf *out, pst_score score, uint32_t digits) PST_MUST_CHECK;

#endif
