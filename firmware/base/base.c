/* base/base.c - the words for errors, and the bug trap */
#include "base/base.h"

#include <stdio.h>
#include <stdlib.h>

const char *pst_strerror(int err)
{
	static const char *const phrase[PST_E_COUNT] = {
		[0] = "no error",
		[PST_E_NOMEM] = "out of memory",
		[PST_E_FULL] = "does not fit",
		[PST_E_SYNTAX] = "syntax error",
		[PST_E_RANGE] = "out of range",
		[PST_E_CLOSED] = "connection closed",
		[PST_E_RESET] = "connection reset",
		[PST_E_REFUSED] = "connection refused",
		[PST_E_UNREACH] = "network unreachable",
		[PST_E_TIMEOUT] = "timed out",
		[PST_E_BUSY] = "in use",
		[PST_E_ACCESS] = "permission denied",
		[PST_E_NOENT] = "not found",
		[PST_E_IO] = "input/output error",
		[PST_E_PROTO] = "protocol error",
	};

	if (err < 0 && err > -PST_E_COUNT)
		err = -err;
	if (err < 0 || err >= PST_E_COUNT)
		return "unknown error";
	return phrase[err];
}

void pst_bug(const char *file, int line, const char *what)
{
	fprintf(stderr, "%s:%d: bug%s%s\n", file, line, what ? ": " : "", what ? what : "");
	abort();
}
