/* base/buf.c - the bounded byte buffer */
#include "base/buf.h"

#include <stdio.h>
#include <string.h>

void pst_buf_init(struct pst_buf *buf, void *area, uint32_t size)
{
	PST_BUG_ON(!area && size > 0);
	*buf = (struct pst_buf){.area = area, .size = size};
}

void pst_buf_clear(struct pst_buf *buf)
{
	buf->head = 0;
	buf->len = 0;
}

void pst_buf_consume(struct pst_buf *buf, uint32_t len)
{
	PST_BUG_ON(len > buf->len);
	buf->len -= len;
	buf->head = buf->len ? buf->head + len : 0;
}

void pst_buf_consume_wiped(struct pst_buf *buf, uint32_t len)
{
	if (!buf->area)
		return;
	pst_buf_consume(buf, len);
	memset(buf->area, 0, buf->head);
	memset(buf->area + buf->head + buf->len, 0, buf->size - buf->head - buf->len);
}

void pst_buf_compact(struct pst_buf *buf)
{
	if (buf->head == 0)
		return;
	memmove(buf->area, buf->area + buf->head, buf->len);
	buf->head = 0;
}

uint8_t *pst_buf_tail(struct pst_buf *buf)
{
	return buf->area ? buf->area + buf->head + buf->len : NULL;
}

void pst_buf_commit(struct pst_buf *buf, uint32_t len)
{
	PST_BUG_ON(len > pst_buf_tail_room(buf));
	buf->len += len;
}

/* Where `len` more bytes go, or NULL when there is no room. */
static uint8_t *make_room(struct pst_buf *buf, uint32_t len)
{
	if (len > pst_buf_tail_room(buf)) {
		if (len > pst_buf_room(buf))
			return NULL;
		pst_buf_compact(buf);
	}
	return pst_buf_tail(buf);
}

int pst_buf_put(struct pst_buf *buf, struct pst_span span)
{
	uint8_t *tail;

	if (span.len == 0)
		return 0;
	tail = make_room(buf, span.len);
	if (!tail)
		return -PST_E_FULL;
	memcpy(tail, span.at, span.len);
	buf->len += span.len;
	return 0;
}

int pst_buf_put_text(struct pst_buf *buf, const char *text)
{
	return pst_buf_put(buf, pst_span_text(text));
}

int pst_buf_put_byte(struct pst_buf *buf, uint8_t byte)
{
	uint8_t *tail = make_room(buf, 1);

	if (!tail)
		return -PST_E_FULL;
	*tail = byte;
	buf->len++;
	return 0;
}

int pst_buf_put_u64(struct pst_buf *buf, uint64_t number)
{
	uint8_t digits[20];
	uint32_t at = sizeof(digits);

	do {
		digits[--at] = (uint8_t)('0' + number % 10);
		number /= 10;
	} while (number > 0);
	return pst_buf_put(buf, (struct pst_span){digits + at, (uint32_t)sizeof(digits) - at});
}

int pst_buf_printf(struct pst_buf *buf, const char *format, ...)
{
	va_list args;
	int ret;

	va_start(args, format);
	ret = pst_buf_vprintf(buf, format, args);
	va_end(args);
	return ret;
}

int pst_buf_vprintf(struct pst_buf *buf, const char *format, va_list args)
{
	char text[PST_BUF_PRINTF_EXACT + 1];
	va_list again;
	uint8_t *tail;
	int len;
	int ret = -PST_E_FULL;

	va_copy(again, args);
	len = vsnprintf(text, sizeof(text), format, args);
	PST_BUG_ON(len < 0);
	if ((size_t)len < sizeof(text)) {
		ret = pst_buf_put(buf, (struct pst_span){(const uint8_t *)text, (uint32_t)len});
		goto out;
	}
	/* vsnprintf ends its text with a NUL that we have no use for, hence the extra byte. */
	tail = make_room(buf, (uint32_t)len + 1);
	if (!tail)
		goto out;
	vsnprintf((char *)tail, (size_t)len + 1, format, again);
	buf->len += (uint32_t)len;
	ret = 0;
out:
	va_end(again);
	return ret;
}

static bool is_plain(uint8_t c)
{
	return pst_is_print(c) && c != '"' && c != '\\';
}

/* Appends as much as fits. After a cut there is no room, so whatever comes behind it fails. */
static void put_cut(struct pst_buf *buf, struct pst_span span)
{
	PST_BUG_ON(pst_buf_put(buf, pst_span_sub(span, 0, pst_buf_room(buf))));
}

void pst_buf_put_escaped(struct pst_buf *buf, struct pst_span span, uint32_t max)
{
	static const char hex[] = "0123456789abcdef";
	struct pst_span rest = pst_span_sub(span, 0, max);
	uint8_t escape[4] = "\\x..";
	uint32_t plain;

	for (;;) {
		for (plain = 0; plain < rest.len && is_plain(rest.at[plain]); plain++)
			continue;
		put_cut(buf, pst_span_sub(rest, 0, plain));
		if (plain == rest.len)
			break;
		escape[2] = (uint8_t)hex[rest.at[plain] >> 4];
		escape[3] = (uint8_t)hex[rest.at[plain] & 15];
		if (pst_buf_put(buf, (struct pst_span){escape, sizeof(escape)}))
			return;
		rest = pst_span_sub(rest, plain + 1, rest.len);
	}
	if (span.len > max && pst_buf_put(buf, PST_SPAN("...")))
		return;
}
