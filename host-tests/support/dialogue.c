/* support/dialogue.c - reading dialogues */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "support/dialogue_priv.h"

#define LINE_MAX_BYTES 4096
#define FOUND_MAX 1024

struct reading {
	struct pst_dialogue *dialogue;
	struct pst_bytes *error;
	uint32_t line;
	bool begun; /* a step has been read */
	struct pst_bytes block; /* of a repeat, line by line */
	uint32_t block_line, block_times;
};

static bool complain(struct reading *reading, const char *what)
{
	pst_bytes_print(reading->error, "%s:%u: %s", reading->dialogue->path, reading->line, what);
	return false;
}

static struct pst_step *step_new(struct reading *reading, enum pst_step_kind kind, uint32_t who)
{
	struct pst_dialogue *dialogue = reading->dialogue;
	struct pst_step *step;

	if (dialogue->step_count == dialogue->step_size) {
		dialogue->step_size = 2 * dialogue->step_size + 32;
		dialogue->steps = realloc(dialogue->steps,
					  dialogue->step_size * sizeof(*dialogue->steps));
		PST_BUG_ON(!dialogue->steps);
	}
	step = &dialogue->steps[dialogue->step_count++];
	*step = (struct pst_step){.kind = (uint8_t)kind, .who = who, .line = reading->line};
	reading->begun = true;
	return step;
}

/* --- text ------------------------------------------------------------------------------------- */

