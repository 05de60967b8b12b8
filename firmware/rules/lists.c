/* rules/lists.c - address lists of a rule set */
#include <string.h>

#include "rules/lists.h"

#define CHUNK_BYTES 8192u
#define BUCKETS 1024u
#define WORD_LEN_MAX 1024u

struct pst_rules_list_entry {
	struct pst_rules_list_entry *next;
	struct pst_span name;   /* of an address list */
	struct pst_span text;   /* a pattern, lower case */
	struct pst_span second; /* relay or signing domain */
	uint8_t list;
	bool gone;
};

struct pst_rules_list_chunk {
	struct pst_rules_list_chunk *next;
	uint32_t used;
	_Alignas(16) uint8_t bytes[CHUNK_BYTES];
};

enum second_word { NONE, NEEDED, OPTIONAL };

static const struct {
	const char *directive;
	uint8_t list;
	uint8_t second; /* enum second_word: two words make one entry */
} DIRECTIVES[] = {
	{"welcomelist_from", PST_RULES_WELCOME_FROM, NONE},
	{"welcomelist_to", PST_RULES_WELCOME_TO, NONE},
	{"welcomelist_from_rcvd", PST_RULES_WELCOME_FROM_RCVD, NEEDED},
	{"def_welcomelist_from_rcvd", PST_RULES_DEF_WELCOME_FROM_RCVD, NEEDED},
	{"welcomelist_allows_relays", PST_RULES_WELCOME_ALLOWS_RELAYS, NONE},
	{"welcomelist_auth", PST_RULES_WELCOME_AUTH, NONE},
	{"def_welcomelist_auth", PST_RULES_DEF_WELCOME_AUTH, NONE},
	{"welcomelist_from_spf", PST_RULES_WELCOME_SPF, NONE},
	{"def_welcomelist_from_spf", PST_RULES_DEF_WELCOME_SPF, NONE},
	{"welcomelist_from_dkim", PST_RULES_WELCOME_DKIM, OPTIONAL},
	{"def_welcomelist_from_dkim", PST_RULES_DEF_WELCOME_DKIM, OPTIONAL},
	{"welcomelist_subject", PST_RULES_WELCOME_SUBJECT, NONE},
	{"welcomelist_bounce_relays", PST_RULES_WELCOME_BOUNCE_RELAYS, NONE},
	{"blocklist_from", PST_RULES_BLOCK_FROM, NONE},
	{"blocklist_to", PST_RULES_BLOCK_TO, NONE},
	{"blocklist_subject", PST_RULES_BLOCK_SUBJECT, NONE},
	{"more_spam_to", PST_RULES_MORE_SPAM_TO, NONE},
	{"all_spam_to", PST_RULES_ALL_SPAM_TO, NONE},
	{"freemail_domains", PST_RULES_FREEMAIL, NONE},
	{"freemail_welcomelist", PST_RULES_FREEMAIL_WELCOME, NONE},
	{"enlist_addrlist", PST_RULES_ADDRLIST, NONE},
	{"util_rb_tld", PST_RULES_TLD_1, NONE},
	{"util_rb_2tld", PST_RULES_TLD_2, NONE},
	{"util_rb_3tld", PST_RULES_TLD_3, NONE},
};

/* Taken without a word. */
static const char *const IGNORED[] = {
	"dns_block_rule", "dns_query_restriction", "clear_util_rb", "trusted_networks", "internal_networks",
	"msa_networks", "clear_trusted_networks", "clear_internal_networks", "clear_msa_networks",
	"freemail_max_body_emails", "freemail_max_body_freemails", "freemail_skip_when_over_max",
	"freemail_skip_bulk_envfrom", "freemail_add_describe_email", "freemail_import_welcomelist_auth",
	"freemail_import_def_welcomelist_auth", "freemail_import_whitelist_auth",
	"freemail_import_def_whitelist_auth",
};

/* The name with "whitelist" and "blacklist" as they are called today, and without "un" in front.
 *  ret the length */
static uint32_t modern(struct pst_span directive, uint8_t *out, uint32_t size, bool *removes)
{
	uint32_t len = 0;

	*removes = pst_span_starts_nocase(directive, PST_SPAN("unw")) ||
		   pst_span_starts_nocase(directive, PST_SPAN("unb"));
	for (uint32_t i = *removes ? 2 : 0; i < directive.len && len + 11 < size;) {
		struct pst_span rest = pst_span_sub(directive, i, directive.len);
		const char *name = NULL;

		if (pst_span_starts_nocase(rest, PST_SPAN("whitelist")))
			name = "welcomelist";
		else if (pst_span_starts_nocase(rest, PST_SPAN("blacklist")))
			name = "blocklist";
		if (!name) {
			out[len++] = directive.at[i++];
			continue;
		}
		memcpy(out + len, name, pst_span_text(name).len);
		len += pst_span_text(name).len;
		i += 9;
	}
	return len;
}

