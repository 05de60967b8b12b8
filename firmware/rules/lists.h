/* rules/lists.h - address lists of a rule set
 *
 * Layer: rules (pure). Uses: base.
 * Concept: directives such as welcomelist_from, freemail_domains or util_rb_2tld fill named lists
 * while a set is loaded; eval functions look addresses and domains up in them. Old names
 * (whitelist_*, blacklist_*) mean the lists with new ones.
 * Memory: entries lie in chunks taken from the set's `struct pst_mem`, at most
 * PST_RULES_LISTS_BYTES_MAX in all; given back by pst_rules_lists_fini.
 */
#ifndef PST_RULES_LISTS_H
#define PST_RULES_LISTS_H

#include "base/addr.h"
#include "base/mem.h"

#define PST_RULES_LISTS_BYTES_MAX (2048u * 1024)
#define PST_RULES_LISTS_ENTRIES_MAX 20000u
#define PST_RULES_LISTS_NETS_MAX 256u

enum pst_rules_list {
	PST_RULES_WELCOME_FROM,
	PST_RULES_WELCOME_TO,
	PST_RULES_WELCOME_FROM_RCVD,
	PST_RULES_DEF_WELCOME_FROM_RCVD,
	PST_RULES_WELCOME_ALLOWS_RELAYS,
	PST_RULES_WELCOME_AUTH,
	PST_RULES_DEF_WELCOME_AUTH,
	PST_RULES_WELCOME_SPF,
	PST_RULES_DEF_WELCOME_SPF,
	PST_RULES_WELCOME_DKIM,
	PST_RULES_DEF_WELCOME_DKIM,
	PST_RULES_WELCOME_SUBJECT,
	PST_RULES_WELCOME_BOUNCE_RELAYS,
	PST_RULES_BLOCK_FROM,
	PST_RULES_BLOCK_TO,
	PST_RULES_BLOCK_SUBJECT,
	PST_RULES_MORE_SPAM_TO,
	PST_RULES_ALL_SPAM_TO,
	PST_RULES_FREEMAIL,
	PST_RULES_FREEMAIL_WELCOME,
	PST_RULES_ADDRLIST, /* enlist_addrlist (NAME) ...: entries carry the name */
	PST_RULES_TLD_1,    /* util_rb_tld */
	PST_RULES_TLD_2,
	PST_RULES_TLD_3,
	PST_RULES_LIST_COUNT
};

struct pst_rules_list_entry;
struct pst_rules_list_chunk;

struct pst_rules_lists {
	struct pst_mem *mem;
	struct pst_rules_list_chunk *chunks;
	struct pst_rules_list_entry **buckets; /* entries without wildcards, by hash */
	struct pst_rules_list_entry *globs[PST_RULES_LIST_COUNT];
	uint32_t count[PST_RULES_LIST_COUNT];
	uint32_t entry_count;
	uint32_t used_bytes;
};

/*  in  mem: borrowed until pst_rules_lists_fini
 *  ret 0 | -PST_E_NOMEM */
int pst_rules_lists_init(struct pst_rules_lists *lists, struct pst_mem *mem) PST_MUST_CHECK;
void pst_rules_lists_fini(struct pst_rules_lists *lists);

/* Is this a directive of lists (or one that is taken and ignored, as dns_block_rule)?
 *  in  directive: lower case, "_" for "-" */
bool pst_rules_lists_knows(struct pst_span directive);

/* One line of a rule file. unwelcomelist_from and its like take out.
 *  in  directive: as above
 *      words: what stands behind it
 *  ret 0 | -PST_E_NOENT: not a directive of lists | -PST_E_SYNTAX: words are missing or malformed
 *      | -PST_E_FULL: at the bound of entries or bytes | -PST_E_NOMEM */
int pst_rules_lists_add(struct pst_rules_lists *lists, struct pst_span directive,
			struct pst_span words) PST_MUST_CHECK;

/* Is `text` (an address, a domain, a subject) in the list? Letters of either case; entries may carry
 * the wildcards * and ?.
 *  in  name: of an address list (PST_RULES_ADDRLIST); empty else */
bool pst_rules_lists_has(const struct pst_rules_lists *lists, enum pst_rules_list list,
			 struct pst_span name, struct pst_span text);

/* Go through the entries of a list whose pattern fits `text` and that carry a second word (the relay
 * of *_from_rcvd, the signing domain of *_from_dkim).
 *  in/out  at: NULL to begin; the place of the last answer
 *  ret true: *second is set | false: no more */
bool pst_rules_lists_next(const struct pst_rules_lists *lists, enum pst_rules_list list,
			  struct pst_span text, const struct pst_rules_list_entry **at,
			  struct pst_span *second);

/* The part of a host name that a registrar sells ("a.b.example.co.uk" -> "example.co.uk"), by
 * util_rb_2tld and util_rb_3tld. Empty if `host` has no dot or its top-level domain is not one of
 * util_rb_tld (if the set has any). */
struct pst_span pst_rules_lists_domain(const struct pst_rules_lists *lists, struct pst_span host);

/* SpamAssassin's wildcards: * for any bytes, ? for one. Letters of either case. Time is
 * O(pattern * text). */
bool pst_rules_glob(struct pst_span pattern, struct pst_span text);

#endif
