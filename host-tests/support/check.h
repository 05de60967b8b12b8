/* support/check.h - cmocka, and how our types are compared
 *
 * Tests include this instead of cmocka.h, which wants other headers before it.
 */
#ifndef PST_SUPPORT_CHECK_H
#define PST_SUPPORT_CHECK_H

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"

/* A span's bytes are those of a text without NULs; both are shown when they are not. */
static inline void pst_check_span(struct pst_span span, const char *wanted, const char *file,
				  int line)
{
	size_t len = strlen(wanted);

	if (span.len == len && (len == 0 || memcmp(span.at, wanted, len) == 0))
		return;
	print_error("is     \"%.*s\" (%u bytes)\n", (int)span.len, (const char *)span.at, span.len);
	print_error("wanted \"%s\" (%zu bytes)\n", wanted, len);
	_fail(file, line);
}

#define check_span(span, wanted) pst_check_span(span, wanted, __FILE__, __LINE__)
#define check_buf(buf, wanted) pst_check_span(pst_buf_span(buf), wanted, __FILE__, __LINE__)

/* The statement must end in the bug trap: run it in a child, whose message is thrown away. */
#define check_bug(statement) \
	do { \
		pid_t pst_child = fork(); \
		int pst_status = 0; \
		assert_true(pst_child >= 0); \
		if (pst_child == 0) { \
			signal(SIGABRT, SIG_DFL); \
			if (!freopen("/dev/null", "w", stderr)) \
				_exit(1); \
			statement; \
			_exit(0); \
		} \
		assert_int_equal(waitpid(pst_child, &pst_status, 0), pst_child); \
		assert_true(WIFSIGNALED(pst_status)); \
		assert_int_equal(WTERMSIG(pst_status), SIGABRT); \
	} while (0)

#endif
