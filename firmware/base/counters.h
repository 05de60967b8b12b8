/* base/counters.h - what the process has counted since it started
 *
 * Layer: base.
 * Concept: one list (counters.def) makes the enum, the names and the array. A counter only grows.
 */
#ifndef PST_BASE_COUNTERS_H
#define PST_BASE_COUNTERS_H

#include "base/base.h"

enum pst_counter {
#define PST_COUNTER(name, description) PST_COUNTER_##name,
#include "base/counters.def"
#undef PST_COUNTER
	PST_COUNTER_COUNT
};

struct pst_counters {
	uint64_t value[PST_COUNTER_COUNT];
};

static inline void pst_count(struct pst_counters *counters, enum pst_counter which)
{
	counters->value[which]++;
}

const char *pst_counter_name(enum pst_counter which);
const char *pst_counter_description(enum pst_counter which);

#endif