static int find_directive(struct pst_span directive, bool *removes)
{
	uint8_t text[64];
	struct pst_span name = {text, modern(directive, text, sizeof(text), removes)};

	for (uint32_t i = 0; i < PST_COUNT(DIRECTIVES); i++)
		if (pst_span_eq(name, pst_span_text(DIRECTIVES[i].directive)))
			return (int)i;
	return -PST_E_NOENT;
}

static bool is_ignored(struct pst_span directive)
{
	for (uint32_t i = 0; i < PST_COUNT(IGNORED); i++)
		if (pst_span_eq(directive, pst_span_text(IGNORED[i])))
			return true;
	return false;
}

bool pst_rules_lists_knows(struct pst_span directive)
{
	bool removes;

	return is_ignored(directive) || find_directive(directive, &removes) >= 0;
}

int pst_rules_lists_init(struct pst_rules_lists *lists, struct pst_mem *mem)
{
	memset(lists, 0, sizeof(*lists));
	lists->mem = mem;
	lists->buckets = pst_mem_alloc(mem, BUCKETS * sizeof(*lists->buckets));
	lists->used_bytes = BUCKETS * (uint32_t)sizeof(*lists->buckets);
	return lists->buckets ? 0 : -PST_E_NOMEM;
}

void pst_rules_lists_fini(struct pst_rules_lists *lists)
{
	while (lists->chunks) {
		struct pst_rules_list_chunk *chunk = lists->chunks;

		lists->chunks = chunk->next;
		pst_mem_free(lists->mem, chunk, sizeof(*chunk));
	}
	pst_mem_free(lists->mem, lists->buckets, BUCKETS * sizeof(*lists->buckets));
	memset(lists, 0, sizeof(*lists));
}

static int take(struct pst_rules_lists *lists, uint32_t size, void **out)
{
	struct pst_rules_list_chunk *chunk = lists->chunks;

	size = (size + 15u) & ~15u;
	if (!chunk || chunk->used + size > CHUNK_BYTES) {
		if (lists->used_bytes + sizeof(*chunk) > PST_RULES_LISTS_BYTES_MAX)
			return -PST_E_FULL;
		chunk = pst_mem_alloc(lists->mem, sizeof(*chunk));
		if (!chunk)
			return -PST_E_NOMEM;
		lists->used_bytes += sizeof(*chunk);
		chunk->next = lists->chunks;
		lists->chunks = chunk;
	}
	*out = chunk->bytes + chunk->used;
	chunk->used += size;
	return 0;
}

static uint32_t bucket_of(uint32_t list, struct pst_span text)
{
	uint32_t hash = 2166136261u ^ list;

	for (uint32_t i = 0; i < text.len; i++)
		hash = (hash ^ pst_lower(text.at[i])) * 16777619u;
	return hash % BUCKETS;
}

static bool has_wildcard(struct pst_span text)
{
	return pst_span_find(text, '*') >= 0 || pst_span_find(text, '?') >= 0;
}

static void copy_lower(uint8_t **at, struct pst_span text, struct pst_span *out)
{
	*out = (struct pst_span){*at, text.len};
	for (uint32_t i = 0; i < text.len; i++)
		*(*at)++ = pst_lower(text.at[i]);
}

static int add_entry(struct pst_rules_lists *lists, uint32_t list, struct pst_span name,
		     struct pst_span text, struct pst_span second)
{
	struct pst_rules_list_entry *entry, **head;
	void *block;
	uint8_t *at;
	int status;

	if (name.len > WORD_LEN_MAX || text.len > WORD_LEN_MAX || second.len > WORD_LEN_MAX)
		return -PST_E_SYNTAX;
	if (lists->entry_count == PST_RULES_LISTS_ENTRIES_MAX)
		return -PST_E_FULL;
	status = take(lists, (uint32_t)sizeof(*entry) + name.len + text.len + second.len, &block);
	if (status)
		return status;
	entry = block;
	*entry = (struct pst_rules_list_entry){.list = (uint8_t)list};
	at = (uint8_t *)(entry + 1);
	copy_lower(&at, name, &entry->name);
	copy_lower(&at, text, &entry->text);
	copy_lower(&at, second, &entry->second);
	head = has_wildcard(text) ? &lists->globs[list] : &lists->buckets[bucket_of(list, text)];
	entry->next = *head;
	*head = entry;
	lists->entry_count++;
	lists->count[list]++;
	return 0;
}

static void remove_entry(struct pst_rules_lists *lists, uint32_t list, struct pst_span text)
{
	struct pst_rules_list_entry *entry = has_wildcard(text) ?
		lists->globs[list] : lists->buckets[bucket_of(list, text)];

	for (; entry; entry = entry->next)
		if (entry->list == list && !entry->gone && pst_span_eq_nocase(entry->text, text)) {
			entry->gone = true;
			lists->count[list]--;
		}
}

