/* config/nearest.h - the known word that an unknown one was probably meant to be
 *
 * Layer: config. Uses: base.
 * Concept: offer every known word, then look at `best`. The distance counts letters left out, put
 * in, changed, and neighbours swapped; a third of the longer word may differ.
 * Memory: none; the words are borrowed.
 */
#ifndef PST_CONFIG_NEAREST_H
#define PST_CONFIG_NEAREST_H

#include "base/span.h"

#define PST_NEAREST_WORD_MAX 24 /* longer words are not compared */

struct pst_nearest {
	struct pst_span word;
	const char *best; /* NULL: nothing is near */
	uint32_t best_distance;
};

void pst_nearest_init(struct pst_nearest *nearest, struct pst_span word);
void pst_nearest_offer(struct pst_nearest *nearest, const char *known);

#endif
