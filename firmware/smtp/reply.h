/* smtp/reply.h - replies: ours to write, the internal server's to read
 *
 * Layer: smtp (pure). Uses: base. Spec: RFC 5321 section 4.2, RFC 2034, RFC 3463.
 */
#ifndef PST_SMTP_REPLY_H
#define PST_SMTP_REPLY_H

#include "base/buf.h"

/* Enhanced status code x.y.z; class 0 means there is none. */
struct pst_smtp_enhanced {
	uint8_t class;
	uint16_t subject, detail;
};

#define PST_SMTP_ENHANCED(c, s, d) ((struct pst_smtp_enhanced){(c), (s), (d)})

/* One line of ours. The text is our own words, or was made harmless before. */
struct pst_smtp_reply {
	uint16_t code;
	struct pst_smtp_enhanced enhanced;
	struct pst_span text;
};

/* "550 5.1.1 text\r\n"; control bytes in the text become '?'. Greeting, HELO, EHLO and 354 replies
 * carry no enhanced code (RFC 2034 section 4): leave the class 0 there.
 *  ret 0 | -PST_E_FULL */
int pst_smtp_reply_put(struct pst_buf *out, const struct pst_smtp_reply *reply) PST_MUST_CHECK;

/* Limits on what an internal server may answer; beyond them it has broken the protocol. */
#define PST_SMTP_REPLY_LINE_MAX 2048
#define PST_SMTP_REPLY_LINES_MAX 128
#define PST_SMTP_REPLY_TEXT_MAX 240 /* kept of the first line's text */

/* Reads one reply after another from a byte stream, line by line. */
struct pst_smtp_reply_reader {
	uint16_t code; /* of the reply being read, or read last */
	uint16_t line_count;
	bool unfinished; /* more lines of this reply are to come */
	struct pst_smtp_enhanced enhanced; /* of the first line */
	uint16_t text_len;
	uint8_t text[PST_SMTP_REPLY_TEXT_MAX]; /* first line behind codes, as it came */
};

/* A line of a reply, for EHLO's keywords. Borrowed from the input. */
struct pst_smtp_reply_line {
	struct pst_span text; /* behind "250-" or "250 " */
	bool first, last;
};

/* Take the next line of a reply off `in`.
 *  ret 1: *line is set; if line->last, the reader's fields hold the whole reply until the next call
 *      0: no complete line yet
 *      -PST_E_PROTO: not a reply (code not 2xx to 5xx, code changes, missing blank, bare CR, LF or
 *      NUL, over a limit); the connection is of no further use */
int pst_smtp_reply_read(struct pst_smtp_reply_reader *reader, struct pst_buf *in,
			struct pst_smtp_reply_line *line) PST_MUST_CHECK;

/* The enhanced code at the front of `text`, taken off it together with the blank behind; class 0
 * and nothing taken where there is none or its class is not the code's. */
struct pst_smtp_enhanced pst_smtp_enhanced_take(struct pst_span *text, uint16_t code);

#endif