int pst_rules_lists_add(struct pst_rules_lists *lists, struct pst_span directive,
			struct pst_span words)
{
	struct pst_span name = PST_SPAN_NONE, word, second = PST_SPAN_NONE;
	bool removes;
	int which = find_directive(directive, &removes), status = 0;
	uint32_t list;

	if (which < 0)
		return is_ignored(directive) ? 0 : which;
	list = DIRECTIVES[which].list;
	if (list == PST_RULES_ADDRLIST) {
		name = pst_span_word(&words);
		if (name.len < 3 || name.at[0] != '(' || name.at[name.len - 1] != ')')
			return -PST_E_SYNTAX;
		name = pst_span_sub(name, 1, name.len - 2);
	}
	if (list == PST_RULES_WELCOME_SUBJECT || list == PST_RULES_BLOCK_SUBJECT)
		return add_entry(lists, list, name, pst_span_trim(words), second);
	word = pst_span_word(&words);
	if (word.len == 0)
		return -PST_E_SYNTAX;
	if (removes && DIRECTIVES[which].second != NONE) {
		remove_entry(lists, list, word);
		return 0;
	}
	if (DIRECTIVES[which].second != NONE) {
		second = pst_span_word(&words);
		if (DIRECTIVES[which].second == NEEDED && second.len == 0)
			return -PST_E_SYNTAX;
		return add_entry(lists, list, name, word, second);
	}
	for (; word.len && !status; word = pst_span_word(&words)) {
		if (removes)
			remove_entry(lists, list, word);
		else
			status = add_entry(lists, list, name, word, second);
	}
	return status;
}

bool pst_rules_glob(struct pst_span pattern, struct pst_span text)
{
	uint32_t p = 0, t = 0, star = UINT32_MAX, mark = 0;

	while (t < text.len) {
		if (p < pattern.len && pattern.at[p] == '*') {
			star = p++;
			mark = t;
		} else if (p < pattern.len &&
			   (pattern.at[p] == '?' || pst_lower(pattern.at[p]) == pst_lower(text.at[t]))) {
			p++;
			t++;
		} else if (star != UINT32_MAX) {
			p = star + 1;
			t = ++mark;
		} else {
			return false;
		}
	}
	while (p < pattern.len && pattern.at[p] == '*')
		p++;
	return p == pattern.len;
}

static bool fits(const struct pst_rules_list_entry *entry, uint32_t list, struct pst_span name,
		 struct pst_span text)
{
	return entry->list == list && !entry->gone && pst_span_eq_nocase(entry->name, name) &&
	       pst_rules_glob(entry->text, text);
}

bool pst_rules_lists_has(const struct pst_rules_lists *lists, enum pst_rules_list list,
			 struct pst_span name, struct pst_span text)
{
	const struct pst_rules_list_entry *entry;

	for (entry = lists->buckets[bucket_of(list, text)]; entry; entry = entry->next)
		if (fits(entry, list, name, text))
			return true;
	for (entry = lists->globs[list]; entry; entry = entry->next)
		if (fits(entry, list, name, text))
			return true;
	return false;
}

bool pst_rules_lists_next(const struct pst_rules_lists *lists, enum pst_rules_list list,
			  struct pst_span text, const struct pst_rules_list_entry **at,
			  struct pst_span *second)
{
	const struct pst_rules_list_entry *entry = *at ? (*at)->next :
							lists->buckets[bucket_of(list, text)];
	bool globs = *at && has_wildcard((*at)->text);

	for (;; entry = entry->next) {
		if (!entry && globs)
			return false;
		if (!entry) {
			globs = true;
			entry = lists->globs[list];
			if (!entry)
				return false;
		}
		if (fits(entry, list, PST_SPAN_NONE, text)) {
			*at = entry;
			*second = entry->second;
			return true;
		}
	}
}

struct pst_span pst_rules_lists_domain(const struct pst_rules_lists *lists, struct pst_span host)
{
	uint32_t starts[4], labels = 0, keep = 2;

	for (uint32_t i = host.len; i-- > 0 && labels < 4;)
		if (i == 0 || host.at[i - 1] == '.')
			starts[labels++] = i;
	if (labels < 2)
		return PST_SPAN_NONE;
	if (lists->count[PST_RULES_TLD_1] &&
	    !pst_rules_lists_has(lists, PST_RULES_TLD_1, PST_SPAN_NONE,
				 pst_span_sub(host, starts[0], host.len)))
		return PST_SPAN_NONE;
	if (labels > 2 && pst_rules_lists_has(lists, PST_RULES_TLD_2, PST_SPAN_NONE,
					      pst_span_sub(host, starts[1], host.len)))
		keep = 3;
	if (labels > 3 && pst_rules_lists_has(lists, PST_RULES_TLD_3, PST_SPAN_NONE,
					      pst_span_sub(host, starts[2], host.len)))
		keep = 4;
	return pst_span_sub(host, starts[keep - 1], host.len);
}
