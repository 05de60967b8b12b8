/* app/outlet.h - where log lines go: stderr, a file, the syslog socket
 *
 * Layer: app. Uses: config (the kinds), loop, base.
 * Concept: at the end of a turn the ring of the log is handed to the system as far as it takes it
 * at once. What it does not take waits in the ring; when that is full new lines are lost and
 * counted by the log, and as soon as the outlet has caught up, one line tells how many. Nothing
 * here waits, whatever the reader does. syslog(3) is not used, because it may block.
 * Memory: the structure itself; the ring belongs to the log.
 */
#ifndef PST_APP_OUTLET_H
#define PST_APP_OUTLET_H

#include "base/log.h"
#include "config/config.h"
#include "loop/loop_epoll.h"

#define PST_OUTLET_PATH_MAX 255
#define PST_OUTLET_TIMERS_MAX 1
/* How long pst_outlet_close lets a slow reader take the last lines. */
#define PST_OUTLET_CLOSE_MS 200

/* How the descriptor is written to. */
enum pst_outlet_way {
	PST_OUTLET_NONE,
	PST_OUTLET_WRITE,    /* a file, or a pipe or terminal opened anew, non-blocking */
	PST_OUTLET_ASK,      /* somebody else's pipe: ask before each write */
	PST_OUTLET_SEND,     /* a stream socket */
	PST_OUTLET_DATAGRAM, /* syslog: one line, one datagram */
};

struct pst_outlet {
	struct pst_log *log;
	struct pst_loop *loop;
	struct pst_epoll *epoll; /* NULL: a full pipe is tried again by time alone */
	struct pst_turn_hook hook;
	struct pst_timer retry;
	struct pst_watch watch;
	enum pst_config_log kind;
	enum pst_outlet_way way;
	uint8_t path[PST_OUTLET_PATH_MAX + 1];
	bool owned;    /* the descriptor is ours to close */
	bool watched;
	bool blocked;  /* until the watch or the timer says so */
	bool mid_line; /* the ring begins within a line */
	uint64_t told_lost_count;
};

/* Make an outlet that goes to stderr until pst_outlet_open says otherwise. */
void pst_outlet_init(struct pst_outlet *outlet, struct pst_log *log, struct pst_loop *loop,
		     struct pst_epoll *epoll);
/* Add it to the loop's hooks. It should be the last, to see what the others have logged. */
void pst_outlet_start(struct pst_outlet *outlet);

/* Change to another place; what is in the ring goes there.
 *  in  path: of a file or socket, with a NUL behind it
 *  ret 0 | -PST_E_*: nothing has changed. A syslog socket that is not there is no error: it is
 *      tried again every second. */
int pst_outlet_open(struct pst_outlet *outlet, enum pst_config_log kind, struct pst_span path)
	PST_MUST_CHECK;

/* Hand over what the system takes now. */
void pst_outlet_flush(struct pst_outlet *outlet);
/* Hand over the last lines, waiting a little for a slow reader, and let go. */
void pst_outlet_close(struct pst_outlet *outlet);

#endif
