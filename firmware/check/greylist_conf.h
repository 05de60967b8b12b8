/* check/greylist_conf.h - who is asked to come again, as the owner has it
 *
 * Layer: check. Uses: base.
 */
#ifndef PST_CHECK_GREYLIST_CONF_H
#define PST_CHECK_GREYLIST_CONF_H

#include "base/score.h"

struct pst_greylist_conf {
	bool on;
	pst_score from;     /* of the score that client and sender have earned; up to the tag line */
	uint32_t delay_ms;  /* a retry before does not count */
	uint32_t window_ms; /* one behind it neither */
	uint32_t pass_ms;   /* who came again is known for so long, anew at each visit */
};

#endif
