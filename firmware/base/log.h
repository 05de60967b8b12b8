/* base/log.h - log events: one line of key=value pairs, into a bounded ring
 *
 * Layer: base.
 * Concept: an event is built field by field into one line and lands whole in the ring; the loop's
 * end of turn hands the ring to a sink (stderr, a file, the syslog socket) that takes what it can
 * without blocking. A dead reader costs lines, which are counted (`lost_count`), never mail.
 * Values are quoted when they are not plain; peer bytes are escaped and cut (pst_log_peer).
 * Quoted or not, the byte values that need it are written \xHH, the quote and the backslash too, so
 * that a reader splits at spaces outside quotes, strips the quotes and undoes \xHH.
 * Memory: the ring's area belongs to the caller; a line is at most PST_LOG_LINE_MAX bytes. A field
 * that no longer fits is left out, and the line ends in cut=1.
 * Re-entry: one event at a time, from begin to end.
 */
#ifndef PST_BASE_LOG_H
#define PST_BASE_LOG_H

#include "base/addr.h"

#define PST_LOG_LINE_MAX 2048
#define PST_LOG_PEER_MAX 100 /* peer bytes shown of one value */
#define PST_LOG_VALUE_MAX 1024 /* bytes shown of one value of ours: a list must not cost the rest */

enum pst_log_level {
	PST_LOG_ERROR,   /* something of ours is broken: the owner must act */
	PST_LOG_WARNING, /* something looks wrong, mail goes on */
	PST_LOG_INFO,    /* transactions, start, reload, stop */
	PST_LOG_DEBUG,
};

struct pst_log {
	struct pst_buf ring;  /* whole lines, each ended by \n */
	struct pst_buf line;  /* the event under construction */
	uint8_t line_area[PST_LOG_LINE_MAX];
	uint8_t level_max;    /* events above are not built */
	uint8_t level;        /* of the event under construction */
	bool open;            /* between begin and end, and wanted */
	bool cut;             /* a field did not fit into the line */
	uint64_t wall_ms;     /* set once a turn by the composition root */
	uint64_t lost_count;
	uint64_t stamp_s;     /* the second that `stamp` shows */
	uint8_t stamp[19];    /* "2026-11-21T21:00:00": made anew once a second, not once a line */
	uint8_t stamp_len;
};

void pst_log_init(struct pst_log *log, void *area, uint32_t size);

/* Begin an event: time stamp (RFC 3339, UTC, milliseconds), level unless info, ev=NAME. */
void pst_log_begin(struct pst_log *log, enum pst_log_level level, const char *event);
void pst_log_text(struct pst_log *log, const char *key, const char *value);
void pst_log_u64(struct pst_log *log, const char *key, uint64_t value);
void pst_log_addr(struct pst_log *log, const char *key, const struct pst_addr *value);
/* With its port. */
void pst_log_endpoint(struct pst_log *log, const char *key, const struct pst_addr *value);
/* Our own bytes (quoted where needed), at most PST_LOG_VALUE_MAX of them; more end in "...". */
void pst_log_span(struct pst_log *log, const char *key, struct pst_span value);
/* A peer's bytes: escaped, quoted where needed, at most PST_LOG_PEER_MAX of them. */
void pst_log_peer(struct pst_log *log, const char *key, struct pst_span value);
void pst_log_end(struct pst_log *log);

/* A whole event of one message: begin, msg="...", end. The message is ours, not a peer's. */
void pst_log_message(struct pst_log *log, enum pst_log_level level, const char *event,
		     const char *format, ...) PST_PRINTF(4, 5);

#endif
