/* store/store_conf.h - where state is kept, as the owner has it
 *
 * Layer: store. Uses: base.
 * Memory: the span belongs to the configuration generation.
 */
#ifndef PST_STORE_STORE_CONF_H
#define PST_STORE_STORE_CONF_H

#include "base/span.h"

#define PST_STORE_PATH_MAX 240

struct pst_store_conf {
	struct pst_span path; /* a NUL stands behind it; empty: in memory only */
	uint64_t bytes;       /* of the table */
	uint32_t every_ms;    /* between two writings of the file, while anything changes */
	bool trouble_refuses; /* an unreadable file keeps the program from starting */
};

#endif
