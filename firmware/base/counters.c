/* base/counters.c - the names of the counters */
#include "base/counters.h"

const char *pst_counter_name(enum pst_counter which)
{
	static const char *const name[PST_COUNTER_COUNT] = {
#define PST_COUNTER(name, description) #name,
#include "base/counters.def"
#undef PST_COUNTER
	};

	PST_BUG_ON(which >= PST_COUNTER_COUNT);
	return name[which];
}

const char *pst_counter_description(enum pst_counter which)
{
	static const char *const description[PST_COUNTER_COUNT] = {
#define PST_COUNTER(name, description) description,
#include "base/counters.def"
#undef PST_COUNTER
	};

	PST_BUG_ON(which >= PST_COUNTER_COUNT);
	return description[which];
}
