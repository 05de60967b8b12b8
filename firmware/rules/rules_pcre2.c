/* rules/rules_pcre2.c - the only file that knows PCRE2 */
#include <string.h>

#include <pcre2.h>

#include "rules/rules_pcre2.h"

/* Offsets into PCRE2's character tables: lower case, then the other case, 256 bytes each. */
#define TABLE_LOWER 0u
#define TABLE_OTHER 256u
#define TABLE_BYTES 1088u

#define JIT_STACK_BYTES_MIN (16u * 1024)
#define JIT_STACK_BYTES_MAX (128u * 1024)

struct pst_rules_engine {
	struct pst_mem *mem;
	uint64_t bytes, jit_bytes;
	struct pst_rules_limits limits;
	bool jit;
	pcre2_general_context *general;
	pcre2_compile_context *compile;
	pcre2_match_context *match, *jit_match;
	pcre2_match_data *data;
	pcre2_jit_stack *stack;
	uint8_t *tables;
};

/* A struct pst_rules_regex is a pcre2_code under a name of ours; it has no members. */
static pcre2_code *code_of(const struct pst_rules_regex *regex)
{
	return (pcre2_code *)(uintptr_t)regex;
}

/* PCRE2 does not say how large a block was when it gives it back. */
struct block {
	size_t size;
	_Alignas(16) uint8_t bytes[];
};

static void *hook_alloc(size_t size, void *context)
{
	struct pst_rules_engine *engine = context;
	size_t whole = sizeof(struct block) + size;
	struct block *block = engine->mem->alloc(engine->mem, whole);

	if (!block)
		return NULL;
	block->size = whole;
	engine->bytes += whole;
	return block->bytes;
}

static void hook_free(void *bytes, void *context)
{
	struct pst_rules_engine *engine = context;
	struct block *block;

	if (!bytes)
		return;
	block = PST_CONTAINER(bytes, struct block, bytes);
	engine->bytes -= block->size;
	pst_mem_free(engine->mem, block, block->size);
}

/* ------------------------------------------------------------------------------------- engine */

/* Perl's /a keeps \w, \d and \s to ASCII but folds the letters of Latin-1. */
static int make_tables(struct pst_rules_engine *engine)
{
	const uint8_t *plain = pcre2_maketables(engine->general);

	if (!plain)
		return -PST_E_NOMEM;
	engine->tables = hook_alloc(TABLE_BYTES, engine);
	if (engine->tables) {
		memcpy(engine->tables, plain, TABLE_BYTES);
		for (uint32_t upper = 0xc0; upper <= 0xde; upper++) {
			if (upper == 0xd7)
				continue;
			engine->tables[TABLE_LOWER + upper] = (uint8_t)(upper | 0x20);
			engine->tables[TABLE_OTHER + upper] = (uint8_t)(upper | 0x20);
			engine->tables[TABLE_OTHER + (upper | 0x20)] = (uint8_t)upper;
		}
	}
	pcre2_maketables_free(engine->general, plain);
	return engine->tables ? 0 : -PST_E_NOMEM;
}

static int make_contexts(struct pst_rules_engine *engine)
{
	const struct pst_rules_limits *limits = &engine->limits;

	engine->general = pcre2_general_context_create(hook_alloc, hook_free, engine);
	if (!engine->general || make_tables(engine))
		return -PST_E_NOMEM;
	engine->compile = pcre2_compile_context_create(engine->general);
	engine->match = pcre2_match_context_create(engine->general);
	engine->jit_match = pcre2_match_context_create(engine->general);
	engine->data = pcre2_match_data_create(1, engine->general);
	if (!engine->compile || !engine->match || !engine->jit_match || !engine->data)
		return -PST_E_NOMEM;
	pcre2_set_character_tables(engine->compile, engine->tables);
	pcre2_set_match_limit(engine->match, limits->steps);
	pcre2_set_depth_limit(engine->match, limits->steps);
	pcre2_set_heap_limit(engine->match, limits->heap_kib);
	pcre2_set_match_limit(engine->jit_match, limits->jit_steps);
	return 0;
}

int pst_rules_engine_open(struct pst_mem *mem, const struct pst_rules_limits *limits, bool jit,
	struct pst_rules_engine **out)
{
	struct pst_rules_engine *engine = pst_mem_alloc(mem, sizeof(*engine));
	uint32_t has_jit = 0;

