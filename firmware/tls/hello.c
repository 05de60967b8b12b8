/* tls/hello.c - what a ClientHello says about the certificates that the client can check */
#include "tls/hello.h"

#define EXTENSION_GROUPS 10
#define EXTENSION_SIGNATURES 13

#define GROUP_P256 0x0017
#define GROUP_P384 0x0018

#define ECDSA_SECP256R1_SHA256 0x0403
#define ECDSA_SECP384R1_SHA384 0x0503

/* Version and random bytes, which stand in front. */
#define FIXED_BYTES 34

struct lists {
	struct pst_span ciphers;
	struct pst_span groups;
	struct pst_span signatures;
	bool has_groups;
	bool has_signatures;
};

static uint32_t u16_at(struct pst_span span, uint32_t at)
{
	return (uint32_t)span.at[at] << 8 | span.at[at + 1];
}

/* Cuts a vector whose length stands in front in `width` bytes. */
static bool cut(struct pst_span *rest, uint32_t width, struct pst_span *out)
{
	uint32_t len;

	if (rest->len < width)
		return false;
	len = width == 1 ? rest->at[0] : u16_at(*rest, 0);
	if (rest->len - width < len)
		return false;
	*out = pst_span_sub(*rest, width, len);
	*rest = pst_span_sub(*rest, width + len, rest->len);
	return true;
}

static bool read_extension(struct pst_span *rest, struct lists *lists)
{
	struct pst_span data;
	uint32_t type;

	if (rest->len < 2)
		return false;
	type = u16_at(*rest, 0);
	*rest = pst_span_sub(*rest, 2, rest->len);
	if (!cut(rest, 2, &data))
		return false;
	if (type == EXTENSION_GROUPS)
		return lists->has_groups = cut(&data, 2, &lists->groups);
	if (type == EXTENSION_SIGNATURES)
		return lists->has_signatures = cut(&data, 2, &lists->signatures);
	return true;
}

static bool read_lists(struct pst_span body, struct lists *lists)
{
	struct pst_span rest, skipped, extensions;

	*lists = (struct lists){.has_groups = false};
	if (body.len < FIXED_BYTES)
		return false;
	rest = pst_span_sub(body, FIXED_BYTES, body.len);
	if (!cut(&rest, 1, &skipped) || !cut(&rest, 2, &lists->ciphers) || !cut(&rest, 1, &skipped))
		return false;
	if (rest.len == 0)
		return true;
	if (!cut(&rest, 2, &extensions))
		return false;
	while (extensions.len > 0) {
		if (!read_extension(&extensions, lists))
			return false;
	}
	return true;
}

static bool has_u16(struct pst_span list, uint32_t wanted)
{
	for (uint32_t i = 0; i + 1 < list.len; i += 2) {
		if (u16_at(list, i) == wanted)
			return true;
	}
	return false;
}

static bool has_any_u16(struct pst_span list, const uint16_t *wanted, uint32_t count)
{
	for (uint32_t i = 0; i < count; i++) {
		if (has_u16(list, wanted[i]))
			return true;
	}
	return false;
}

/* TLS 1.2 names the kind of certificate in its cipher suites: ours. The library does not sign with
 * PSS there. */
static const uint16_t ciphers_ecdsa[] = {0xc02b, 0xc02c, 0xcca9};
static const uint16_t ciphers_rsa[] = {0xc02f, 0xc030, 0xcca8};
static const uint16_t signatures_ecdsa[] = {0x0403, 0x0503, 0x0603};
static const uint16_t signatures_rsa[] = {0x0401, 0x0501, 0x0601};
static const uint16_t signatures_pss[] = {0x0804, 0x0805, 0x0806};

bool pst_tls_hello_look(struct pst_span body, struct pst_tls_hello *out)
{
	struct lists lists;
	bool ecdsa, rsa;

	*out = (struct pst_tls_hello){.able_12 = {false}};
	if (!read_lists(body, &lists))
		return false;
	ecdsa = has_any_u16(lists.ciphers, ciphers_ecdsa, PST_COUNT(ciphers_ecdsa)) &&
		(!lists.has_signatures || has_any_u16(lists.signatures, signatures_ecdsa,
						  PST_COUNT(signatures_ecdsa)));
	rsa = has_any_u16(lists.ciphers, ciphers_rsa, PST_COUNT(ciphers_rsa)) &&
	      (!lists.has_signatures ||
		      has_any_u16(lists.signatures, signatures_rsa, PST_COUNT(signatures_rsa)));
	out->able_12[PST_TLS_KEY_P256] =
		ecdsa && (!lists.has_groups || has_u16(lists.groups, GROUP_P256));
	out->able_12[PST_TLS_KEY_P384] =
		ecdsa && (!lists.has_groups || has_u16(lists.groups, GROUP_P384));
	out->able_12[PST_TLS_KEY_RSA] = rsa;
	out->able_13[PST_TLS_KEY_P256] = has_u16(lists.signatures, ECDSA_SECP256R1_SHA256);
	out->able_13[PST_TLS_KEY_P384] = has_u16(lists.signatures, ECDSA_SECP384R1_SHA384);
	out->able_13[PST_TLS_KEY_RSA] =
		has_any_u16(lists.signatures, signatures_pss, PST_COUNT(signatures_pss));
	return true;
}
