/* check/rate.h - how much mail a name has sent lately, and whether that is enough
 *
 * Layer: check (pure). Uses: base/hash.h.
 * Concept: so many per period, and as many at once: of each name only the time is kept at which its account
 * will be level again (the generic cell rate algorithm). One that is level already needs no place, so nothing is
 * swept, and where a set is full the name that has sent least makes way. A name that is refused is not charged:
 * who waits long enough always gets through.
 * Loss-tolerant: what makes way, and everything at a restart, begins anew with a level account.
 * Memory: embedded in its owner, 32 KiB.
 */
#ifndef PST_CHECK_RATE_H
#define PST_CHECK_RATE_H

#include "base/hash.h"

#define PST_RATE_SETS 512
#define PST_RATE_WAYS 4

struct pst_rate_limit {
	uint32_t count_max; /* in a period; 0: no limit */
	uint32_t period_ms;
};

struct pst_rate_entry {
	uint64_t key;
	uint64_t level_us; /* when the account is level; past: the place is free */
};

struct pst_rate {
	struct pst_hash_key key;
	struct pst_rate_entry entries[PST_RATE_SETS][PST_RATE_WAYS];
};

void pst_rate_init(struct pst_rate *rate, struct pst_hash_key key);
/* What kind of thing it is and its name, as a key. */
uint64_t pst_rate_key(const struct pst_rate *rate, uint8_t kind, struct pst_span name);
/* May this name have one more now? Nothing is charged. */
bool pst_rate_allows(const struct pst_rate *rate, const struct pst_rate_limit *limit, uint64_t key,
		     uint64_t now_ms);
void pst_rate_charge(struct pst_rate *rate, const struct pst_rate_limit *limit, uint64_t key,
		     uint64_t now_ms);

#endif
