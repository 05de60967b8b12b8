/* check/spf_conf.h - what SPF results are worth, and how far a record may go
 *
 * Layer: check. Uses: base.
 */
#ifndef PST_CHECK_SPF_CONF_H
#define PST_CHECK_SPF_CONF_H

#include "base/score.h"

enum pst_spf_result {
	PST_SPF_NONE, /* no record, or no domain to ask about */
	PST_SPF_NEUTRAL,
	PST_SPF_PASS,
	PST_SPF_FAIL,
	PST_SPF_SOFTFAIL,
	PST_SPF_TEMPERROR,
	PST_SPF_PERMERROR,
	PST_SPF_RESULT_COUNT
};

struct pst_spf_conf {
	bool off;
	pst_score scores[PST_SPF_RESULT_COUNT];
	bool trouble_defers;      /* temperror: 451 instead of a label */
	uint32_t lookup_count_max; /* RFC 7208 section 4.6.4: 10 */
	uint32_t void_count_max;   /* 2 */
};

#endif
