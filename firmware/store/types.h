/* store/types.h - what a store keeps, for those who think about it and never ask
 *
 * Layer: store. Uses: base.
 */
#ifndef PST_STORE_TYPES_H
#define PST_STORE_TYPES_H

#include "base/base.h"

/* What kinds of things are kept. Numbers, not places: a file may be older than the program. */
enum pst_store_kind {
	PST_STORE_GREYLIST = 1, /* a sender's network or domain */
	PST_STORE_PATIENT = 2,  /* a client network that waited for the greeting */
	PST_STORE_DELIVERED = 3, /* one whose mail was taken */
	PST_STORE_OFFERS = 4,   /* what an internal server offers behind EHLO */
};

struct pst_store_entry {
	uint64_t value;
	uint32_t age_s;  /* since its put */
	uint32_t left_s; /* until it ends, at least 1 */
};

#endif
