/* rules/lines.c - files to lines, lines to a keyword and what stands behind it
 *
 * Each file has conditions of its own: an `if` that is not closed at the end of its file ends
 * there.
 */
#include <string.h>

#include "rules/load_priv.h"

#define MESSAGE_BYTES_MAX 512

/* ---------------------------------------------------------------------------------- complaints */

static void report(struct pst_rules_load *load, const struct pst_rules_message *message,
	const char *format, va_list args)
{
	uint8_t area[MESSAGE_BYTES_MAX];
	struct pst_rules_message whole = *message;
	struct pst_buf text;

	if (message->grade == PST_RULES_ERROR)
		load->error_count++;
	else
		load->warning_count++;
	pst_buf_init(&text, area, sizeof(area));
	if (pst_buf_vprintf(&text, format, args))
		pst_buf_clear(&text);
	whole.text = pst_buf_span(&text);
	load->report->on_message(load->report, &whole);
}

void pst_rules_load_complain(struct pst_rules_load *load, enum pst_rules_grade grade,
	struct pst_span rule, const char *format, ...)
{
	const struct pst_rules_file *file = load->depth ? &load->stack[load->depth - 1] : NULL;
	struct pst_rules_message message = {
		.grade = grade,
		.rule = rule,
		.file = file ? file->name : load->path,
		.line = file ? file->line : 0,
	};
	va_list args;

	va_start(args, format);
	report(load, &message, format, args);
	va_end(args);
}

void pst_rules_load_complain_of(
	struct pst_rules_load *load, const struct pst_rules_name *name, const char *format, ...)
{
	struct pst_rules_message message = {
		.grade = PST_RULES_ERROR,
		.rule = name->text,
		.file = load->files[name->file],
		.line = name->line,
	};
	va_list args;

	va_start(args, format);
	report(load, &message, format, args);
	va_end(args);
}

/* -------------------------------------------------------------------------------------- files */

int pst_rules_load_push(struct pst_rules_load *load, struct pst_span path)
{
	struct pst_rules_file *file;
	int status;

	if (load->depth == PST_RULES_INCLUDE_DEPTH_MAX || load->file_count == PST_RULES_FILES_MAX)
		return -PST_E_FULL;
	file = &load->stack[load->depth];
	*file = (struct pst_rules_file){.index = load->file_count};
	file->name = pst_rules_load_copy(load, path);
	if (load->status)
		return load->status;
	status = load->reader->read(load->reader, file->name, &file->text);
	if (status)
		return status;
	load->files[load->file_count++] = file->name;
	load->depth++;
	return 0;
}

static void pop(struct pst_rules_load *load)
{
	struct pst_rules_file *file = &load->stack[load->depth - 1];

	for (uint32_t i = 0; i < file->if_count; i++)
		pst_rules_load_complain(load, PST_RULES_WARNING, PST_SPAN_NONE,
			"the if of line %u is never closed; it ends with the file",
			(unsigned)file->ifs[i].line);
	load->reader->done(load->reader, file->text);
	load->depth--;
}

/* Open the next file of the path.
 *  ret 1: it is open, or is left out | 0: there is none | -PST_E_* */
static int next_file(struct pst_rules_load *load)
{
	struct pst_span path;
	int status = load->reader->list(load->reader, load->path, load->list_index, &path);

	if (status == -PST_E_NOENT && load->list_index > 0)
		return 0;
	if (status) {
		pst_rules_load_complain(
			load, PST_RULES_ERROR, PST_SPAN_NONE, "%s", pst_strerror(status));
		return status;
	}
	load->list_index++;
	status = pst_rules_load_push(load, path);
	if (status == -PST_E_NOMEM || load->status)
		return load->status ? load->status : status;
	if (status) {
		struct pst_rules_message message = {.grade = PST_RULES_ERROR, .file = path};

		message.text = pst_span_text(
			status == -PST_E_RANGE ? "the file is too large" : pst_strerror(status));
		load->error_count++;
		load->report->on_message(load->report, &message);
		/* a single file that cannot be read is the whole path */
		return pst_span_eq(path, load->path) ? status : 1;
	}
	return 1;
}

/* -------------------------------------------------------------------------------------- lines */

