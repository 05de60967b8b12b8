/* base/base.h - words, errors and assertions that every module shares
 *
 * Layer: base (libc only).
 *
 * Conventions of all Postern headers, said once:
 *   - A `struct pst_span` is borrowed: it is valid until the call returns, or as long as the header
 *     that hands it out says. Nobody frees a span.
 *   - A `struct pst_buf` is bounded: it never grows; what does not fit is an error, not a surprise.
 *   - NULL is never a legal argument unless the comment says so.
 *   - Functions have one of three shapes: 0 or -PST_E_*; a count >= 0 or -PST_E_*; or bool for a
 *     question. There are no sentinels in unsigned types.
 *   - All calls are made on the loop's thread. A callback never runs inside the call that asked
 *     for it, unless the header says so.
 *   - Times are absolute monotonic milliseconds (`_ms`); wall-clock seconds are `_wall_s`.
 */
#ifndef PST_BASE_BASE_H
#define PST_BASE_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PST_MUST_CHECK __attribute__((warn_unused_result))
#define PST_PRINTF(fmt_index, first) __attribute__((format(printf, fmt_index, first)))

#define PST_COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PST_MIN(a, b) ((a) < (b) ? (a) : (b))
#define PST_MAX(a, b) ((a) > (b) ? (a) : (b))

/* The structure that embeds `member` at `pointer`. */
#define PST_CONTAINER(pointer, type, member) \
	((type *)(void *)((char *)(pointer) - offsetof(type, member)))

/* Everything that can go wrong, in one place. Functions return the negative value. */
enum pst_err {
	PST_E_NOMEM = 1,  /* an allocation failed, or a pool is at its bound */
	PST_E_FULL,       /* it does not fit into the bounded buffer or table */
	PST_E_SYNTAX,     /* the text does not match its grammar */
	PST_E_RANGE,      /* a number or a length is outside its limits */
	PST_E_CLOSED,     /* the peer closed the connection, in good order */
	PST_E_RESET,      /* the peer broke the connection off */
	PST_E_REFUSED,    /* the peer refused the connection */
	PST_E_UNREACH,    /* the network has no way there */
	PST_E_TIMEOUT,    /* the deadline passed */
	PST_E_BUSY,       /* an address is in use, a queue is at its bound */
	PST_E_ACCESS,     /* the system does not permit it */
	PST_E_NOENT,      /* no such file, entry or name */
	PST_E_IO,         /* any other failure of the system */
	PST_E_PROTO,      /* the peer broke its protocol */
	PST_E_COUNT
};

/* A short lower-case phrase for a log line ("connection refused").
 *  in  err: an enum pst_err, or its negative */
const char *pst_strerror(int err);

/* The bug trap: on in release builds too. A peer must never be able to reach one; what a fuzzer
 * finds here is a defect. Where bytes count, file and line say which it was. */
#ifdef CONFIG_POSTERN_OPTIMISE_SIZE
#define PST_BUG_TEXT(condition) NULL
#else
#define PST_BUG_TEXT(condition) #condition
#endif
#define PST_BUG_ON(condition) \
	do { \
		if (__builtin_expect(!!(condition), 0)) \
			pst_bug(__FILE__, __LINE__, PST_BUG_TEXT(condition)); \
	} while (0)

/*  in  what: the condition, or NULL */
_Noreturn void pst_bug(const char *file, int line, const char *what);

#endif
