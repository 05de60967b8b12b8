/* facts/hits.h - what fired: a check's finding or a rule's hit, with its score and its evidence
 *
 * Layer: facts (pure). Uses: base.
 * Concept: a transaction's hits are one list, in the order in which they were found. The sum is kept
 * beside it, so that it need not be derived twice. A hit that does not count (a dry run, or a fact
 * that a loaded rule scores already) stays in the list for the record and adds nothing.
 * Memory: hits and their spans belong to whoever keeps the list.
 */
#ifndef PST_FACTS_HITS_H
#define PST_FACTS_HITS_H

#include "base/score.h"

enum pst_hit_flag {
	PST_HIT_REJECTS = 1 << 0, /* decides alone: the owner said `reject` */
	PST_HIT_DRY = 1 << 1,     /* a dry run: recorded only */
	PST_HIT_SCORED = 1 << 2,  /* a loaded rule scores the same fact */
	PST_HIT_RULE = 1 << 3,    /* of the rule engine, not of a check */
};

struct pst_hit {
	struct pst_hit *next;
	struct pst_span name;     /* "SPF_FAIL" */
	struct pst_span evidence; /* what was asked and answered, for the record; may be empty */
	pst_score score;
	uint8_t flags; /* enum pst_hit_flag */
};

struct pst_hits {
	struct pst_hit *first, *last;
	const struct pst_hit *reject; /* the first one that decides alone; NULL: none */
	uint32_t count;
	pst_score score; /* of those that count */
};

/* Append a hit; it is the list's from here on. */
static inline void pst_hits_add(struct pst_hits *hits, struct pst_hit *hit)
{
	hit->next = NULL;
	if (hits->last)
		hits->last->next = hit;
	else
		hits->first = hit;
	hits->last = hit;
	hits->count++;
	if (hit->flags & PST_HIT_DRY)
		return;
	if ((hit->flags & PST_HIT_REJECTS) && !hits->reject)
		hits->reject = hit;
	if (!(hit->flags & PST_HIT_SCORED))
		hits->score = pst_score_add(hits->score, hit->score);
}

#endif
