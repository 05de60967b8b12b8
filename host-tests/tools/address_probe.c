/* address_probe - what the path parser makes of a table of addresses
 *
 * Reads lines `context<TAB>input`; context is `path` (with brackets) or `mailbox` (without). The
 * input has the tables' escapes: \\ \t \n \r \xHH. Writes one line for each: `valid` or `invalid`,
 * then the local part and the domain as parsed, escaped the same way and separated by tabs.
 */
#include <stdio.h>

#include "base/span.h"
#include "smtp/path.h"

#define LINE_SIZE 16384u

static int hex_value(int c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

/* Undo the escapes in place.
 *  ret the length that is left, or -1 for an escape that the tables do not have */
static int64_t unescape(uint8_t *at, uint32_t len)
{
	uint32_t from = 0, to = 0;

	while (from < len) {
		uint8_t c = at[from++];

		if (c != '\\') {
			at[to++] = c;
			continue;
		}
		if (from == len)
			return -1;
		c = at[from++];
		switch (c) {
		case '\\':
			at[to++] = '\\';
			break;
		case 't':
			at[to++] = '\t';
			break;
		case 'n':
			at[to++] = '\n';
			break;
		case 'r':
			at[to++] = '\r';
			break;
		case 'x': {
			int high, low;

			if (len - from < 2)
				return -1;
			high = hex_value(at[from]);
			low = hex_value(at[from + 1]);
			if (high < 0 || low < 0)
				return -1;
			at[to++] = (uint8_t)(high * 16 + low);
			from += 2;
			break;
		}
		default:
			return -1;
		}
	}
	return to;
}

static void print_escaped(struct pst_span span)
{
	for (uint32_t i = 0; i < span.len; i++) {
		uint8_t c = span.at[i];

		if (c == '\\')
			fputs("\\\\", stdout);
		else if (c == '\t')
			fputs("\\t", stdout);
		else if (c == '\n')
			fputs("\\n", stdout);
		else if (c == '\r')
			fputs("\\r", stdout);
		else if (c >= 0x20 && c < 0x7f)
			putchar(c);
		else
			printf("\\x%02X", c);
	}
}

static bool parse(struct pst_span context, struct pst_span input, struct pst_smtp_path *path)
{
	struct pst_span rest = PST_SPAN_NONE;

	if (pst_span_eq(context, PST_SPAN("mailbox")))
		return pst_smtp_mailbox_parse(input, path) == 0;
	return pst_smtp_path_parse(input, path, &rest) == 0 && rest.len == 0;
}

/* One line of the table.
 *  ret 0, or -1 if it is not one */
static int probe(uint8_t *line, uint32_t len)
{
	struct pst_span whole = {line, len}, context, input;
	struct pst_smtp_path path = {0};
	int64_t tab = pst_span_find(whole, '\t'), input_len;

	if (tab < 0)
		return -1;
	context = pst_span_sub(whole, 0, (uint32_t)tab);
	if (!pst_span_eq(context, PST_SPAN("path")) && !pst_span_eq(context, PST_SPAN("mailbox")))
		return -1;
	input_len = unescape(line + tab + 1, len - (uint32_t)tab - 1);
	if (input_len < 0)
		return -1;
	input = (struct pst_span){line + tab + 1, (uint32_t)input_len};
	if (!parse(context, input, &path)) {
		puts("invalid\t\t");
		return 0;
	}
	fputs("valid\t", stdout);
	print_escaped(path.local);
	putchar('\t');
	print_escaped(path.domain);
	putchar('\n');
	return 0;
}

int main(void)
{
	static uint8_t line[LINE_SIZE];
	uint32_t len = 0, number = 1;
	int c;

	while ((c = getchar()) != EOF) {
		if (c != '\n' && len == LINE_SIZE) {
			fprintf(stderr, "address_probe: line %u is too long\n", number);
			return 1;
		}
		if (c != '\n') {
			line[len++] = (uint8_t)c;
			continue;
		}
		if (probe(line, len) != 0) {
			fprintf(stderr, "address_probe: line %u is no row of an address table\n",
				number);
			return 1;
		}
		number++;
		len = 0;
	}
	return 0;
}
