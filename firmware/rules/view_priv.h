/* rules/view_priv.h - between the files that make up the view
 *
 * Layer: rules.
 */
#ifndef PST_RULES_VIEW_PRIV_H
#define PST_RULES_VIEW_PRIV_H

#include "rules/view.h"

/* A piece of the area, aligned for any type; NULL if it is used up. */
void *pst_rules_view_take(struct pst_rules_view *view, uint32_t size);

/* Fill view->relays from the live connection and the Received fields. */
int pst_rules_view_find_relays(struct pst_rules_view *view);

/* Append the relays' string of a pseudo header. */
int pst_rules_view_put_relays(struct pst_rules_view *view, enum pst_rules_pseudo which);

/* Make the value of a target that is not kept yet. The same answers as pst_rules_view_get. */
int pst_rules_view_make(struct pst_rules_view *view, const struct pst_rules_target *target,
			struct pst_span *value);

/* The sender on the envelope. The same answers as pst_rules_view_get. */
int pst_rules_view_envelope_from(struct pst_rules_view *view, struct pst_span *out);

static inline bool pst_rules_field_is(const struct pst_rules_field *field, struct pst_span name)
{
	return pst_span_eq_nocase(field->name, name);
}

#endif
