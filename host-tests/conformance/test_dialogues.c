/* test_dialogues.c - every *.smtp file below this folder, played in every way
 *
 * The first performance is whole pieces over pipes, and is held to the file. The others (byte by
 * byte, random pieces, the kernel's sockets, lwIP) are held to the file and to the first one's transcript.
 * POSTERN_DIALOGUE=NAME plays the files alone whose path holds NAME, and shows the transcript.
 */
#include "support/check.h"

#include "support/dialogue.h"

#define RANDOM_PIPE_COUNT 20
#define RANDOM_KERNEL_COUNT 2
#define RANDOM_LWIP_COUNT 2

static const char *folder(char *area, size_t size)
{
	const char *slash = strrchr(__FILE__, '/');

	snprintf(area, size, "%.*s", (int)(slash - __FILE__), __FILE__);
	return area;
}

static void perform(const struct pst_dialogue *dialogue, const struct pst_stage_plan *plan,
		    const char *how, const struct pst_bytes *before, struct pst_bytes *transcript)
{
	struct pst_play play = {.plan = *plan};
	struct pst_span was = before ? pst_bytes_from(before, 0) : PST_SPAN_NONE, is;

	pst_dialogue_play(dialogue, &play);
	is = pst_bytes_from(&play.transcript, 0);
	if (play.error.len > 0) {
		print_error("%s, seed %llu:\n%s\n", how, (unsigned long long)plan->seed,
			    (const char *)play.error.at);
		fail();
	}
	if (before && !pst_span_eq(was, is)) {
		uint32_t at = 0;

		while (at < was.len && at < is.len && was.at[at] == is.at[at])
			at++;
		at = at > 200 ? at - 200 : 0;
		print_error("%s, seed %llu: the transcripts differ\nwhole, over pipes: ...%.900s\n"
			    "now: ...%.900s\n",
			    how, (unsigned long long)plan->seed, (const char *)was.at + at,
			    (const char *)is.at + at);
		fail();
	}
	if (transcript)
		pst_bytes_add_span(transcript, is);
	pst_play_free(&play);
}

static const struct {
	enum pst_stage_net net;
	const char *name;
	int random_count;
} nets[] = {
	{PST_STAGE_PIPES, "pipes", RANDOM_PIPE_COUNT},
	{PST_STAGE_KERNEL, "sockets", RANDOM_KERNEL_COUNT},
	{PST_STAGE_LWIP, "lwIP", RANDOM_LWIP_COUNT},
};

static const char *manner(char area[64], const char *cut, uint32_t net)
{
	(void)snprintf(area, 64, "%s, over %s", cut, nets[net].name);
	return area;
}

static void replay(void **state)
{
	const char *path = *state;
	struct pst_bytes error = {0}, first = {0};
	struct pst_dialogue *dialogue = pst_dialogue_read(path, &error);
	struct pst_stage_plan plan = {0};

	if (!dialogue) {
		print_error("%s\n", (const char *)error.at);
		fail();
	}
	perform(dialogue, &plan, "whole, over pipes", NULL, &first);
	if (getenv("POSTERN_DIALOGUE"))
		print_message("%s\n", (const char *)first.at);
	perform(dialogue, &plan, "again", &first, NULL);
	for (uint32_t net = 0; net < PST_COUNT(nets); net++) {
		char area[64];

		const struct pst_bytes *same =
			net && !pst_dialogue_has_order(dialogue) ? NULL : &first;

		plan = (struct pst_stage_plan){.net = nets[net].net};
		if (net && !pst_dialogue_plays_kernel(dialogue))
			break;
		if (net)
			perform(dialogue, &plan, manner(area, "whole", net), same, NULL);
		if (!pst_dialogue_plays_cut(dialogue))
			continue;
		plan.cut = PST_CUT_BYTES;
		perform(dialogue, &plan, manner(area, "bytes", net), same, NULL);
		plan.cut = PST_CUT_RANDOM;
		for (int i = 1; i <= nets[net].random_count; i++) {
			plan.seed = (uint64_t)i;
			perform(dialogue, &plan, manner(area, "random pieces", net), same, NULL);
		}
	}
	pst_bytes_free(&first);
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
			.test_func = replay,
			.initial_state = found[i],
		};
	}
	failed = _cmocka_run_group_tests("dialogues", tests, kept, NULL, NULL);
	for (uint32_t i = 0; i < count; i++)
		free(found[i]);
	free(found);
	free(tests);
	return failed;
}