	if (!engine)
		return -PST_E_NOMEM;
	engine->mem = mem;
	engine->limits = *limits;
	engine->bytes = sizeof(*engine);
	if (make_contexts(engine)) {
		pst_rules_engine_close(engine);
		return -PST_E_NOMEM;
	}
	pcre2_config(PCRE2_CONFIG_JIT, &has_jit);
	if (jit && has_jit) {
		engine->stack = pcre2_jit_stack_create(
			JIT_STACK_BYTES_MIN, JIT_STACK_BYTES_MAX, engine->general);
		engine->jit = engine->stack != NULL;
		engine->jit_bytes = engine->jit ? JIT_STACK_BYTES_MAX : 0;
		pcre2_jit_stack_assign(engine->jit_match, NULL, engine->stack);
	}
	*out = engine;
	return 0;
}

void pst_rules_engine_close(struct pst_rules_engine *engine)
{
	if (!engine)
		return;
	pcre2_jit_stack_free(engine->stack);
	pcre2_match_data_free(engine->data);
	pcre2_match_context_free(engine->jit_match);
	pcre2_match_context_free(engine->match);
	pcre2_compile_context_free(engine->compile);
	hook_free(engine->tables, engine);
	pcre2_general_context_free(engine->general);
	PST_BUG_ON(engine->bytes != sizeof(*engine));
	pst_mem_free(engine->mem, engine, sizeof(*engine));
}

uint64_t pst_rules_engine_bytes(const struct pst_rules_engine *engine)
{
	return engine->bytes;
}

uint64_t pst_rules_engine_jit_bytes(const struct pst_rules_engine *engine)
{
	return engine->jit_bytes;
}

/* ----------------------------------------------------------------------------------- patterns */

static uint32_t options_of(uint32_t mods)
{
	static const struct {
		uint32_t mod, option;
	} PAIRS[] = {
		{PST_RULES_PATTERN_CASELESS, PCRE2_CASELESS},
		{PST_RULES_PATTERN_MULTILINE, PCRE2_MULTILINE},
		{PST_RULES_PATTERN_DOTALL, PCRE2_DOTALL},
		{PST_RULES_PATTERN_EXTENDED, PCRE2_EXTENDED},
		{PST_RULES_PATTERN_EXTENDED_MORE, PCRE2_EXTENDED_MORE},
		{PST_RULES_PATTERN_NO_CAPTURE, PCRE2_NO_AUTO_CAPTURE},
	};
	uint32_t options =
		PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_NEVER_BACKSLASH_C | PCRE2_DUPNAMES;

	for (uint32_t i = 0; i < PST_COUNT(PAIRS); i++)
		if (mods & PAIRS[i].mod)
			options |= PAIRS[i].option;
	return options;
}

static int compile_error(int error, size_t offset, struct pst_buf *why)
{
	uint8_t text[128];
	int len;

	if (error == PCRE2_ERROR_HEAP_FAILED)
		return -PST_E_NOMEM;
	if (error == PCRE2_ERROR_PATTERN_TOO_LARGE ||
		error == PCRE2_ERROR_PATTERN_TOO_COMPLICATED ||
		error == PCRE2_ERROR_PATTERN_STRING_TOO_LONG)
		return -PST_E_RANGE;
	len = pcre2_get_error_message(error, text, sizeof(text));
	if (why && len > 0 &&
		pst_buf_printf(
			why, "%.*s at byte %u", len, (const char *)text, (unsigned)offset + 1))
		pst_buf_clear(why);
	return -PST_E_SYNTAX;
}

int pst_rules_regex_compile(struct pst_rules_engine *engine,
	const struct pst_rules_pattern *pattern, struct pst_rules_regex **out, struct pst_buf *why)
{
	static const uint8_t NOTHING[1];
	const uint8_t *text = pattern->text.at ? pattern->text.at : NOTHING;
	size_t offset = 0;
	pcre2_code *code;
	int error = 0;

	*out = NULL;
	if (pattern->text.len > PST_RULES_PATTERN_BYTES_MAX)
		return -PST_E_RANGE;
	code = pcre2_compile(text, pattern->text.len, options_of(pattern->mods), &error, &offset,
		engine->compile);
	if (!code)
		return compile_error(error, offset, why);
	*out = (struct pst_rules_regex *)(void *)code;
	return 0;
}

