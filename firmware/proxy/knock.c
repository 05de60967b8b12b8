/* proxy/knock.c - see knock.h */
#include "proxy/knock.h"

#include <string.h>

struct pst_knock_work {
	struct pst_knock *knock;
	struct pst_dnsbl dnsbl;
	struct pst_rdns rdns;
	struct pst_ask dnsbl_ask, rdns_ask;
	struct pst_task task; /* settles, where nothing had to be asked */
};

uint32_t pst_knock_work_bytes(void)
{
	return sizeof(struct pst_knock_work);
}

/* ---- the cores, as the driver sees them ------------------------------------------------------ */

static bool dnsbl_ask(void *check, struct pst_question *question)
{
	return pst_dnsbl_ask(check, question);
}

static void dnsbl_answer(void *check, uint16_t id, const struct pst_dns_answer *answer)
{
	struct pst_knock_work *work = PST_CONTAINER(check, struct pst_knock_work, dnsbl);

	work->dnsbl.zones->now_ms = work->knock->checks->env->loop->now_ms;
	pst_dnsbl_answer(check, id, answer);
}

static const struct pst_dns_servers *dnsbl_servers(void *check, uint16_t zone)
{
	return pst_checks_servers(((struct pst_dnsbl *)check)->zones, zone);
}

static bool rdns_ask(void *check, struct pst_question *question)
{
	return pst_rdns_ask(check, question);
}

static void rdns_answer(void *check, uint16_t id, const struct pst_dns_answer *answer)
{
	pst_rdns_answer(check, id, answer);
}

static const struct pst_ask_ops dnsbl_ops = {dnsbl_ask, dnsbl_answer, dnsbl_servers};
static const struct pst_ask_ops rdns_ops = {rdns_ask, rdns_answer, NULL};

/* ---- what was found -------------------------------------------------------------------------- */

/* Text of the knock's own; empty when there is no room for more. */
static struct pst_span keep_text(struct pst_knock *knock, struct pst_span text)
{
	uint8_t *at = &knock->text[knock->text_len];

	if (text.len > sizeof(knock->text) - knock->text_len)
		return PST_SPAN_NONE;
	if (text.len > 0)
		memcpy(at, text.at, text.len);
	knock->text_len = (uint16_t)(knock->text_len + text.len);
	return (struct pst_span){at, text.len};
}

static void note_rdns(struct pst_knock *knock, const struct pst_rdns *rdns)
{
	knock->rdns = rdns->result;
	knock->name = keep_text(knock, pst_rdns_name(rdns));
	if (rdns->result == PST_RDNS_NONE)
		knock->facts |= PST_FACT_RDNS_NONE;
	else if (rdns->result == PST_RDNS_UNCONFIRMED)
		knock->facts |= PST_FACT_RDNS_UNCONFIRMED;
	if (rdns->result >= PST_RDNS_UNCONFIRMED &&
	    pst_rdns_is_generic(pst_rdns_name(rdns), &knock->client))
		knock->facts |= PST_FACT_RDNS_DYNAMIC;
	if (knock->facts & (PST_FACT_RDNS_NONE | PST_FACT_RDNS_DYNAMIC))
		knock->suspicious = true;
}

static void note_listing(struct pst_knock *knock, const struct pst_dnsbl *dnsbl,
			 const struct pst_dnsbl_hit *found)
{
	const struct pst_dnsbl_zone *zone = &dnsbl->zones->conf->zones[found->zone];
	const struct pst_dnsbl_code *code = pst_dnsbl_code_of(dnsbl, found);
	uint8_t area[200];
	struct pst_buf text;
	struct pst_hit *hit;

	if (knock->hit_count == PST_KNOCK_HITS_MAX) {
		pst_count(knock->checks->env->counters, PST_COUNTER_hits_lost);
		return;
	}
	knock->zones[knock->hit_count] = zone;
	hit = &knock->hits[knock->hit_count++];
	pst_buf_init(&text, area, sizeof(area));
	pst_buf_put_escaped(&text, zone->shown, 120);
	if (pst_buf_put_byte(&text, '=') == 0)
		pst_addr_put(&text, &found->code);
	if (pst_buf_printf(&text, " ttl=%u", found->ttl_s) < 0)
		pst_buf_clear(&text);
	*hit = (struct pst_hit){
		.name = zone->name,
		.evidence = keep_text(knock, pst_buf_span(&text)),
		.score = code->score,
		.flags = (uint8_t)((code->rejects ? PST_HIT_REJECTS : 0) |
				   (zone->dry ? PST_HIT_DRY : 0)),
	};
	if (zone->dry)
		return;
	knock->rejects = knock->rejects || code->rejects;
	knock->suspicious = knock->suspicious || code->rejects || code->score > 0;
}

