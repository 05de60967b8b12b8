/* fuzz_rules_view.c - a header as rules see it: every target, every function, with and without a live client */
#include "fuzz/fuzz.h"
#include "rules/eval.h"
#include "rules/view.h"

static const char *const targets[] = {
	"ALL", "ALL:raw", "ALL-TRUSTED", "ALL-UNTRUSTED", "ALL-EXTERNAL", "ToCc", "ToCc:addr", "MESSAGEID",
	"EnvelopeFrom", "X-Spam-Relays-External", "X-Spam-Client-OS", "X-Spam-Relays-Untrusted",
	"X-Spam-Relays-Trusted", "From:name", "From:addr", "From:raw", "From:first:addr", "From:domain",
	"From:host", "Subject", "Received:first", "Received:ip", "Received:revip", "Reply-To:addr",
	"Content-Type", "Date", "To:last:name",
};
static const char *const functions[] = {
	"check_all_trusted", "check_no_relays", "check_relays_unparseable", "helo_ip_mismatch",
	"check_for_no_rdns_dotcom_helo", "check_mailfrom_matches_rcvd", "check_rbl",
	"check_rbl_sub", "check_for_missing_to_header", "check_header_count_range",
	"check_for_shifted_date", "check_illegal_chars", "check_outlook_message_id",
	"check_for_to_in_subject", "check_equal_from_domains",
	"check_for_matching_env_and_hdr_from", "gated_through_received_hdr_remover",
	"subject_is_all_caps", "check_unresolved_template", "check_ratware_name_id",
	"check_for_fake_aol_relay_in_rcvd", "check_freemail_from", "check_freemail_header",
	"check_from_in_list", "check_replyto_in_list", "check_from_in_welcomelist",
	"check_from_in_whitelist", "check_from_in_blocklist", "check_from_in_blacklist",
	"check_to_in_welcomelist", "check_to_in_whitelist", "check_to_in_blocklist",
	"check_to_in_blacklist", "check_to_in_more_spam", "check_to_in_all_spam",
	"have_any_bounce_relays",
};

static uint8_t area[1u << 20];

static void *fuzz_alloc(struct pst_mem *self, size_t size)
{
	(void)self;
	return calloc(1, size);
}

static void fuzz_free(struct pst_mem *self, void *block, size_t size)
{
	(void)self;
	(void)size;
	free(block);
}

static void run(struct pst_span header, bool live)
{
	static const struct pst_span words[] = {PST_SPAN("Subject"), PST_SPAN("800"), PST_SPAN("0.5"),
						PST_SPAN("x"), PST_SPAN("1"), PST_SPAN("2")};
	struct pst_mem mem = {fuzz_alloc, fuzz_free, NULL};
	struct pst_rules_lists lists;
	struct pst_rules_peer peer = {
		.client = {PST_FAMILY_IPV4, 0, 0, {203, 0, 113, 7}},
		.helo = PST_SPAN("client.example"),
		.by = PST_SPAN("mx.example"),
		.id = PST_SPAN("x"),
	};
	struct pst_rules_input input = {
		.header = header,
		.peer = live ? &peer : NULL,
		.mail_from = PST_SPAN("a@b.example"),
		.mail_from_known = live,
		.wall_s = 1700000000,
		.local_only = !live,
	};
	struct pst_rules_view view;
	uint64_t hash[2] = {FUZZ_HASH_BEGIN, FUZZ_HASH_BEGIN};

	FUZZ_CHECK(pst_rules_lists_init(&lists, &mem) == 0);
	if (pst_rules_view_open(&view, &input, area, PST_RULES_AREA_FOR(header.len)) == 0) {
		for (uint32_t round = 0; round < 2; round++)
			for (uint32_t i = 0; i < PST_COUNT(targets); i++) {
				struct pst_span value;
				int state = pst_rules_view_named(&view, pst_span_text(targets[i]), &value);

				if (state > 0)
					hash[round] = fuzz_hash(hash[round], value.at, value.len);
				hash[round] = fuzz_hash(hash[round], &state, sizeof(state));
			}
		FUZZ_CHECK(hash[0] == hash[1]);
		for (uint32_t i = 0; i < PST_COUNT(functions); i++) {
			const struct pst_rules_eval *eval = pst_rules_eval_find(pst_span_text(functions[i]));
			struct pst_rules_eval_call call = {.view = &view, .lists = &lists, .args = words};

			FUZZ_CHECK(eval != NULL);
			call.arg_count = eval->arg_min;
			if (call.arg_count <= PST_COUNT(words))
				(void)eval->run(&call);
		}
	}
	pst_rules_lists_fini(&lists);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size > 32768)
		return 0;
	copy = fuzz_copy(data, size);
	run((struct pst_span){copy, (uint32_t)size}, false);
	run((struct pst_span){copy, (uint32_t)size}, true);
	free(copy);
	return 0;
}
