/* spf_probe - the SPF core over zones from standard input
 *
 * Lines, fields separated by tabs, HEX for bytes in hexadecimal:
 *   zone OWNER TYPE HEX     fault OWNER timeout|servfail     clear
 *   check CLIENT HELO-HEX LOCAL-HEX DOMAIN-HEX               prints RESULT<TAB>EXPLANATION-HEX<TAB>PROBLEM
 * Questions that are open at a time are answered in the order asked, or last first with -r.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/spf.h"
#include "support/dns_zone.h"

#define LINE_MAX_BYTES 65536
#define OPEN_MAX 32

static uint32_t unhex(const char *text, uint8_t *out, uint32_t size)
{
	uint32_t len = 0;
	unsigned byte;

	while (len < size && sscanf(text, "%2x", &byte) == 1) {
		out[len++] = (uint8_t)byte;
		text += 2;
	}
	return len;
}

static void run(struct pst_dns_zone *zone, const struct pst_spf_params *params, bool reversed)
{
	static struct pst_spf spf;
	struct pst_question open[OPEN_MAX];
	uint32_t count = 0;

	pst_spf_begin(&spf, params);
	while (!pst_spf_done(&spf)) {
		struct pst_dns_record records[PST_DNS_RECORDS_MAX];
		struct pst_question question;
		struct pst_dns_answer answer;
		uint32_t after_ms;

		while (count < OPEN_MAX && pst_spf_ask(&spf, &open[count]))
			count++;
		PST_BUG_ON(count == 0);
		question = reversed ? open[count - 1] : open[0];
		count--;
		if (!reversed)
			memmove(&open[0], &open[1], count * sizeof(open[0]));
		answer = pst_dns_zone_answer(zone, (struct pst_span){question.name, question.name_len},
					     question.type, records, &after_ms);
		pst_spf_answer(&spf, question.id, &answer);
	}
	printf("%s\t", pst_spf_result_name(spf.result));
	for (uint32_t i = 0; i < spf.explanation_len; i++)
		printf("%02x", spf.explanation[i]);
	printf("\t%s\n", spf.problem ? spf.problem : "");
	fflush(stdout);
}

static bool check(struct pst_dns_zone *zone, char *fields[], bool reversed)
{
	static uint8_t area[3][1024];
	struct pst_spf_params params = {
		.receiver = PST_SPAN("receiver.example"),
		.lookup_count_max = 10,
		.void_count_max = 2,
		.wall_s = 1700000000,
	};

	params.helo = (struct pst_span){area[0], unhex(fields[2], area[0], sizeof(area[0]))};
	params.local = (struct pst_span){area[1], unhex(fields[3], area[1], sizeof(area[1]))};
	params.domain = (struct pst_span){area[2], unhex(fields[4], area[2], sizeof(area[2]))};
	if (pst_addr_parse(pst_span_text(fields[1]), &params.client))
		return false;
	pst_addr_unmap(&params.client);
	run(zone, &params, reversed);
	return true;
}

int main(int argc, char **argv)
{
	static struct pst_dns_zone zone;
	static char line[LINE_MAX_BYTES];
	static uint8_t data[LINE_MAX_BYTES / 2];
	bool reversed = argc > 1 && !strcmp(argv[1], "-r");

	pst_dns_zone_init(&zone, NULL);
	while (fgets(line, sizeof(line), stdin)) {
		char *fields[5] = {line};
		uint32_t count = 1;
		bool good = true;

		line[strcspn(line, "\n")] = 0;
		for (char *at = line; *at && count < 5; at++)
			if (*at == '\t') {
				*at = 0;
				fields[count++] = at + 1;
			}
		if (!strcmp(fields[0], "clear"))
			pst_dns_zone_clear(&zone);
		else if (!strcmp(fields[0], "zone") && count == 4)
			good = pst_dns_zone_add_record(
				&zone, fields[1], fields[2],
				(struct pst_span){data, unhex(fields[3], data, sizeof(data))});
		else if (!strcmp(fields[0], "fault") && count == 3)
			good = pst_dns_zone_add_record(&zone, fields[1], "ANY",
						       pst_span_text(fields[2]));
		else
			good = !strcmp(fields[0], "check") && count == 5 &&
			       check(&zone, fields, reversed);
		if (!good)
			fprintf(stderr, "spf_probe: cannot read: %s\n", fields[0]);
	}
	pst_dns_zone_fini(&zone);
	return 0;
}