static void note_dnsbl(struct pst_knock *knock, const struct pst_dnsbl *dnsbl)
{
	for (uint32_t i = 0; i < dnsbl->zones->conf->zone_count; i++)
		if (dnsbl->hits[i].set) {
			knock->codes[i] = dnsbl->hits[i].code;
			note_listing(knock, dnsbl, &dnsbl->hits[i]);
		}
	knock->answered_zones = dnsbl->answered_zones;
	knock->allows = pst_dnsbl_allows(dnsbl);
}

static void settle(struct pst_knock *knock)
{
	struct pst_knock_work *work = knock->work;
	struct pst_node *node;

	pst_ask_end(&work->dnsbl_ask);
	pst_ask_end(&work->rdns_ask);
	pst_loop_forget(&work->task);
	note_rdns(knock, &work->rdns);
	note_dnsbl(knock, &work->dnsbl);
	if (work->rdns.result == PST_RDNS_UNKNOWN && work->dnsbl.answered_zones == 0)
		knock->facts |= PST_FACT_DNS_DOWN;
	pst_pool_put(&knock->checks->knock_works, work);
	knock->work = NULL;
	pst_checks_tell_zones(knock->checks, knock->conf);
	/* Whoever is told may let go of it, and of others that wait. */
	pst_knock_ref(knock);
	while ((node = pst_list_pop(&knock->waits))) {
		struct pst_knock_wait *wait = PST_CONTAINER(node, struct pst_knock_wait, node);

		wait->on_settled(wait);
	}
	pst_knock_unref(knock);
}

static void look(struct pst_knock_work *work)
{
	struct pst_knock *knock = work->knock;
	if ((pst_dnsbl_rejects(&work->dnsbl) && !knock->checks->asks_all) ||
	    (pst_dnsbl_done(&work->dnsbl) && pst_rdns_done(&work->rdns)))
		settle(knock);
}

static void on_dnsbl_answered(struct pst_ask *ask)
{
	look(PST_CONTAINER(ask, struct pst_knock_work, dnsbl_ask));
}

static void on_rdns_answered(struct pst_ask *ask)
{
	look(PST_CONTAINER(ask, struct pst_knock_work, rdns_ask));
}

static void on_task(struct pst_task *task)
{
	look(PST_CONTAINER(task, struct pst_knock_work, task));
}

/* ---- life ------------------------------------------------------------------------------------ */

struct pst_knock *pst_knock_new(struct pst_checks *checks, struct pst_proxy_conf *conf,
				const struct pst_addr *client)
{
	struct pst_loop *loop = checks->env->loop;
	struct pst_knock *knock;
	struct pst_knock_work *work;

	if (!pst_checks_active(checks) || !conf->zones || client->family == PST_FAMILY_NONE)
		return NULL;
	work = pst_pool_get_zeroed(&checks->knock_works);
	knock = work ? pst_pool_get_zeroed(&checks->knocks) : NULL;
	if (!knock) {
		pst_pool_put(&checks->knock_works, work);
		pst_count(checks->env->counters, PST_COUNTER_unchecked);
		return NULL;
	}
	knock->checks = checks;
	knock->conf = pst_proxy_conf_ref(conf);
	knock->ref_count = 1;
	knock->client = *client;
	pst_list_init(&knock->waits);
	knock->work = work;
	work->knock = knock;
	work->task.on_run = on_task;
	conf->zones->now_ms = loop->now_ms;
	pst_dnsbl_begin(&work->dnsbl, conf->zones, client);
	pst_rdns_begin(&work->rdns, client);
	pst_ask_begin(&work->dnsbl_ask, &checks->asks, &dnsbl_ops, &work->dnsbl,
		      loop->now_ms + PST_KNOCK_MS, on_dnsbl_answered);
	pst_ask_begin(&work->rdns_ask, &checks->asks, &rdns_ops, &work->rdns,
		      loop->now_ms + PST_KNOCK_MS, on_rdns_answered);
	pst_loop_resume(loop, &work->task);
	return knock;
}

struct pst_knock *pst_knock_ref(struct pst_knock *knock)
{
	knock->ref_count++;
	return knock;
}

void pst_knock_unref(struct pst_knock *knock)
{
	if (!knock || --knock->ref_count > 0)
		return;
	PST_BUG_ON(!pst_list_empty(&knock->waits));
	if (knock->work) {
		pst_ask_end(&knock->work->dnsbl_ask);
		pst_ask_end(&knock->work->rdns_ask);
		pst_loop_forget(&knock->work->task);
		pst_pool_put(&knock->checks->knock_works, knock->work);
	}
	pst_proxy_conf_unref(knock->conf);
	pst_pool_put(&knock->checks->knocks, knock);
}

void pst_knock_await(struct pst_knock *knock, struct pst_knock_wait *wait)
{
	PST_BUG_ON(pst_knock_settled(knock));
	pst_list_append(&knock->waits, &wait->node);
}

void pst_knock_forget(struct pst_knock_wait *wait)
{
	pst_list_remove(&wait->node);
}
