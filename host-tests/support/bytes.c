/* support/bytes.c - bytes that grow as they must */
#include "support/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void make_room(struct pst_bytes *bytes, uint32_t len)
{
	uint32_t size = PST_MAX(bytes->size, 256);

	PST_BUG_ON(len > UINT32_MAX / 4 || bytes->len > UINT32_MAX / 4);
	while (size < bytes->len + len + 1)
		size *= 2;
	if (size == bytes->size)
		return;
	bytes->at = realloc(bytes->at, size);
	PST_BUG_ON(!bytes->at);
	bytes->size = size;
}

void pst_bytes_add(struct pst_bytes *bytes, const void *at, uint32_t len)
{
	make_room(bytes, len);
	if (len > 0)
		memcpy(bytes->at + bytes->len, at, len);
	bytes->len += len;
	bytes->at[bytes->len] = 0;
}

void pst_bytes_add_span(struct pst_bytes *bytes, struct pst_span span)
{
	pst_bytes_add(bytes, span.at, span.len);
}

void pst_bytes_print(struct pst_bytes *bytes, const char *format, ...)
{
	char area[1024];
	va_list args;
	int len;

	va_start(args, format);
	len = vsnprintf(area, sizeof(area), format, args);
	va_end(args);
	PST_BUG_ON(len < 0);
	pst_bytes_add(bytes, area, PST_MIN((uint32_t)len, (uint32_t)sizeof(area) - 1));
}

void pst_bytes_cut(struct pst_bytes *bytes, uint32_t len)
{
	PST_BUG_ON(len > bytes->len);
	if (!bytes->at)
		return;
	bytes->len = len;
	bytes->at[len] = 0;
}

void pst_bytes_free(struct pst_bytes *bytes)
{
	free(bytes->at);
	*bytes = (struct pst_bytes){.at = NULL};
}
