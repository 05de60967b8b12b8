/* support/dialogue_priv.h - a dialogue as it was read: dialogue.c reads it, dialogue_play.c plays it */
#ifndef PST_SUPPORT_DIALOGUE_PRIV_H
#define PST_SUPPORT_DIALOGUE_PRIV_H

#include <regex.h>

#include "support/dialogue.h"

#define PST_DIALOGUE_ENDS_MAX 256 /* clients by number */
#define PST_DIALOGUE_SERVERS_MAX 9

enum pst_step_kind {
	PST_STEP_SAY,       /* C: C- */
	PST_STEP_CLIENT,    /* C! */
	PST_STEP_LINE,      /* S: S~ */
	PST_STEP_REPLY,     /* S* */
	PST_STEP_STATE,     /* S! */
	PST_STEP_RULE,      /* I? */
	PST_STEP_HEARD,     /* I< I~ */
	PST_STEP_ANSWER,    /* I: I- */
	PST_STEP_SERVER,    /* I! */
	PST_STEP_DELIVERED, /* D: */
	PST_STEP_CONTENT,   /* D| D- D~ */
	PST_STEP_COMPLETE,  /* behind the last of those */
	PST_STEP_TIME,      /* T: */
	PST_STEP_QUIET,     /* W: */
	PST_STEP_LOG,       /* L~ */
	PST_STEP_NO_LOG,    /* L!~ */
	PST_STEP_COUNTER,   /* N: */
	PST_STEP_PROXY,     /* P! */
};

struct pst_step {
	uint8_t kind; /* enum pst_step_kind */
	bool is_regex;
	uint32_t who;  /* client or server */
	uint32_t line; /* in the file */
	struct pst_bytes text;
	regex_t regex;
	uint64_t number; /* T: milliseconds, N: the value, I?: how often, P!: bytes of conf_more so far */
	struct pst_bytes reply; /* I? */
	uint8_t end;            /* I?: enum pst_peer_end behind the reply */
	bool deaf;              /* I? */
};

struct pst_dialogue {
	char *path, *name;
	struct pst_step *steps;
	uint32_t step_count, step_size;
	struct pst_bytes conf;      /* of the beginning */
	/* Lines that stand between steps, for reloads: each is the number of the reload, and the line. */
	struct pst_bytes conf_more;
	uint8_t reload_count;
	struct pst_bytes occupied; /* an address where nobody can listen */
	uint32_t pipe_bytes;
	uint32_t first_step;        /* behind what concerns the beginning */
	bool only_memory, no_cuts, no_alloc, no_recovery, cold;
};

#endif
