/* fuzz_mail_header.c - walking a header: nothing is lost, nothing is made up */
#include "fuzz/fuzz.h"
#include "mail/header.h"

static void check_field(const struct pst_mail_field *field)
{
	struct pst_span id;

	FUZZ_CHECK(field->name.at == field->whole.at);
	FUZZ_CHECK(field->name.len > 0 && field->name.len < field->whole.len);
	for (uint32_t i = 0; i < field->name.len; i++)
		FUZZ_CHECK(field->name.at[i] > ' ' && field->name.at[i] < 0x7f &&
			   field->name.at[i] != ':');
	FUZZ_CHECK(field->value.at > field->name.at);
	FUZZ_CHECK(field->value.at[-1] == ':');
	FUZZ_CHECK(field->value.at + field->value.len <= field->whole.at + field->whole.len);
	FUZZ_CHECK(pst_mail_field_starts(field->whole));
	id = pst_mail_authserv_id(field->value);
	FUZZ_CHECK(id.len == 0 || (id.at >= field->value.at &&
				   id.at + id.len <= field->value.at + field->value.len));
	if (pst_mail_field_forged(field, PST_SPAN("mx.example.org")))
		FUZZ_CHECK(pst_span_starts_nocase(field->name, PST_SPAN("X-Spam-")) ||
			   pst_span_eq_nocase(field->name, PST_SPAN("Authentication-Results")));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;
	const uint8_t *at;
	struct pst_span rest;
	struct pst_mail_field field;

	if (size > 65536)
		return 0;
	copy = fuzz_copy(data, size);
	at = copy;
	rest = (struct pst_span){copy, (uint32_t)size};
	while (pst_mail_header_next(&rest, &field)) {
		FUZZ_CHECK(field.whole.at == at && field.whole.len > 0);
		at += field.whole.len;
		check_field(&field);
		/* the next line does not belong to this field */
		FUZZ_CHECK(rest.len == 0 || !pst_is_blank(rest.at[0]));
	}
	FUZZ_CHECK(rest.len == size - (size_t)(at - copy));
	FUZZ_CHECK(rest.len == 0 || rest.at == at);
	free(copy);
	return 0;
}
