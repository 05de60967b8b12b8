/* mail/shape.h - shapes: one-line templates of what software writes into header fields
 *
 * Layer: mail (pure). Uses: base.
 * Concept: the forms of Received fields, of message ids and the like are tables, not code. A shape is
 * a text in which all bytes stand for themselves but
 *
 *   %s %d %. %w %n    one byte: no blank | a digit | any but a newline | letter, digit, _ | not a digit
 *   %[a-z_] %[^)]     one byte of a set, or not of it
 *      + * ? -        behind such a byte: one or more, any number, at most one, as few as possible
 *      :4; :1-3;      behind it: that many
 *   %i                an IP address (IPv4, or IPv6 with or without "IPv6:")
 *   %b                the edge of a word
 *   %$                the end of the text
 *   <one|two|>        alternatives, the first that fits
 *   {x...}            what fits is kept as capture x (a lower-case letter)
 *   \                 takes the next byte for itself
 *
 * Patterns of rule files go to PCRE2; this matcher is for our own tables, which the pure cores could
 * not match otherwise.
 * Memory: none. Time: at most PST_SHAPE_STEPS_MAX steps a call, then "does not fit".
 */
#ifndef PST_MAIL_SHAPE_H
#define PST_MAIL_SHAPE_H

#include "base/span.h"

#define PST_SHAPE_STEPS_MAX 100000u

struct pst_shape_found {
	struct pst_span whole;
	struct pst_span capture[26]; /* by letter; at == NULL where nothing was captured */
};

static inline struct pst_span pst_shape_capture(const struct pst_shape_found *found, char letter)
{
	return found->capture[letter - 'a'];
}

/* Does `text` begin with the shape?
 *  out found: may be NULL; set only if it fits */
bool pst_shape_match(const char *shape, struct pst_span text, struct pst_shape_found *found);
/* The first place in `text` where the shape fits. */
bool pst_shape_search(const char *shape, struct pst_span text, struct pst_shape_found *found);
/* The same, ASCII letters without case. */
bool pst_shape_match_nocase(const char *shape, struct pst_span text, struct pst_shape_found *found);
bool pst_shape_search_nocase(const char *shape, struct pst_span text, struct pst_shape_found *found);

/* The length of the IP address at offset `at`, or 0. */
uint32_t pst_shape_ip_len(struct pst_span text, uint32_t at);

#endif
