/* proxy/history.h - the last verdicts, and how many of each kind by minute and by hour
 *
 * Layer: proxy. Uses: base.
 * Concept: what an owner looks at first: what became of the last messages and why, and whether today is
 * like yesterday. Fixed arrays; nothing is ever allocated, and what is older is overwritten.
 * Memory: the structure itself, some 17 KiB.
 */
#ifndef PST_PROXY_HISTORY_H
#define PST_PROXY_HISTORY_H

#include "base/addr.h"
#include "base/score.h"

#define PST_HISTORY_RECORDS 50
#define PST_HISTORY_MINUTES 60
#define PST_HISTORY_HOURS 24
#define PST_HISTORY_TEXT 64

enum pst_history_kind {
	PST_HISTORY_ACCEPTED,
	PST_HISTORY_TAGGED,
	PST_HISTORY_DEFERRED,
	PST_HISTORY_REFUSED,
	PST_HISTORY_KINDS
};

/* Peer bytes, cut. */
struct pst_history_text {
	uint8_t len;
	uint8_t at[PST_HISTORY_TEXT];
};

struct pst_history_record {
	uint64_t wall_ms;
	uint8_t id[24];
	struct pst_addr client;
	struct pst_history_text from, to, hits;
	const char *verdict, *reason, *outcome; /* of the program's life */
	pst_score score;
	uint16_t code; /* the client's last one; 0: none */
	uint8_t kind;  /* enum pst_history_kind */
};

struct pst_history {
	struct pst_history_record records[PST_HISTORY_RECORDS]; /* a ring */
	uint32_t record_count, record_next;
	uint32_t minutes[PST_HISTORY_MINUTES][PST_HISTORY_KINDS]; /* rings, by the loop's clock */
	uint32_t hours[PST_HISTORY_HOURS][PST_HISTORY_KINDS];
	uint64_t minute, hour; /* the last ones that are in them */
};

/* A copy, cut where it is too long. */
void pst_history_text_set(struct pst_history_text *text, struct pst_span from);
/* Add a record; `now_ms` is the loop's. */
void pst_history_add(struct pst_history *history, uint64_t now_ms,
		     const struct pst_history_record *record);
/* The record that is `back` before the last one.
 *  ret NULL: there are not so many */
const struct pst_history_record *pst_history_record(const struct pst_history *history,
						    uint32_t back);
/* How many of a kind in the minute (hour) that is `back` before this one. */
uint32_t pst_history_minute(const struct pst_history *history, uint64_t now_ms, uint32_t back,
			    enum pst_history_kind kind);
uint32_t pst_history_hour(const struct pst_history *history, uint64_t now_ms, uint32_t back,
			  enum pst_history_kind kind);

const char *pst_history_kind_name(enum pst_history_kind kind);

#endif
