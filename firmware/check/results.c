/* check/results.c - see results.h */
#include "check/results.h"

#include "check/spf.h"

#define VALUE_MAX 320 /* of what a client said; longer is left out */

/* RFC 5322 section 3.2.3, and the dot. */
static bool is_dot_atom(struct pst_span text)
{
	static const struct pst_span marks = PST_SPAN("!#$%&'*+-/=?^_`{|}~.");

	for (uint32_t i = 0; i < text.len; i++)
		if (!pst_is_alnum(text.at[i]) && pst_span_find(marks, text.at[i]) < 0)
			return false;
	return text.len > 0;
}

static bool is_sayable(struct pst_span text)
{
	for (uint32_t i = 0; i < text.len; i++)
		if (!pst_is_print(text.at[i]))
			return false;
	return text.len > 0 && text.len <= VALUE_MAX;
}

static int put_quoted(struct pst_buf *out, struct pst_span text)
{
	int ret = pst_buf_put_byte(out, '"');

	for (uint32_t i = 0; i < text.len && !ret; i++) {
		if (text.at[i] == '"' || text.at[i] == '\\')
			ret = pst_buf_put_byte(out, '\\');
		ret = ret ? ret : pst_buf_put_byte(out, text.at[i]);
	}
	return ret ? ret : pst_buf_put_byte(out, '"');
}

/* BEFORE NAME=VALUE, or nothing at all. */
static int put_pair(struct pst_buf *out, const char *before, const char *name, struct pst_span value)
{
	int64_t at = pst_span_rfind(value, '@');
	bool plain = is_dot_atom(value) ||
		     (at > 0 && is_dot_atom(pst_span_sub(value, 0, (uint32_t)at)) &&
		      is_dot_atom(pst_span_sub(value, (uint32_t)at + 1, value.len)));
	int ret;

	if (!is_sayable(value))
		return 0;
	ret = pst_buf_printf(out, "%s%s=", before, name);
	return ret ? ret : plain ? pst_buf_put(out, value) : put_quoted(out, value);
}

static int put_address(struct pst_buf *out, const char *before, const struct pst_addr *addr)
{
	uint8_t area[PST_ADDR_TEXT_MAX];
	struct pst_buf text;
	int ret = pst_buf_put_text(out, before);

	pst_buf_init(&text, area, sizeof(area));
	pst_addr_put(&text, addr);
	if (ret)
		return ret;
	/* A colon is no token's (RFC 2045 section 5.1). */
	return addr->family == PST_FAMILY_IPV6 ? put_quoted(out, pst_buf_span(&text))
					       : pst_buf_put(out, pst_buf_span(&text));
}

static int put_method(struct pst_buf *out, const char *method, const char *result)
{
	return pst_buf_printf(out, ";\r\n\t%s=%s", method, result);
}

int pst_results_put_authentication(struct pst_buf *out, const struct pst_results *results)
{
	static const char *const iprev[] = {
		[PST_RDNS_UNKNOWN] = "temperror",
		[PST_RDNS_NONE] = "permerror",
		[PST_RDNS_UNCONFIRMED] = "fail",
		[PST_RDNS_CONFIRMED] = "pass",
	};
	int ret = pst_buf_put_text(out, "Authentication-Results: ");

	ret = ret ? ret : pst_buf_put(out, results->hostname);
	if (results->mail_asked) {
		ret = ret ? ret
			  : put_method(out, "spf", pst_spf_result_name(results->mail_result));
		ret = ret ? ret : put_pair(out, " ", "smtp.mailfrom", results->mailbox);
	}
	if (results->helo_asked) {
		ret = ret ? ret
			  : put_method(out, "spf", pst_spf_result_name(results->helo_result));
		ret = ret ? ret : put_pair(out, " ", "smtp.helo", results->helo);
	}
	if (results->client.family != PST_FAMILY_NONE && !results->relayed) {
		ret = ret ? ret : put_method(out, "iprev", iprev[results->rdns]);
		ret = ret ? ret : put_address(out, " policy.iprev=", &results->client);
	}
	if (!results->mail_asked && !results->helo_asked &&
	    (results->client.family == PST_FAMILY_NONE || results->relayed))
		ret = ret ? ret : pst_buf_put_text(out, "; none");
	return ret ? ret : pst_buf_put_text(out, "\r\n");
}

int pst_results_put_received_spf(struct pst_buf *out, const struct pst_results *results)
{
	bool of_mail = results->mail_asked;
	int ret;

	if (!of_mail && !results->helo_asked)
		return 0;
	ret = pst_buf_printf(out, "Received-SPF: %s client-ip=",
			     pst_spf_result_name(of_mail ? results->mail_result
							 : results->helo_result));
	ret = ret ? ret : put_address(out, "", &results->client);
	ret = ret ? ret : put_pair(out, ";\r\n\t", "envelope-from", results->mailbox);
	ret = ret ? ret : put_pair(out, ";\r\n\t", "helo", results->helo);
	ret = ret ? ret : put_pair(out, ";\r\n\t", "receiver", results->hostname);
	ret = ret ? ret : pst_buf_printf(out, ";\r\n\tidentity=%s", of_mail ? "mailfrom" : "helo");
	ret = ret ? ret : put_pair(out, ";\r\n\t", "mechanism", results->mechanism);
	if (results->problem)
		ret = ret ? ret
			  : put_pair(out, ";\r\n\t", "problem", pst_span_text(results->problem));
	return ret ? ret : pst_buf_put_text(out, "\r\n");
}
