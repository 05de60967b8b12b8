/* test_alloc.c - every dialogue with its n-th allocation failing, once and from then on
 *
 * Whatever fails, a client is told what the file says, or 4xx, or is let go; nobody is told of a
 * delivery that did not happen; and with memory back the service is back. Nothing leaks.
 * All of them: n = 1, 2, 3, ... until a performance asks for fewer. POSTERN_ALLOC_STEP=K, or a build
 * with AddressSanitizer, takes every K-th n alone, beginning elsewhere in each file.
 * POSTERN_DIALOGUE=NAME plays the files alone whose path holds NAME.
 */
#include "support/check.h"

#include "support/dialogue.h"

#if defined(__SANITIZE_ADDRESS__)
#define STEP_DEFAULT 11
#else
#define STEP_DEFAULT 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#undef STEP_DEFAULT
#define STEP_DEFAULT 11
#endif
#endif

static uint32_t play_count;

static const char *folder(char *area, size_t size)
{
	const char *slash = strrchr(__FILE__, '/');

	snprintf(area, size, "%.*s", (int)(slash - __FILE__), __FILE__);
	return area;
}

static uint32_t step_from_environment(void)
{
	const char *text = getenv("POSTERN_ALLOC_STEP");
	uint32_t step = text ? (uint32_t)strtoul(text, NULL, 10) : STEP_DEFAULT;

	return PST_MAX(step, 1);
}

/*  ret allocations that the performance asked for */
static uint64_t perform(const struct pst_dialogue *dialogue, uint64_t fail_at, bool fail_on,
			bool *failed)
{
	struct pst_play play = {.plan = {.fail_at = fail_at, .fail_on = fail_on}, .loose = true};
	uint64_t count;

	pst_dialogue_play(dialogue, &play);
	play_count++;
	if (play.error.len > 0) {
		print_error("allocation %llu %s:\n%s\n", (unsigned long long)fail_at,
			    fail_on ? "and all behind it" : "alone", (const char *)play.error.at);
		fail();
	}
	*failed = play.failed_count > 0;
	count = play.request_count;
	pst_play_free(&play);
	return count;
}

static void fail_each(void **state)
{
	const char *path = *state;
	struct pst_bytes error = {0};
	struct pst_dialogue *dialogue = pst_dialogue_read(path, &error);
	uint32_t step = step_from_environment(), from = 1;
	bool failed = true;

	if (!dialogue) {
		print_error("%s\n", (const char *)error.at);
		fail();
	}
	if (pst_dialogue_plays_alloc(dialogue)) {
		for (const char *at = pst_dialogue_name(dialogue); *at; at++)
			from = (from * 31 + (uint8_t)*at) % step;
		perform(dialogue, 0, false, &failed);
		for (uint64_t n = 1 + from % step; step > 1 || n == 1 || failed; n += step) {
			perform(dialogue, n, false, &failed);
			if (!failed)
				break;
			perform(dialogue, n, true, &failed);
		}
	}
	pst_bytes_free(&error);
	pst_dialogue_free(dialogue);
}

int main(void)
{
	char area[512];
	uint32_t count, kept = 0;
	char **found = pst_dialogue_find(folder(area, sizeof(area)), &count);
	struct CMUnitTest *tests = calloc(count + 1, sizeof(*tests));
	const char *only = getenv("POSTERN_DIALOGUE");
	int failed;

	PST_BUG_ON(!tests);
	for (uint32_t i = 0; i < count; i++) {
		if (only && !strstr(found[i], only))
			continue;
		tests[kept++] = (struct CMUnitTest){
			.name = found[i] + strlen(area) + 1,
			.test_func = fail_each,
			.initial_state = found[i],
		};
	}
	failed = _cmocka_run_group_tests("allocations", tests, kept, NULL, NULL);
	print_message("%u performances\n", play_count);
	for (uint32_t i = 0; i < count; i++)
		free(found[i]);
	free(found);
	free(tests);
	return failed;
}
