/* proxy/rule_queue.c - see rule_queue.h */
#include "proxy/rule_queue.h"

static void end_run(struct pst_rule_queue *queue)
{
	if (!PST_RULES_BUILT || !queue->area)
		return;
	pst_rules_run_end(&queue->run);
	pst_mem_free(queue->mem, queue->area, queue->area_size);
	queue->area = NULL;
	queue->reading = NULL;
}

static bool begin_run(struct pst_rule_queue *queue, struct pst_rule_query *query)
{
	queue->area_size = pst_rules_run_bytes(query->set, query->input.header.len);
	queue->area = pst_mem_alloc(queue->mem, queue->area_size);
	if (!queue->area)
		return false;
	if (pst_rules_run_begin(&queue->run, query->set, &query->input, queue->area,
				queue->area_size) == 0) {
		queue->reading = query;
		return true;
	}
	pst_mem_free(queue->mem, queue->area, queue->area_size);
	queue->area = NULL;
	return false;
}

static void on_task(struct pst_task *task)
{
	struct pst_rule_queue *queue = PST_CONTAINER(task, struct pst_rule_queue, task);
	struct pst_rule_query *query =
		PST_CONTAINER(pst_list_first(&queue->waiting), struct pst_rule_query, node);
	bool readable;

	if (!PST_RULES_BUILT)
		return;
	readable = queue->reading || begin_run(queue, query);
	if (!readable)
		pst_count(queue->counters, PST_COUNTER_rules_unread);
	if (!readable || pst_rules_run_step(&queue->run, PST_RULE_SLICE_WORK) == 0) {
		if (readable && (queue->run.limited_count > 0 || queue->run.cut))
			pst_count(queue->counters, PST_COUNTER_rules_limited);
		pst_list_remove(&query->node);
		queue->reading = NULL;
		query->on_done(query, readable ? &queue->run : NULL);
		end_run(queue);
	}
	if (!pst_list_empty(&queue->waiting))
		pst_loop_resume(queue->loop, &queue->task);
}

uint64_t pst_rule_queue_bound(const struct pst_rules_set *set)
{
	return PST_RULES_BUILT && set ? pst_rules_run_bytes_max(set) : 0;
}

void pst_rule_queue_init(struct pst_rule_queue *queue, struct pst_loop *loop, struct pst_mem *mem,
			 struct pst_counters *counters)
{
	queue->loop = loop;
	queue->mem = mem;
	queue->counters = counters;
	queue->task = (struct pst_task){.on_run = on_task};
	queue->area = NULL;
	queue->reading = NULL;
	pst_list_init(&queue->waiting);
}

void pst_rule_queue_fini(struct pst_rule_queue *queue)
{
	PST_BUG_ON(!pst_list_empty(&queue->waiting));
	end_run(queue);
	pst_loop_forget(&queue->task);
}

void pst_rule_query_begin(struct pst_rule_queue *queue, struct pst_rule_query *query)
{
	query->input.peer = &query->peer;
	pst_list_append(&queue->waiting, &query->node);
	pst_loop_resume(queue->loop, &queue->task);
}

void pst_rule_query_cancel(struct pst_rule_queue *queue, struct pst_rule_query *query)
{
	if (!pst_node_linked(&query->node))
		return;
	if (queue->reading == query)
		end_run(queue);
	pst_list_remove(&query->node);
	if (pst_list_empty(&queue->waiting))
		pst_loop_forget(&queue->task);
}