static int hex_of(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One escaped or plain byte. */
static const char *take_byte(const char *at, uint8_t *byte)
{
	if (*at != '\\') {
		*byte = (uint8_t)*at;
		return at + 1;
	}
	switch (at[1]) {
	case 'r':
		*byte = '\r';
		return at + 2;
	case 'n':
		*byte = '\n';
		return at + 2;
	case 't':
		*byte = '\t';
		return at + 2;
	case '0':
		*byte = 0;
		return at + 2;
	case '\\':
	case '{':
	case '}':
		*byte = (uint8_t)at[1];
		return at + 2;
	case 'x':
		if (hex_of(at[2]) >= 0 && hex_of(at[3]) >= 0) {
			*byte = (uint8_t)(hex_of(at[2]) * 16 + hex_of(at[3]));
			return at + 4;
		}
		return NULL;
	default:
		return NULL;
	}
}

static bool expand_until(struct reading *reading, const char **text, char end,
			 struct pst_bytes *out)
{
	const char *at = *text;

	while (*at && *at != end) {
		if (*at == '{' && !end) {
			struct pst_bytes unit = {0};
			char *star;
			unsigned long times = strtoul(at + 1, &star, 10);

			if (*star != '*' || times > 10000000)
				return complain(reading, "a repetition is {N*text}");
			at = star + 1;
			if (!expand_until(reading, &at, '}', &unit))
				return false;
			while (times-- > 0)
				pst_bytes_add_span(out, pst_bytes_from(&unit, 0));
			pst_bytes_free(&unit);
		} else {
			uint8_t byte;

			at = take_byte(at, &byte);
			if (!at)
				return complain(reading, "escapes are \\r \\n \\t \\0 \\\\ \\{ \\} \\xHH");
			pst_bytes_add(out, &byte, 1);
		}
	}
	if (end && *at != end)
		return complain(reading, "a repetition is not closed");
	*text = end ? at + 1 : at;
	return true;
}

static bool expand(struct reading *reading, const char *text, struct pst_bytes *out)
{
	pst_bytes_cut(out, 0);
	pst_bytes_add(out, "", 0);
	return expand_until(reading, &text, 0, out);
}

static bool compile(struct reading *reading, struct pst_step *step, const char *text)
{
	step->is_regex = true;
	pst_bytes_add(&step->text, text, (uint32_t)strlen(text));
	if (regcomp(&step->regex, text, REG_EXTENDED | REG_NOSUB) == 0)
		return true;
	step->is_regex = false;
	return complain(reading, "no regular expression");
}

/* --- steps ------------------------------------------------------------------------------------ */

static bool plain(struct reading *reading, enum pst_step_kind kind, uint32_t who, const char *text)
{
	struct pst_step *step = step_new(reading, kind, who);

	return expand(reading, text, &step->text);
}

static bool line_out(struct reading *reading, enum pst_step_kind kind, uint32_t who,
		     const char *text)
{
	if (!plain(reading, kind, who, text))
		return false;
	pst_bytes_add(&reading->dialogue->steps[reading->dialogue->step_count - 1].text, "\r\n", 2);
	return true;
}

static bool raw(struct reading *reading, enum pst_step_kind kind, uint32_t who, const char *text)
{
	struct pst_step *step = step_new(reading, kind, who);

	pst_bytes_add(&step->text, text, (uint32_t)strlen(text));
	return true;
}

/* "C! envelope FROM TO...", and with a message behind it. */
static bool macro(struct reading *reading, uint32_t who, char *words, bool with_message)
{
	char area[LINE_MAX_BYTES], *rest = words, *word = strsep(&rest, " ");
	bool good = true;

	snprintf(area, sizeof(area), "MAIL FROM:<%s>", word);
	good = good && line_out(reading, PST_STEP_SAY, who, area) &&
	       raw(reading, PST_STEP_REPLY, who, "250");
	while (good && (word = strsep(&rest, " "))) {
		snprintf(area, sizeof(area), "RCPT TO:<%s>", word);
		good = line_out(reading, PST_STEP_SAY, who, area) &&
		       raw(reading, PST_STEP_REPLY, who, "250");
	}
	good = good && line_out(reading, PST_STEP_SAY, who, "DATA") &&
	       raw(reading, PST_STEP_REPLY, who, "354");
	if (with_message)
		good = good &&
		       line_out(reading, PST_STEP_SAY, who, "Subject: test\\r\\n\\r\\ntext\\r\\n.") &&
		       raw(reading, PST_STEP_REPLY, who, "250");
	return good;
}

static bool client_act(struct reading *reading, uint32_t who, char *text)
{
	if (strcmp(text, "hello") == 0)
		return raw(reading, PST_STEP_CLIENT, who, "connect") &&
		       raw(reading, PST_STEP_REPLY, who, "220") &&
		       line_out(reading, PST_STEP_SAY, who, "EHLO client.example") &&
		       raw(reading, PST_STEP_REPLY, who, "250");
	if (strncmp(text, "envelope ", 9) == 0)
		return macro(reading, who, text + 9, false);
	if (strncmp(text, "message ", 8) == 0)
		return macro(reading, who, text + 8, true);
	return raw(reading, PST_STEP_CLIENT, who, text);
}

static bool take_time(struct reading *reading, const char *text)
{
	struct pst_step *step = step_new(reading, PST_STEP_TIME, 0);
	char *unit;

	step->number = strtoul(text, &unit, 10);
	if (unit == text)
		return complain(reading, "a time is 250ms, 30s or 5m");
	if (strcmp(unit, "s") == 0)
		step->number *= 1000;
	else if (strcmp(unit, "m") == 0)
		step->number *= 60000;
	else if (strcmp(unit, "ms") != 0)
		return complain(reading, "a time is 250ms, 30s or 5m");
	return true;
}

static bool counter(struct reading *reading, const char *text)
{
	struct pst_step *step = step_new(reading, PST_STEP_COUNTER, 0);
	const char *blank = strchr(text, ' ');

	if (!blank)
		return complain(reading, "a counter is NAME VALUE");
	pst_bytes_add(&step->text, text, (uint32_t)(blank - text));
	step->number = strtoul(blank + 1, NULL, 10);
	return true;
}

static bool regular(struct reading *reading, enum pst_step_kind kind, uint32_t who,
		    const char *text)
{
	return compile(reading, step_new(reading, kind, who), text);
}

/* "[Nx ]PREFIX => REPLY [& close|reset|deaf]", or close, reset, deaf or hang in place of a reply. */
static bool rule(struct reading *reading, uint32_t who, char *text)
{
	struct pst_step *step = step_new(reading, PST_STEP_RULE, who);
	char *arrow = strstr(text, " => "), *reply, *also, *times;

	if (!arrow)
		return complain(reading, "a rule is PREFIX => REPLY");
	*arrow = 0;
	reply = arrow + 4;
	step->number = strtoul(text, &times, 10);
	if (times > text && strncmp(times, "x ", 2) == 0)
		text = times + 2;
	else
		step->number = UINT32_MAX;
	pst_bytes_add(&step->text, text, (uint32_t)strlen(text));
	also = strstr(reply, " & ");
	if (also) {
		*also = 0;
		also += 3;
	} else if (strcmp(reply, "close") == 0 || strcmp(reply, "reset") == 0 ||
		   strcmp(reply, "deaf") == 0 || strcmp(reply, "hang") == 0) {
		also = reply;
		reply = NULL;
	}
	if (also && strcmp(also, "close") == 0)
		step->end = PST_PEER_CLOSE;
	else if (also && strcmp(also, "reset") == 0)
		step->end = PST_PEER_RESET;
	else if (also && strcmp(also, "deaf") == 0)
		step->deaf = true;
	else if (also && strcmp(also, "hang") != 0)
		return complain(reading, "behind & stands close, reset or deaf");
	if (!reply)
		return true;
	if (!expand(reading, reply, &step->reply))
		return false;
	pst_bytes_add(&step->reply, "\r\n", 2);
	return true;
}

/* The end of a block of D lines. */
static void complete(struct reading *reading)
{
	struct pst_dialogue *dialogue = reading->dialogue;

	if (dialogue->step_count > 0 &&
	    dialogue->steps[dialogue->step_count - 1].kind == PST_STEP_CONTENT)
		(void)step_new(reading, PST_STEP_COMPLETE, 0);
}

static bool content(struct reading *reading, char op, char *text)
{
	struct pst_dialogue *dialogue = reading->dialogue;
	uint8_t before = dialogue->step_count > 0
				 ? dialogue->steps[dialogue->step_count - 1].kind
				 : PST_STEP_TIME;

	if (before != PST_STEP_DELIVERED && before != PST_STEP_CONTENT)
		return complain(reading, "D| stands behind a D:");
	if (op == '~')
		return regular(reading, PST_STEP_CONTENT, 0, text);
	if (op == '|')
		return line_out(reading, PST_STEP_CONTENT, 0, text);
	return plain(reading, PST_STEP_CONTENT, 0, text);
}

/*  in  actor: C S I D T W L N P
 *      op: the signs behind it */
static bool step(struct reading *reading, char actor, uint32_t who, const char *op, char *text)
{
	char sign = op[0];

	if (actor == 'D' && sign != ':')
		return content(reading, sign, text);
	complete(reading);
	if (actor == 'D')
		return plain(reading, PST_STEP_DELIVERED, who, text);
	if (strcmp(op, "!~") == 0 && actor == 'L')
		return regular(reading, PST_STEP_NO_LOG, who, text);
	if (strlen(op) != 1)
		return complain(reading, "what is that?");
	if (actor == 'C' && sign == ':')
		return line_out(reading, PST_STEP_SAY, who, text);
	if (actor == 'C' && sign == '-')
		return plain(reading, PST_STEP_SAY, who, text);
	if (actor == 'C' && sign == '!')
		return client_act(reading, who, text);
	if (actor == 'S' && sign == ':')
		return plain(reading, PST_STEP_LINE, who, text);
	if (actor == 'S' && sign == '~')
		return regular(reading, PST_STEP_LINE, who, text);
	if (actor == 'S' && sign == '*')
		return raw(reading, PST_STEP_REPLY, who, text);
	if (actor == 'S' && sign == '!')
		return raw(reading, PST_STEP_STATE, who, text);
	if (actor == 'I' && sign == '?')
		return rule(reading, who, text);
	if (actor == 'I' && sign == '<')
		return plain(reading, PST_STEP_HEARD, who, text);
	if (actor == 'I' && sign == '~')
		return regular(reading, PST_STEP_HEARD, who, text);
	if (actor == 'I' && sign == ':')
		return line_out(reading, PST_STEP_ANSWER, who, text);
	if (actor == 'I' && sign == '-')
		return plain(reading, PST_STEP_ANSWER, who, text);
	if (actor == 'I' && sign == '!')
		return raw(reading, PST_STEP_SERVER, who, text);
	if (actor == 'T' && sign == ':')
		return take_time(reading, text);
	if (actor == 'W' && sign == ':')
		return raw(reading, PST_STEP_QUIET, who, text);
	if (actor == 'L' && sign == '~')
		return regular(reading, PST_STEP_LOG, who, text);
	if (actor == 'N' && sign == ':')
		return counter(reading, text);
	if (actor == 'P' && sign == '!') {
		if (!raw(reading, PST_STEP_PROXY, who, text))
			return false;
		reading->dialogue->steps[reading->dialogue->step_count - 1].number =
			reading->dialogue->conf_more.len;
		reading->dialogue->reload_count++;
		return true;
	}
	return complain(reading, "what is that?");
}

/* --- lines ------------------------------------------------------------------------------------ */

static bool knob(struct reading *reading, const char *line)
{
	struct pst_dialogue *dialogue = reading->dialogue;

	if (strncmp(line, "conf ", 5) == 0) {
		struct pst_bytes *conf = reading->begun ? &dialogue->conf_more : &dialogue->conf;

		if (reading->begun)
			pst_bytes_add(conf, &dialogue->reload_count, 1);
		pst_bytes_print(conf, "%s\n", line + 5);
		return true;
	}
	if (strncmp(line, "occupied ", 9) == 0) {
		pst_bytes_print(&dialogue->occupied, "%s", line + 9);
		return true;
	}
	if (strncmp(line, "pipe ", 5) == 0)
		dialogue->pipe_bytes = (uint32_t)strtoul(line + 5, NULL, 10);
	else if (strcmp(line, "only memory") == 0)
		dialogue->only_memory = true;
	else if (strcmp(line, "no cuts") == 0)
		dialogue->no_cuts = true;
	else if (strcmp(line, "no alloc") == 0)
		dialogue->no_alloc = true;
	else if (strcmp(line, "no recovery") == 0)
		dialogue->no_recovery = true;
	else if (strcmp(line, "no order") == 0)
		dialogue->no_order = true;
	else if (strcmp(line, "cold") == 0)
		dialogue->cold = true;
	else
		return complain(reading, "what is that?");
	return true;
}

static bool read_line(struct reading *reading, char *line)
{
	static const char signs[] = ":-~!<?*|";
	char op[4] = "", *at = line + 1;
	uint32_t who, len = 0;

	if (line[0] == 0 || line[0] == '#')
		return true;
	if (!strchr("CSIDTWLNP", line[0]) || (line[0] >= 'a' && line[0] <= 'z'))
		return knob(reading, line);
	who = (uint32_t)strtoul(at, &at, 10);
	while (*at && strchr(signs, *at) && len < sizeof(op) - 1)
		op[len++] = *at++;
	if (len == 0 || (*at && *at != ' '))
		return complain(reading, "what is that?");
	if (who >= PST_DIALOGUE_ENDS_MAX || (line[0] == 'I' && who > PST_DIALOGUE_SERVERS_MAX))
		return complain(reading, "too high a number");
	return step(reading, line[0], PST_MAX(who, 1), op, *at ? at + 1 : at);
}

/* A line of a repeated block: "$n" is which time it is. */
static bool read_numbered(struct reading *reading, const char *line, uint32_t number)
{
	char area[LINE_MAX_BYTES];
	size_t len = 0;

	while (*line && len < sizeof(area) - 12) {
		if (line[0] == '$' && line[1] == 'n') {
			len += (size_t)sprintf(area + len, "%u", number);
			line += 2;
		} else {
			area[len++] = *line++;
		}
	}
	area[len] = 0;
	return read_line(reading, area);
}

static bool read_block(struct reading *reading)
{
	uint32_t end_line = reading->line;
	bool good = true;

	for (uint32_t n = 1; good && n <= reading->block_times; n++) {
		const char *at = (const char *)reading->block.at;

		reading->line = reading->block_line;
		while (good && at < (const char *)reading->block.at + reading->block.len) {
			reading->line++;
			good = read_numbered(reading, at, n);
			at += strlen(at) + 1;
		}
	}
	reading->line = end_line;
	pst_bytes_free(&reading->block);
	reading->block_times = 0;
	return good;
}

static bool read_or_keep(struct reading *reading, char *line)
{
	if (reading->block_times > 0 && strcmp(line, "end") == 0)
		return read_block(reading);
	if (reading->block_times > 0) {
		pst_bytes_add(&reading->block, line, (uint32_t)strlen(line) + 1);
		return true;
	}
	if (strncmp(line, "repeat ", 7) == 0) {
		reading->block_times = (uint32_t)strtoul(line + 7, NULL, 10);
		reading->block_line = reading->line;
		return reading->block_times > 0 || complain(reading, "repeat how often?");
	}
	return read_line(reading, line);
}

static bool read_all(struct reading *reading, FILE *file)
{
	struct pst_dialogue *dialogue = reading->dialogue;
	char line[LINE_MAX_BYTES];

	while (fgets(line, sizeof(line), file)) {
		size_t len = strlen(line);

		reading->line++;
		if (len == 0 || line[len - 1] != '\n')
			return complain(reading, "too long a line, or no line end");
		line[len - 1] = 0;
		if (!read_or_keep(reading, line))
			return false;
	}
	if (reading->block_times > 0)
		return complain(reading, "a repeat without its end");
	complete(reading);
	while (dialogue->first_step < dialogue->step_count &&
	       (dialogue->steps[dialogue->first_step].kind == PST_STEP_RULE ||
		dialogue->steps[dialogue->first_step].kind == PST_STEP_SERVER))
		dialogue->first_step++;
	return reading->begun || complain(reading, "nobody says anything");
}

struct pst_dialogue *pst_dialogue_read(const char *path, struct pst_bytes *error)
{
	struct reading reading = {.error = error};
	struct pst_dialogue *dialogue = calloc(1, sizeof(*dialogue));
	const char *name = strrchr(path, '/'), *folder = name;
	FILE *file = fopen(path, "rb");
	bool good;

	PST_BUG_ON(!dialogue || !name);
	while (folder > path && folder[-1] != '/')
		folder--;
	dialogue->path = strdup(path);
	dialogue->name = strdup(folder);
	PST_BUG_ON(!dialogue->path || !dialogue->name);
	reading.dialogue = dialogue;
	good = file ? read_all(&reading, file) : complain(&reading, "cannot be opened");
	if (file)
		fclose(file);
	pst_bytes_free(&reading.block);
	if (good)
		return dialogue;
	pst_dialogue_free(dialogue);
	return NULL;
}

void pst_dialogue_free(struct pst_dialogue *dialogue)
{
	for (uint32_t i = 0; i < dialogue->step_count; i++) {
		pst_bytes_free(&dialogue->steps[i].text);
		pst_bytes_free(&dialogue->steps[i].reply);
		if (dialogue->steps[i].is_regex)
			regfree(&dialogue->steps[i].regex);
	}
	free(dialogue->steps);
	pst_bytes_free(&dialogue->conf);
	pst_bytes_free(&dialogue->conf_more);
	pst_bytes_free(&dialogue->occupied);
	free(dialogue->path);
	free(dialogue->name);
	free(dialogue);
}

const char *pst_dialogue_name(const struct pst_dialogue *dialogue)
{
	return dialogue->name;
}

bool pst_dialogue_plays_kernel(const struct pst_dialogue *dialogue)
{
	return !dialogue->only_memory;
}

bool pst_dialogue_has_order(const struct pst_dialogue *dialogue)
{
	return !dialogue->no_order;
}

bool pst_dialogue_plays_cut(const struct pst_dialogue *dialogue)
{
	return !dialogue->no_cuts;
}

bool pst_dialogue_plays_alloc(const struct pst_dialogue *dialogue)
{
	return !dialogue->no_alloc;
}

/* --- files ------------------------------------------------------------------------------------ */

static void find_below(const char *folder, char **found, uint32_t *count, uint32_t depth)
{
	struct dirent **entries;
	int n = scandir(folder, &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name, *dot = strrchr(name, '.');
		char path[1024];
		struct stat status;

		snprintf(path, sizeof(path), "%s/%s", folder, name);
		if (name[0] == '.' || stat(path, &status) != 0) {
			free(entries[i]);
			continue;
		}
		if (S_ISDIR(status.st_mode) && depth > 0)
			find_below(path, found, count, depth - 1);
		else if (dot && strcmp(dot, ".smtp") == 0 && *count < FOUND_MAX)
			found[(*count)++] = strdup(path);
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
}

char **pst_dialogue_find(const char *folder, uint32_t *count)
{
	char **found = calloc(FOUND_MAX, sizeof(*found));

	PST_BUG_ON(!found);
	*count = 0;
	find_below(folder, found, count, 3);
	return found;
}
