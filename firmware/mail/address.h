/* mail/address.h - addresses and names out of From, To and their like
 *
 * Layer: mail (pure). Uses: base. Spec: RFC 5322 section 3.4, read as leniently as SpamAssassin 4
 * reads it: rules see an address wherever it sees one.
 * Memory: none; what is found borrows the text, or the working copy where quoting had to go.
 */
#ifndef PST_MAIL_ADDRESS_H
#define PST_MAIL_ADDRESS_H

#include "base/buf.h"

struct pst_mail_address {
	struct pst_span address; /* at == NULL: none */
	struct pst_span phrase;  /* the display name or comment, undecoded; at == NULL: none */
};

struct pst_mail_addresses {
	struct pst_buf *work;
	struct pst_span rest;
	bool last_effort; /* only addresses in brackets are looked for by now */
	uint32_t count;
};

/*  in  value: a field's value, folded as it stands
 *      work: room for the value's length twice, used until the last answer is no longer needed
 *  ret 0 | -PST_E_FULL */
int pst_mail_addresses_init(struct pst_mail_addresses *addresses, struct pst_span value,
			    struct pst_buf *work) PST_MUST_CHECK;
/* The next mailbox. */
bool pst_mail_addresses_next(struct pst_mail_addresses *addresses, struct pst_mail_address *out);

/* A host name of at least two labels of letters, digits, hyphens (underscores in front only)? */
bool pst_mail_host_valid(struct pst_span host);

#endif