static struct pst_span trimmed(struct pst_span text)
{
	while (text.len && pst_is_space(text.at[0]))
		text = pst_span_sub(text, 1, text.len);
	while (text.len && pst_is_space(text.at[text.len - 1]))
		text.len--;
	return text;
}

/* "# UPDATE version N" */
static void note_version(struct pst_rules_load *load, struct pst_span line)
{
	static const char PREFIX[] = "# UPDATE version ";
	uint64_t version;

	if (pst_span_eq(pst_span_sub(line, 0, sizeof(PREFIX) - 1), pst_span_text(PREFIX)) &&
		pst_span_u64(pst_span_sub(line, sizeof(PREFIX) - 1, line.len), UINT64_MAX / 2,
			&version) == 0)
		load->version = PST_MAX(load->version, version);
}

/* Without a comment; \# becomes #. The result lies in the file's text or in line_area. */
static struct pst_span uncommented(struct pst_rules_load *load, struct pst_span line)
{
	uint32_t len = 0;

	if (pst_span_find(line, '#') < 0)
		return line;
	note_version(load, line);
	for (uint32_t i = 0; i < line.len; i++) {
		if (line.at[i] == '#' && (i == 0 || line.at[i - 1] != '\\'))
			break;
		if (line.at[i] == '#')
			len--;
		load->line_area[len++] = line.at[i];
	}
	return (struct pst_span){load->line_area, len};
}

struct pst_span pst_rules_take_word(struct pst_span *rest)
{
	uint32_t len = 0;
	struct pst_span word;

	while (len < rest->len && !pst_is_space(rest->at[len]))
		len++;
	word = pst_span_sub(*rest, 0, len);
	*rest = trimmed(pst_span_sub(*rest, len, rest->len));
	return word;
}

/* "lang de describe ..." is for others; "lang en" is kept. */
static bool for_other_language(struct pst_span *line)
{
	struct pst_span rest = *line, word = pst_rules_take_word(&rest);

	if (!pst_span_eq(word, PST_SPAN("lang")) || rest.len == 0)
		return false;
	word = pst_rules_take_word(&rest);
	if (rest.len == 0)
		return false;
	*line = rest;
	return !pst_span_starts_nocase(PST_SPAN("en_US"), word);
}

static bool skipped_above(const struct pst_rules_file *file)
{
	for (uint32_t i = 0; i < file->if_count; i++)
		if (file->ifs[i].skipped)
			return true;
	return false;
}

static void open_if(struct pst_rules_load *load, struct pst_rules_file *file, struct pst_span text)
{
	bool is_true;

	if (file->if_count == PST_RULES_IF_DEPTH_MAX) {
		pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE,
			"more than %u ifs in each other; the rest of the file is skipped",
			PST_RULES_IF_DEPTH_MAX);
		file->at = file->text.len;
		file->if_count = 0;
		return;
	}
	is_true = pst_rules_condition(load, text);
	file->ifs[file->if_count].skipped = file->skips;
	file->ifs[file->if_count].line = file->line;
	file->if_count++;
	file->skips = file->skips || !is_true;
}

/* if, ifplugin, else, endif.
 *  ret false: it is none of them */
static bool take_conditional(
	struct pst_rules_load *load, struct pst_span key, struct pst_span value)
{
	struct pst_rules_file *file = &load->stack[load->depth - 1];
	bool is_else = pst_span_eq(key, PST_SPAN("else"));
	uint8_t area[256];
	struct pst_buf text;

	if (pst_span_eq(key, PST_SPAN("if"))) {
		open_if(load, file, value);
		return true;
	}
	if (pst_span_eq(key, PST_SPAN("ifplugin"))) {
		pst_buf_init(&text, area, sizeof(area));
		if (pst_buf_put_text(&text, "plugin(") || pst_buf_put(&text, value) ||
			pst_buf_put_text(&text, ")"))
			pst_buf_clear(&text);
		open_if(load, file, pst_buf_span(&text));
		return true;
	}
	if (!is_else && !pst_span_eq(key, PST_SPAN("endif")))
		return false;
	if (value.len || file->if_count == 0) {
		pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE, "%s %s",
			is_else ? "else" : "endif",
			value.len ? "must stand alone on its line" : "without an if");
	} else if (is_else) {
		file->skips = skipped_above(file) || !file->skips;
	} else {
		file->skips = file->ifs[--file->if_count].skipped;
	}
	return true;
}

