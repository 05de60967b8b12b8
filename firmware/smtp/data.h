/* smtp/data.h - the decoder of DATA and BDAT: any byte stream in, canonical wire form out
 *
 * Layer: smtp (pure). Uses: base. Spec: RFC 5321 sections 2.3.8, 4.1.1.4 and 4.5.2; RFC 3030.
 * Concept: only CRLF "." CRLF ends the data. A lone LF, a lone CR and CR CR LF become CRLF; the
 * result is dot-stuffed anew, so what comes out can be sent to any server as it is, and holds no
 * CR or LF but in CRLF pairs. For conforming input that is stuffed only where it must be, the
 * output is the input. A dot that the client's stuffing did not need (".x") is taken off; this is
 * done behind CRLF only, a dot behind a lone CR or LF is content. CR CR LF "." CRLF holds
 * CRLF "." CRLF and ends the data. NULs are never handed out.
 * What BDAT carries has no stuffing and no end of its own: every dot at the start of a line gets a second
 * one, so that the wire form is the same whichever way a message comes; the owner counts the octets.
 * What the decoder noticed is in its counters; whether that is refused is the owner's affair.
 * Pieces may be cut anywhere: an output span may end between CR and LF, and its LF follows.
 * Memory: output spans borrow the input or static bytes.
 * Rejected: refusing at the first bare newline, as some servers do, would desynchronise us from
 * clients that go on sending; we always read to the true end of data.
 */
#ifndef PST_SMTP_DATA_H
#define PST_SMTP_DATA_H

#include "base/span.h"

/* Where the wire form is not what came: a byte of ours that was not there, or a CR that was left out in
 * front of this place. With a stuffing dot taken off each line, they lead back to the content of BDAT
 * (but for NULs). */
struct pst_smtp_edit {
	uint64_t at; /* in wire bytes, from the message's beginning */
	bool cr_left_out;
};

#define PST_SMTP_EDITS_MAX 2

struct pst_smtp_data {
	uint8_t state;
	uint64_t out_bytes;        /* wire bytes handed out, the final dot line not counted */
	uint64_t bare_newline_count; /* lone CR, lone LF, CR CR LF */
	uint64_t nul_count;
	uint32_t line_bytes;       /* of the line being read, without its end */
	uint32_t line_bytes_max;   /* the longest so far */
	bool eight_bit;            /* a byte above 127 was there */
	bool content;              /* by BDAT */
	uint8_t edit_count;        /* in what the last call handed out, or just before it */
	struct pst_smtp_edit edits[PST_SMTP_EDITS_MAX];
};

void pst_smtp_data_init(struct pst_smtp_data *data);
/* The same for BDAT: pst_smtp_data_next never returns 1. */
void pst_smtp_data_init_content(struct pst_smtp_data *data);

/* Decode the next piece.
 *  in   in: unread bytes; *used says how many of them were consumed
 *  out  out: wire bytes to pass on (may be empty); static or borrowed from `in`
 *  ret  1: the true end of data was consumed; `out` is empty, what was before it was handed out
 *       by earlier calls
 *       0: go on: if *used < in.len or out.len > 0 call again, else more input is needed
 *  note a caller loops: while (used < in.len) { ... }; every call makes progress on non-empty
 *       input. The CRLF before the final dot belongs to the message and is handed out. */
int pst_smtp_data_next(struct pst_smtp_data *data, struct pst_span in, uint32_t *used,
		       struct pst_span *out) PST_MUST_CHECK;

/* The last octet of BDAT's content was read: the bytes still owed, so that its last line is whole.
 * Static; empty when called again. */
struct pst_span pst_smtp_data_finish(struct pst_smtp_data *data);

/* Walk wire form as content: the next run without a stuffing dot.
 *  in   at_line_start: state between calls; true at the beginning of the message
 *  ret  the run, cut off the front of *wire; empty at its end */
struct pst_span pst_smtp_unstuff_next(struct pst_span *wire, bool *at_line_start);

#endif
