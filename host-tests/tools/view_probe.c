/* view_probe - what rules see of messages
 *
 *   view_probe TARGET,TARGET... [RULE-FILE] < names of message files, one a line
 *
 * Writes one line for each file: its name, then for each target a tab and the value, escaped as in
 * the tables (\\ \t \n \r \xHH); "-" alone for a value that does not exist, "+" in front of one that
 * does. Of the rule file only the directives of lists are read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mail/charset_iconv.h"
#include "rules/lists.h"
#include "rules/view.h"

#define FILE_MAX 1048576u
#define TARGETS_MAX 128u

static uint8_t message[FILE_MAX];
static _Alignas(16) uint8_t area[PST_RULES_AREA_FOR(65536)];

static void put_value(struct pst_span value)
{
	for (uint32_t i = 0; i < value.len; i++) {
		uint8_t c = value.at[i];

		if (c == '\\')
			printf("\\\\");
		else if (c == '\n')
			printf("\\n");
		else if (c < 0x20 || c > 0x7e)
			printf("\\x%02X", c);
		else
			putchar(c);
	}
}

static struct pst_rules_lists lists;

static void read_lists(const char *name)
{
	FILE *file = fopen(name, "r");
	char line[65536];

	while (file && fgets(line, sizeof(line), file)) {
		struct pst_span rest = pst_span_text(line), word;

		rest.len = (uint32_t)strcspn(line, "#\n");
		word = pst_span_word(&rest);
		if (pst_rules_lists_add(&lists, word, rest) == -PST_E_FULL)
			fprintf(stderr, "%s: lists are full\n", name);
	}
	if (file)
		fclose(file);
}

static int probe(const char *name, const struct pst_rules_target *targets, uint32_t count)
{
	struct pst_rules_view view;
	struct pst_rules_input input = {
		.charset = &pst_charset_iconv, .wall_s = 1, .lists = lists.entry_count ? &lists : NULL};
	FILE *file = fopen(name, "rb");

	if (!file) {
		perror(name);
		return 1;
	}
	input.header = (struct pst_span){message, (uint32_t)fread(message, 1, sizeof(message), file)};
	fclose(file);
	if (pst_rules_view_open(&view, &input, area, sizeof(area))) {
		fprintf(stderr, "%s: no room\n", name);
		return 1;
	}
	printf("%s", name);
	for (uint32_t i = 0; i < count; i++) {
		struct pst_span value;
		int state = pst_rules_view_get(&view, &targets[i], &value);

		printf("\t%c", state > 0 ? '+' : state < 0 ? '!' : '-');
		put_value(value);
	}
	putchar('\n');
	return 0;
}

int main(int argc, char **argv)
{
	struct pst_rules_target targets[TARGETS_MAX];
	uint32_t count = 0;
	char line[4096];
	int status = 0;

	struct pst_mem_system mem;

	pst_mem_system_init(&mem);
	if (pst_rules_lists_init(&lists, &mem.mem))
		return 2;
	if (argc == 3)
		read_lists(argv[2]);
	else if (argc != 2) {
		fprintf(stderr, "usage: view_probe TARGET,TARGET... [RULE-FILE] < names of message files\n");
		return 2;
	}
	for (char *word = strtok(argv[1], ","); word && count < TARGETS_MAX; word = strtok(NULL, ","))
		if (pst_rules_target_parse(pst_span_text(word), &targets[count++])) {
			fprintf(stderr, "view_probe: %s is no target\n", word);
			return 2;
		}
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		status |= probe(line, targets, count);
	}
	pst_rules_lists_fini(&lists);
	return status;
}
