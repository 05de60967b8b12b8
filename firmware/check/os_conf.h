/* check/os_conf.h - what the first segments of operating systems look like, as signature files have it
 *
 * Layer: check. Uses: facts, base.
 * Memory: spans and the array belong to the configuration generation.
 */
#ifndef PST_CHECK_OS_CONF_H
#define PST_CHECK_OS_CONF_H

#include "facts/facts.h"

#define PST_OS_SIGNATURES_MAX 256
#define PST_OS_LABEL_MAX 60
#define PST_OS_WORDS_MAX 8

enum pst_os_window {
	PST_OS_WINDOW_ANY,
	PST_OS_WINDOW_RANGE, /* low to high bytes */
	PST_OS_WINDOW_MSS,   /* low to high times the segment's own MSS */
	PST_OS_WINDOW_STEP,  /* a multiple of low */
};

struct pst_os_signature {
	struct pst_span label; /* for people */
	uint64_t layout;       /* see struct pst_net_syn */
	uint16_t window_low, window_high;
	uint16_t mss;          /* 0: none */
	uint16_t quirks, quirks_not; /* enum pst_syn_quirk: must be there, must not */
	uint8_t system;        /* enum pst_system */
	uint8_t ttl;           /* as it is sent */
	uint8_t window;        /* enum pst_os_window */
	uint8_t scale_low, scale_high;
	bool any_mss, any_layout;
};

struct pst_os_conf {
	const struct pst_os_signature *signatures; /* the first that matches counts */
	uint32_t signature_count;                  /* 0: nobody is looked at */
};

/* What is wrong with a line of a signature file. */
struct pst_os_fault {
	uint32_t word;    /* counted from 0; may be the one behind the last */
	const char *text; /* and what would be right */
};

/* FAMILY LABEL TTL WINDOW SCALE MSS OPTIONS [QUIRKS], as rules/os.sig explains it.
 *  in  words: at most PST_OS_WORDS_MAX are looked at
 *  out signature: its label borrows words[1]
 *  ret 0 | -PST_E_SYNTAX: *fault says why */
int pst_os_signature_parse(const struct pst_span *words, uint32_t word_count,
			   struct pst_os_signature *signature,
			   struct pst_os_fault *fault) PST_MUST_CHECK;

#endif
