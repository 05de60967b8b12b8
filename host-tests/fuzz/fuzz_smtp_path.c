/* fuzz_smtp_path.c - the address grammar: what is accepted holds together */
#include "fuzz/fuzz.h"
#include "smtp/path.h"

static bool inside(struct pst_span part, struct pst_span whole)
{
	return part.len == 0 ||
	       (part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void check_mailbox(const struct pst_smtp_path *path, struct pst_span in)
{
	uint8_t area[PST_SMTP_LOCAL_MAX];
	struct pst_span plain;
	bool high = false, routes = false;

	FUZZ_CHECK(inside(path->mailbox, in) && inside(path->local, path->mailbox) &&
		   inside(path->domain, path->mailbox));
	for (uint32_t i = 0; i < path->mailbox.len; i++) {
		FUZZ_CHECK(path->mailbox.at[i] >= 0x20 && path->mailbox.at[i] != 0x7f);
		high |= path->mailbox.at[i] > 127;
	}
	FUZZ_CHECK(!high || (path->flags & PST_SMTP_PATH_UTF8));
	FUZZ_CHECK((path->domain.len == 0) == ((path->flags & PST_SMTP_PATH_BARE) != 0));
	if (!(path->flags & PST_SMTP_PATH_BARE)) {
		FUZZ_CHECK(path->mailbox.len == path->local.len + 1 + path->domain.len);
		FUZZ_CHECK(pst_smtp_domain_check(path->domain, true) == 0);
		FUZZ_CHECK((path->domain.at[0] == '[') ==
			   ((path->flags & PST_SMTP_PATH_LITERAL) != 0));
	}
	FUZZ_CHECK((path->address.family != PST_FAMILY_NONE) ==
		   ((path->flags & PST_SMTP_PATH_LITERAL) != 0));
	FUZZ_CHECK(path->local.len > 0 && path->local.len <= PST_SMTP_LOCAL_MAX);
	FUZZ_CHECK(path->mailbox.len <= PST_SMTP_PATH_MAX);
	FUZZ_CHECK((path->local.at[0] == '"') == ((path->flags & PST_SMTP_PATH_QUOTED) != 0));
	plain = pst_smtp_local_plain(path, area);
	FUZZ_CHECK(plain.len <= path->local.len);
	for (uint32_t i = 0; i < plain.len; i++)
		routes |= plain.at[i] == '%' || plain.at[i] == '!' || plain.at[i] == '@';
	FUZZ_CHECK(routes == pst_smtp_local_routes(path));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct pst_smtp_path path, again;
	uint8_t *copy;
	struct pst_span in, rest;
	int ret;

	if (size > 4096)
		return 0;
	copy = fuzz_copy(data, size);
	in = (struct pst_span){copy, (uint32_t)size};
	ret = pst_smtp_path_parse(in, &path, &rest);
	FUZZ_CHECK(ret == 0 || ret == -PST_E_SYNTAX || ret == -PST_E_RANGE);
	if (ret == 0) {
		FUZZ_CHECK(rest.len < in.len && inside(rest, in));
		FUZZ_CHECK(in.at[in.len - rest.len - 1] == '>');
		if (path.flags & PST_SMTP_PATH_NULL) {
			FUZZ_CHECK(path.mailbox.len == 0 && in.len - rest.len == 2);
		} else {
			check_mailbox(&path, in);
			FUZZ_CHECK(pst_smtp_mailbox_parse(path.mailbox, &again) == 0);
			FUZZ_CHECK(again.local.at == path.local.at);
			FUZZ_CHECK(again.local.len == path.local.len);
			FUZZ_CHECK(again.domain.len == path.domain.len);
		}
	}
	ret = pst_smtp_mailbox_parse(in, &path);
	FUZZ_CHECK(ret == 0 || ret == -PST_E_SYNTAX || ret == -PST_E_RANGE);
	if (ret == 0) {
		FUZZ_CHECK(path.mailbox.len == in.len);
		check_mailbox(&path, in);
	}
	ret = pst_smtp_domain_check(in, true);
	FUZZ_CHECK(ret == 0 || pst_smtp_domain_check(in, false) != 0);
	free(copy);
	return 0;
}
