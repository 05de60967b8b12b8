/* check/spf_macro.h - expanding macro strings
 *
 * Layer: check (pure). Uses: base. Spec: RFC 7208 section 7.
 */
#ifndef PST_CHECK_SPF_MACRO_H
#define PST_CHECK_SPF_MACRO_H

#include "check/spf.h"

/* Is the validated name of the client wanted for this one? */
bool pst_spf_needs_p(struct pst_span text);
/* Expand a well-formed macro-string for the record of `domain`.
 *  ret 0 | -PST_E_FULL */
int pst_spf_expand(const struct pst_spf *spf, struct pst_span domain, struct pst_span text,
		   struct pst_buf *out) PST_MUST_CHECK;
/* The same for a name to be asked for: of one that is too long, labels are left out from the left.
 *  ret false: what comes out is no name */
bool pst_spf_expand_name(const struct pst_spf *spf, struct pst_span domain, struct pst_span spec,
			 struct pst_spf_name *out);
/* Labels of 1 to 63 bytes, 253 in all; a dot at the end is taken off. */
bool pst_spf_name_set(struct pst_spf_name *out, struct pst_span text);
static inline struct pst_span pst_spf_name_span(const struct pst_spf_name *name)
{
	return (struct pst_span){name->at, name->len};
}

/* "1.2.0.192.in-addr.arpa" */
void pst_spf_reverse_name(const struct pst_addr *addr, struct pst_spf_name *out);

#endif
