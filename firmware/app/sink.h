/* app/sink.h - the embedded internal server: takes every message, or misbehaves as it is told
 *
 * Layer: app. Uses: smtp, net, loop, base, app/maildir.h.
 * Concept: the server core with the least of an owner around it, on any net. It is the witness in
 * tests: what it stores is what arrived, byte for byte but for the dots of transparency, and it
 * says 250 only when the message lies in new/. Faults replace a reply at one stage.
 * Memory: one block per connection, PST_SINK_CONNS_MAX of them.
 */
#ifndef PST_APP_SINK_H
#define PST_APP_SINK_H

#include "app/maildir.h"
#include "base/log.h"
#include "net/net.h"

#define PST_SINK_CONNS_MAX 1024
#define PST_SINK_ALWAYS UINT32_MAX

enum pst_sink_stage {
	PST_SINK_CONNECT,
	PST_SINK_EHLO,
	PST_SINK_MAIL,
	PST_SINK_RCPT,
	PST_SINK_DATA,
	PST_SINK_EOD,
	PST_SINK_QUIT,
	PST_SINK_STAGE_COUNT
};

enum pst_sink_action {
	PST_SINK_NORMAL,
	PST_SINK_REPLY,   /* say `text` instead */
	PST_SINK_CLOSE,   /* end the connection, say nothing */
	PST_SINK_HANG,    /* say nothing any more; go on reading, and throw it away */
	PST_SINK_GARBAGE, /* say something that is no reply */
	PST_SINK_SLOW,    /* data, eod: read the message slowly, then be normal */
	PST_SINK_LOSE,    /* eod: store the message, then close instead of saying so */
};

struct pst_sink_fault {
	enum pst_sink_stage stage;
	enum pst_sink_action action;
	struct pst_span text;      /* REPLY */
	uint32_t rate_bytes_per_s; /* SLOW */
	uint32_t slow_s;           /* SLOW: for so long; 0: to the end */
	uint32_t count;            /* so many times; PST_SINK_ALWAYS */
};

/* "STAGE=ACTION", as `postern sink --help` tells. The fault borrows the text.
 *  ret 0 | -PST_E_SYNTAX with *what set: our words on what is wrong */
int pst_sink_fault_parse(struct pst_span text, struct pst_sink_fault *fault, const char **what)
	PST_MUST_CHECK;

struct pst_sink_env {
	struct pst_loop *loop;
	struct pst_net *net;
	struct pst_mem *mem;
	struct pst_log *log;
	struct pst_maildir *maildir;   /* NULL: messages are thrown away */
	struct pst_sink_fault *faults; /* counted down here */
	uint32_t fault_count;
	struct pst_span hostname;
	uint64_t message_count_max;    /* 0: no end */
	void (*on_done)(void *owner);  /* that many messages are stored and answered */
	void *owner;
};

struct pst_sink {
	struct pst_sink_env env;
	struct pst_net_listener listener;
	struct pst_list conns, dead;
	struct pst_turn_hook reaper;
	uint32_t conn_count;
	uint64_t message_count; /* stored, and answered or lost */
	bool done;
};

/* Timers it can have armed at once. */
#define PST_SINK_TIMERS_MAX PST_SINK_CONNS_MAX

/* Listen. sink->listener.local is the address it really has.
 *  ret as net's listen */
int pst_sink_open(struct pst_sink *sink, const struct pst_sink_env *env,
		  const struct pst_addr *address) PST_MUST_CHECK;
/* End every connection and give all memory back. */
void pst_sink_close(struct pst_sink *sink);

#endif
