/* proxy/rule_queue.h - messages wait here to be read by rules, one after the other
 *
 * Layer: proxy. Uses: rules, loop, base.
 * Concept: rules of one message take a fraction of a millisecond and memory for everything that they
 * look at. So there is one run at a time, in slices of a turn, and one area for it, which is there
 * only while a message is being read. A message that finds no memory is not read: our trouble is
 * not the sender's.
 * Lifetime: a query is embedded by its owner and lives until on_done or the cancel. on_done comes from
 * the loop, never inside pst_rule_query_begin.
 */
#ifndef PST_PROXY_RULE_QUEUE_H
#define PST_PROXY_RULE_QUEUE_H

#include "base/counters.h"
#include "base/list.h"
#include "loop/loop.h"
#include "rules/set.h"

#define PST_RULE_SLICE_WORK 5000 /* of one turn, in microseconds or so */

struct pst_rule_queue {
	struct pst_loop *loop;
	struct pst_mem *mem;
	struct pst_counters *counters;
	struct pst_task task;
	struct pst_list waiting;
	struct pst_rule_query *reading; /* the first of those; NULL: none yet */
	struct pst_rules_run run;
	void *area; /* NULL: there is no run */
	uint32_t area_size;
};

struct pst_rule_query {
	/* The owner's, kept until on_done. */
	struct pst_rules_set *set;
	struct pst_rules_input input;
	struct pst_rules_peer peer;
	/*  in  run: complete, with its hits, borrowed for the call; NULL: the message was not read */
	void (*on_done)(struct pst_rule_query *query, const struct pst_rules_run *run);

	/* The queue's. */
	struct pst_node node;
};

/* What a set can make the queue take from its memory. */
uint64_t pst_rule_queue_bound(const struct pst_rules_set *set);
void pst_rule_queue_init(struct pst_rule_queue *queue, struct pst_loop *loop, struct pst_mem *mem,
			 struct pst_counters *counters);
/* Every query must be done or cancelled. */
void pst_rule_queue_fini(struct pst_rule_queue *queue);

void pst_rule_query_begin(struct pst_rule_queue *queue, struct pst_rule_query *query);
/* Harmless on one that is not begun, or done. */
void pst_rule_query_cancel(struct pst_rule_queue *queue, struct pst_rule_query *query);

#endif
