/* support/dialogue_priv.h - a dialogue as it was read, and as it runs
 *
 * dialogue.c reads it, dialogue_play.c plays its steps, dialogue_run.c makes the world around them and
 * checks what holds whatever the file says.
 */
#ifndef PST_SUPPORT_DIALOGUE_PRIV_H
#define PST_SUPPORT_DIALOGUE_PRIV_H

#include <regex.h>
#include <setjmp.h>

#include "support/dialogue.h"
#include "support/inside.h"

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
	bool only_memory, no_cuts, no_alloc, no_recovery, no_order, cold;
};

struct pst_actor {
	struct pst_peer *peer;
	bool left; /* loose: it was told something else and went */
};

struct pst_running {
	const struct pst_dialogue *dialogue;
	struct pst_play *play;
	struct pst_stage stage;
	struct pst_actor clients[PST_DIALOGUE_ENDS_MAX];
	struct pst_inside *servers[PST_DIALOGUE_SERVERS_MAX];
	uint32_t server_count;
	const struct pst_step *step;
	struct pst_bytes conf; /* of the first generation */
	struct pst_inside_message *message; /* of the D block being compared */
	uint32_t message_at;
	uint32_t log_at;
	jmp_buf stop;
	/* What `until` waits for. */
	struct pst_peer *awaited;
	struct pst_inside *awaited_server;
	const char *awaited_code;
	char recipient[300];
};

/* dialogue_play.c */
/* Complain, with the line of the step at hand, and end the play. */
_Noreturn void pst_running_stop(struct pst_running *run, const char *what, struct pst_span got);
/* Until nobody has anything to do. */
void pst_running_settle(struct pst_running *run);
void pst_running_pass(struct pst_running *run, uint64_t ms);
/* What a client was told and the play has not looked at. */
struct pst_span pst_running_unheard(const struct pst_peer *peer);
/*  ret false: none came */
bool pst_running_next_line(struct pst_running *run, struct pst_peer *peer, struct pst_span *line);
/*  ret the oldest message that a server took and no D block has named, or NULL */
struct pst_inside_message *pst_running_next_taken(struct pst_inside *inside);
/* The step at hand. */
void pst_running_step(struct pst_running *run);

#endif
