/* proxy/ask.c - see ask.h */
#include "proxy/ask.h"

#include <string.h>

struct slot {
	struct pst_dns_query query;
	struct pst_node node;
	struct pst_ask *ask;
	uint16_t id;
	uint8_t name[PST_DNS_NAME_MAX];
};

uint64_t pst_asks_bound(uint32_t slot_count)
{
	return (uint64_t)slot_count * sizeof(struct slot);
}

void pst_asks_init(struct pst_asks *asks, struct pst_dns *dns, struct pst_loop *loop,
		   struct pst_mem *mem, uint32_t slot_count)
{
	asks->dns = dns;
	asks->loop = loop;
	pst_pool_init(&asks->slots, "question", mem, sizeof(struct slot), slot_count, 16);
	pst_list_init(&asks->waiting);
}

void pst_asks_fini(struct pst_asks *asks)
{
	PST_BUG_ON(!pst_list_empty(&asks->waiting));
	pst_pool_fini(&asks->slots);
}

static void wait_for_slot(struct pst_ask *ask)
{
	if (!pst_node_linked(&ask->node))
		pst_list_append(&ask->asks->waiting, &ask->node);
}

/* Whoever is first in line may use what has been set free. A slot can be missing below the bound, too,
 * when there is no memory: whoever is in line again after its turn shows that no more are to be had. */
static void serve_waiting(struct pst_asks *asks)
{
	struct pst_node *node;

	while (asks->slots.used_count < asks->slots.count_max &&
	       (node = pst_list_pop(&asks->waiting))) {
		pst_ask_go_on(PST_CONTAINER(node, struct pst_ask, node));
		if (pst_node_linked(node))
			return;
	}
}

static void on_answer(struct pst_dns_query *query, const struct pst_dns_answer *answer)
{
	struct slot *slot = PST_CONTAINER(query, struct slot, query);
	struct pst_ask *ask = slot->ask;
	struct pst_asks *asks = ask->asks;
	uint16_t id = slot->id;

	ask->ops->answer(ask->check, id, answer);
	pst_list_remove(&slot->node);
	pst_pool_put(&asks->slots, slot);
	pst_ask_go_on(ask);
	ask->on_answered(ask);
	serve_waiting(asks);
}

static void put_question(struct pst_ask *ask, struct slot *slot, const struct pst_question *question)
{
	slot->ask = ask;
	slot->id = question->id;
	memcpy(slot->name, question->name, question->name_len);
	slot->query = (struct pst_dns_query){
		.on_answer = on_answer,
		.name = {slot->name, question->name_len},
		.type = question->type,
		.servers = question->zone && ask->ops->servers
				   ? ask->ops->servers(ask->check, question->zone)
				   : NULL,
		.deadline_ms = ask->deadline_ms,
	};
	pst_list_append(&ask->open, &slot->node);
	pst_dns_query(ask->asks->dns, &slot->query);
}

void pst_ask_go_on(struct pst_ask *ask)
{
	static const struct pst_dns_answer nobody = {.status = PST_DNS_OURS};
	struct pst_question question;

	if (pst_node_linked(&ask->node))
		return; /* others were there before it */
	while (true) {
		struct slot *slot = NULL;

		/* The slot first: a question that was pulled cannot be put back. */
		if (ask->asks->dns) {
			slot = pst_pool_get_zeroed(&ask->asks->slots);
			if (!slot && ask->asks->slots.used_count > 0) {
				wait_for_slot(ask);
				return;
			}
		}
		if (!ask->ops->ask(ask->check, &question)) {
			pst_pool_put(&ask->asks->slots, slot);
			return;
		}
		if (slot)
			put_question(ask, slot, &question);
		else
			ask->ops->answer(ask->check, question.id, &nobody);
	}
}

void pst_ask_begin(struct pst_ask *ask, struct pst_asks *asks, const struct pst_ask_ops *ops,
		   void *check, uint64_t deadline_ms, void (*on_answered)(struct pst_ask *ask))
{
	*ask = (struct pst_ask){
		.asks = asks,
		.ops = ops,
		.check = check,
		.deadline_ms = deadline_ms,
		.on_answered = on_answered,
	};
	pst_list_init(&ask->open);
	pst_ask_go_on(ask);
}

bool pst_ask_is_idle(const struct pst_ask *ask)
{
	return !ask->asks || (pst_list_empty(&ask->open) && !pst_node_linked(&ask->node));
}

void pst_ask_end(struct pst_ask *ask)
{
	struct pst_asks *asks = ask->asks;
	struct pst_node *node;

	if (!asks)
		return;
	pst_list_remove(&ask->node);
	while ((node = pst_list_pop(&ask->open))) {
		struct slot *slot = PST_CONTAINER(node, struct slot, node);

		pst_dns_cancel(asks->dns, &slot->query);
		pst_pool_put(&asks->slots, slot);
	}
	ask->asks = NULL;
	serve_waiting(asks);
}