static size_t jit_size(const struct pst_rules_regex *regex)
{
	size_t size = 0;

	return pcre2_pattern_info(code_of(regex), PCRE2_INFO_JITSIZE, &size) ? 0 : size;
}

void pst_rules_regex_speed_up(struct pst_rules_engine *engine, struct pst_rules_regex *regex)
{
	if (engine->jit && pcre2_jit_compile(code_of(regex), PCRE2_JIT_COMPLETE) == 0)
		engine->jit_bytes += jit_size(regex);
}

void pst_rules_regex_free(struct pst_rules_engine *engine, struct pst_rules_regex *regex)
{
	if (!regex)
		return;
	engine->jit_bytes -= jit_size(regex);
	pcre2_code_free(code_of(regex));
}

/* ----------------------------------------------------------------------------------- matching */

static int run(struct pst_rules_engine *engine, const struct pst_rules_regex *regex,
	struct pst_span subject, uint32_t from, uint32_t options)
{
	bool jit = engine->jit && jit_size(regex);
	int count = pcre2_match(code_of(regex), subject.at, subject.len, from, options,
		engine->data, jit ? engine->jit_match : engine->match);

	/* deeper than its stack: the interpreter has another way to be stopped */
	if (count == PCRE2_ERROR_JIT_STACKLIMIT)
		count = pcre2_match(code_of(regex), subject.at, subject.len, from,
			options | PCRE2_NO_JIT, engine->data, engine->match);
	if (count >= 0)
		return 1;
	if (count == PCRE2_ERROR_NOMATCH)
		return 0;
	return count == PCRE2_ERROR_NOMEMORY ? -PST_E_NOMEM : -PST_E_TIMEOUT;
}

/* The next match, but not the same empty one again. `from` carries the word "the last one was
 * empty" in its highest bit: subjects are far shorter. */
#define WAS_EMPTY 0x80000000u

static int run_next(struct pst_rules_engine *engine, const struct pst_rules_regex *regex,
	struct pst_span subject, uint32_t *from)
{
	uint32_t at = *from & ~WAS_EMPTY;
	const size_t *ends = pcre2_get_ovector_pointer(engine->data);
	int found = 0;

	if (at > subject.len)
		return 0;
	if (*from & WAS_EMPTY) {
		found = run(engine, regex, subject, at, PCRE2_NOTEMPTY_ATSTART | PCRE2_ANCHORED);
		at++;
	}
	if (found == 0 && at <= subject.len)
		found = run(engine, regex, subject, at, 0);
	if (found > 0)
		*from = (uint32_t)ends[1] | (ends[1] <= ends[0] ? WAS_EMPTY : 0);
	return found;
}

int pst_rules_regex_match(struct pst_rules_engine *engine, const struct pst_rules_regex *regex,
	struct pst_span subject, uint32_t *from)
{
	static const uint8_t NOTHING[1];

	if (!subject.at)
		subject = (struct pst_span){NOTHING, 0};
	subject.len = PST_MIN(subject.len, PST_RULES_SUBJECT_BYTES_MAX);
	return from ? run_next(engine, regex, subject, from) : run(engine, regex, subject, 0, 0);
}

int pst_rules_engine_spin(struct pst_rules_engine *engine, bool jit, uint32_t steps)
{
	const struct pst_rules_pattern endless = {.text = PST_SPAN("(?:(?:a|[ab])+)+[cd]")};
	const struct pst_span subject =
		PST_SPAN("abababababababababababababababababababababababab");
	pcre2_match_context *match = jit ? engine->jit_match : engine->match;
	struct pst_rules_regex *regex;
	int status = pst_rules_regex_compile(engine, &endless, &regex, NULL);

	if (status)
		return status;
	if (jit)
		pst_rules_regex_speed_up(engine, regex);
	pcre2_set_match_limit(match, steps);
	status = run(engine, regex, subject, 0, 0);
	pcre2_set_match_limit(match, jit ? engine->limits.jit_steps : engine->limits.steps);
	pst_rules_regex_free(engine, regex);
	return status == -PST_E_NOMEM ? status : 0;
}
