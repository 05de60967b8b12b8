/* support/dialogue.h - dialogues: files that say who says what, played on a stage
 *
 * The language is host-tests/conformance/README.md's.
 * Memory: a dialogue is read once and played many times; each play has a stage of its own.
 */
#ifndef PST_SUPPORT_DIALOGUE_H
#define PST_SUPPORT_DIALOGUE_H

#include "support/stage.h"

struct pst_dialogue;

/* One performance, and what is left of it. */
struct pst_play {
	struct pst_stage_plan plan;
	/* Memory fails: replies need not be the file's, but must be honest. A client that is told
	 * something else than the file has leaves; 4xx and a closed connection are the only things
	 * that it may be told instead. */
	bool loose;
	struct pst_bytes error;      /* empty: all went as it should */
	struct pst_bytes transcript; /* everything that anybody heard, got or logged */
	uint64_t request_count;      /* allocations of the proxy's */
	uint64_t failed_count;
};

/*  out error: why not, with file and line
 *  ret NULL: the file cannot be read */
struct pst_dialogue *pst_dialogue_read(const char *path, struct pst_bytes *error);
void pst_dialogue_free(struct pst_dialogue *dialogue);

const char *pst_dialogue_name(const struct pst_dialogue *dialogue);
/* May it be played over the kernel's sockets, in pieces, with memory failing? */
bool pst_dialogue_plays_kernel(const struct pst_dialogue *dialogue);
/* Do things that happen at the same time come in the same order over every network? */
bool pst_dialogue_has_order(const struct pst_dialogue *dialogue);
bool pst_dialogue_plays_cut(const struct pst_dialogue *dialogue);
bool pst_dialogue_plays_alloc(const struct pst_dialogue *dialogue);

void pst_dialogue_play(const struct pst_dialogue *dialogue, struct pst_play *play);
void pst_play_free(struct pst_play *play);

/* Every *.smtp file below a folder, by name. Free each, and the list. */
char **pst_dialogue_find(const char *folder, uint32_t *count);

#endif
