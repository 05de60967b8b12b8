/* admin/json.h - writing JSON into a bounded buffer
 *
 * Layer: admin. Uses: base. Spec: RFC 8259.
 * Concept: the writer puts the commas. What does not fit is noted, not written; the caller looks at
 * `full` at the end. Bytes outside of printable ASCII are written as the characters of the same
 * number (\u00HH), so whatever a peer sends, the text is valid.
 */
#ifndef PST_ADMIN_JSON_H
#define PST_ADMIN_JSON_H

#include "base/addr.h"

struct pst_json {
	struct pst_buf *out;
	bool comma; /* before the next value */
	bool full;
};

void pst_json_init(struct pst_json *json, struct pst_buf *out);
/* `{` or `[`; `key` is NULL inside of an array and at the top. */
void pst_json_open(struct pst_json *json, const char *key, char bracket);
void pst_json_close(struct pst_json *json, char bracket);
void pst_json_span(struct pst_json *json, const char *key, struct pst_span value);
void pst_json_text(struct pst_json *json, const char *key, const char *value);
void pst_json_u64(struct pst_json *json, const char *key, uint64_t value);
void pst_json_bool(struct pst_json *json, const char *key, bool value);
void pst_json_addr(struct pst_json *json, const char *key, const struct pst_addr *value);

#endif