static void include(struct pst_rules_load *load, struct pst_span value)
{
	struct pst_span name = load->stack[load->depth - 1].name;
	int64_t slash = pst_span_rfind(name, '/');
	uint8_t area[1024];
	struct pst_buf path;
	int status = -PST_E_SYNTAX;

	pst_buf_init(&path, area, sizeof(area));
	if (value.len && value.at[0] != '/' && slash >= 0 &&
		pst_buf_put(&path, pst_span_sub(name, 0, (uint32_t)slash + 1)))
		pst_buf_clear(&path);
	if (value.len && pst_buf_put(&path, value) == 0)
		status = pst_rules_load_push(load, pst_buf_span(&path));
	if (status == -PST_E_FULL)
		pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE,
			"too many files, or more than %u includes in each other",
			PST_RULES_INCLUDE_DEPTH_MAX);
	else if (status == -PST_E_NOMEM)
		load->status = status;
	else if (status)
		pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE, "include %.*s: %s",
			(int)PST_MIN(value.len, 200u), (const char *)value.at,
			pst_strerror(status));
}

static void require_version(struct pst_rules_load *load, struct pst_span value)
{
	struct pst_rules_file *file = &load->stack[load->depth - 1];

	if (pst_span_eq(value, PST_SPAN("4.000001")) || pst_span_eq(value, PST_SPAN("@@VERSION@@")))
		return;
	pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE,
		"the file is for version %.*s, this understands 4.000001; its rest is skipped",
		(int)PST_MIN(value.len, 40u), (const char *)value.at);
	file->skips = true;
}

static void take_line(struct pst_rules_load *load, struct pst_span line)
{
	struct pst_rules_file *file = &load->stack[load->depth - 1];
	uint8_t area[64];
	struct pst_span word, key;

	line = trimmed(uncommented(load, line));
	if (line.len == 0 || for_other_language(&line))
		return;
	word = pst_rules_take_word(&line);
	key = (struct pst_span){area, PST_MIN(word.len, (uint32_t)sizeof(area))};
	for (uint32_t i = 0; i < key.len; i++)
		area[i] = word.at[i] == '-' ? '_' : pst_lower(word.at[i]);
	if (take_conditional(load, key, line))
		return;
	if (file->skips)
		return;
	if (pst_span_eq(key, PST_SPAN("include")))
		include(load, line);
	else if (pst_span_eq(key, PST_SPAN("require_version")))
		require_version(load, line);
	else if (word.len > sizeof(area))
		pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE, "unknown directive");
	else
		pst_rules_directive(load, key, line);
}

/* The next line of the innermost file.
 *  ret its length */
static uint32_t read_line(struct pst_rules_load *load)
{
	struct pst_rules_file *file = &load->stack[load->depth - 1];
	struct pst_span rest = pst_span_sub(file->text, file->at, file->text.len);
	int64_t newline = pst_span_find(rest, '\n');
	uint32_t len = newline < 0 ? rest.len : (uint32_t)newline;

	file->at += newline < 0 ? len : len + 1;
	file->line++;
	if (len > PST_RULES_LINE_BYTES_MAX)
		pst_rules_load_complain(load, PST_RULES_ERROR, PST_SPAN_NONE,
			"the line has %u bytes, %u are the most; it is skipped", (unsigned)len,
			PST_RULES_LINE_BYTES_MAX);
	else
		take_line(load, pst_span_sub(rest, 0, len));
	return len;
}

int pst_rules_load_read(struct pst_rules_load *load, uint32_t *work)
{
	while (*work) {
		uint32_t cost = 1;

		if (load->depth == 0) {
			int status = next_file(load);

			if (status <= 0)
				return status;
		} else if (load->stack[load->depth - 1].at ==
			   load->stack[load->depth - 1].text.len) {
			pop(load);
		} else {
			cost += read_line(load) / 64;
		}
		if (load->status)
			return load->status;
		*work -= PST_MIN(cost, *work);
	}
	return 1;
}
