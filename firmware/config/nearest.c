#include "config/nearest.h"

void pst_nearest_init(struct pst_nearest *nearest, struct pst_span word)
{
	*nearest = (struct pst_nearest){.word = word, .best_distance = UINT32_MAX};
}

/* Optimal string alignment; three rows of the table are all that the recurrence looks at. */
static uint32_t distance(struct pst_span a, struct pst_span b)
{
	uint32_t rows[3][PST_NEAREST_WORD_MAX + 1];
	uint32_t *older = rows[0], *old = rows[1], *now = rows[2];

	for (uint32_t j = 0; j <= b.len; j++)
		old[j] = j;
	for (uint32_t i = 1; i <= a.len; i++) {
		uint32_t *spare = older;

		now[0] = i;
		for (uint32_t j = 1; j <= b.len; j++) {
			uint8_t ca = pst_lower(a.at[i - 1]), cb = pst_lower(b.at[j - 1]);
			uint32_t best = old[j - 1] + (ca != cb);

			best = PST_MIN(best, old[j] + 1);
			best = PST_MIN(best, now[j - 1] + 1);
			if (i > 1 && j > 1 && ca == pst_lower(b.at[j - 2]) &&
			    pst_lower(a.at[i - 2]) == cb)
				best = PST_MIN(best, older[j - 2] + 1);
			now[j] = best;
		}
		older = old;
		old = now;
		now = spare;
	}
	return old[b.len];
}

void pst_nearest_offer(struct pst_nearest *nearest, const char *known)
{
	struct pst_span word = nearest->word, candidate = pst_span_text(known);
	uint32_t d, allowed;

	if (word.len == 0 || word.len > PST_NEAREST_WORD_MAX ||
	    candidate.len > PST_NEAREST_WORD_MAX)
		return;
	allowed = PST_MAX(1u, PST_MAX(word.len, candidate.len) / 3);
	d = distance(word, candidate);
	/* A word that shares no letter is not near, however short both are. */
	if (d <= allowed && d < PST_MAX(word.len, candidate.len) && d < nearest->best_distance) {
		nearest->best = known;
		nearest->best_distance = d;
	}
}
