/* admin/control.h - a local socket to ask the running program how it is
 *
 * Layer: admin. Uses: loop/loop_epoll.h, base. Linux.
 * Concept: whoever may open the socket's file sends one line, gets one answer and is hung up on. A
 * few at a time; who does not read loses the connection after some seconds. Nothing here ever
 * waits, and nothing that is asked changes anything.
 * Memory: for each connection that is being answered PST_CONTROL_ANSWER_MAX, from the given mem.
 */
#ifndef PST_ADMIN_CONTROL_H
#define PST_ADMIN_CONTROL_H

#include "base/buf.h"
#include "loop/loop_epoll.h"

#define PST_CONTROL_PATH_MAX 107 /* of a Unix socket's address */
#define PST_CONTROL_CONNS_MAX 4
#define PST_CONTROL_LINE_MAX 64
#define PST_CONTROL_ANSWER_MAX (96 * 1024)
#define PST_CONTROL_MS 5000
#define PST_CONTROL_TIMERS_MAX PST_CONTROL_CONNS_MAX

struct pst_control;

struct pst_control_conn {
	struct pst_control *control;
	struct pst_watch watch;
	struct pst_timer timer;
	uint8_t line[PST_CONTROL_LINE_MAX];
	uint32_t line_len;
	uint8_t *area; /* of the answer; NULL: not asked yet */
	struct pst_buf answer;
	bool open;
};

struct pst_control {
	struct pst_loop *loop;
	struct pst_epoll *epoll;
	struct pst_mem *mem;
	/* Write the answer to a line (without its end).
	 *  ret false: the question is not understood */
	bool (*answer)(struct pst_control *control, struct pst_span line, struct pst_buf *out);
	struct pst_watch watch;
	struct pst_control_conn conns[PST_CONTROL_CONNS_MAX];
	bool open;
};

uint64_t pst_control_bound(void);
/* An old socket of this name is removed, unless somebody listens on it.
 *  in  path: a NUL stands behind it
 *      answer: see there
 *  ret 0 | -PST_E_RANGE: the path is too long | -PST_E_BUSY | -PST_E_ACCESS | -PST_E_NOENT
 *      | -PST_E_IO */
int pst_control_open(struct pst_control *control, struct pst_loop *loop, struct pst_epoll *epoll,
		     struct pst_mem *mem, struct pst_span path,
		     bool (*answer)(struct pst_control *control, struct pst_span line,
				    struct pst_buf *out)) PST_MUST_CHECK;
/* Harmless when it is not open. The file stays: whoever has given up the right to make it cannot take
 * it away, and the next start does. */
void pst_control_close(struct pst_control *control);

/* Ask a running program, waiting at most PST_CONTROL_MS for each piece of the answer; for commands,
 * never inside of the loop.
 *  in  path: a NUL stands behind it
 *      write: gets the answer piece by piece
 *  ret 0 | -PST_E_REFUSED, -PST_E_NOENT: nobody is there | -PST_E_ACCESS | -PST_E_TIMEOUT | -PST_E_IO */
int pst_control_ask(struct pst_span path, const char *line, void (*write)(struct pst_span piece));

#endif
