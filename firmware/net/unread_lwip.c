/* net/unread_lwip.c - what has arrived and was not read, in pages, and who may have how many
 *
 * Bytes that have arrived are copied out of their frame buffers at once. Rejected: to keep the
 * buffers until they are read. A segment of one byte would hold 1.6 KiB, and a slow reader enough of
 * them to starve everybody else. The window is what is left of the connection's share.
 *
 * The first window is smaller than the full one and grows with what is read, so that a client that
 * nobody wants to hear out cannot fill 64 KiB. For so much there is memory for every client, by right; what
 * is beyond comes of a surplus for all. When that runs short, windows shrink to the first one again, and
 * who has sent beyond is not heard until he was read.
 */
#include <lwip/pbuf.h>
#include <string.h>

#include "net/lwip_priv.h"

#define PAGE_BYTES 2048
/* Pages that a client has a right to: one more than the first window, because the first may be half read. */
#define RIGHT (PST_LWIP_FIRST_WINDOW / PAGE_BYTES + 1)
/* So much there is beside all rights. */
#define SURPLUS_PART 8

struct pst_lwip_page {
	struct pst_lwip_page *next;
	uint16_t from, to; /* what of `bytes` is unread */
	uint8_t bytes[PAGE_BYTES - sizeof(struct pst_lwip_page *) - 2 * sizeof(uint16_t)];
};

/* --- pages ---------------------------------------------------------------------------------- */

static struct pst_pool *pool_of(const struct pst_lwip_unread *unread)
{
	return unread->of_client ? &unread->lwip->accept_pages : &unread->lwip->connect_pages;
}

/* What is left of the clients' pages beyond that to which somebody has a right, or will have one. */
static uint32_t surplus(const struct pst_lwip *lwip)
{
	int64_t left = (int64_t)lwip->accept_pages.count_max - lwip->accept_pages.used_count -
		lwip->claimed_count;

	return left > 0 ? (uint32_t)left : 0;
}

static struct pst_lwip_page *page_new(struct pst_lwip_unread *unread)
{
	struct pst_lwip_page *page;

	if (unread->of_client && unread->page_count >= RIGHT && surplus(unread->lwip) == 0)
		return NULL;
	page = pst_pool_get(pool_of(unread));
	if (!page)
		return NULL;
	if (unread->of_client && unread->page_count < RIGHT)
		unread->lwip->claimed_count--;
	unread->page_count++;
	return page;
}

static void page_put(struct pst_lwip_unread *unread, struct pst_lwip_page *page)
{
	pst_pool_put(pool_of(unread), page);
	unread->page_count--;
	if (unread->of_client && unread->page_count < RIGHT)
		unread->lwip->claimed_count++;
}

/* The page to write to, or NULL without memory. */
static struct pst_lwip_page *page_tail(struct pst_lwip_unread *unread)
{
	struct pst_lwip_page *page = unread->last;

	if (page && page->to < sizeof(page->bytes))
		return page;
	page = page_new(unread);
	if (!page)
		return NULL;
	page->next = NULL;
	page->from = page->to = 0;
	if (unread->last)
		unread->last->next = page;
	else
		unread->first = page;
	unread->last = page;
	return page;
}

static void page_drop(struct pst_lwip_unread *unread)
{
	struct pst_lwip_page *page = unread->first;

	unread->first = page->next;
	if (!unread->first)
		unread->last = NULL;
	page_put(unread, page);
}

/* Back to where it was, before pages were added behind `last` and bytes to it. */
static void take_back(struct pst_lwip_unread *unread, struct pst_lwip_page *last, uint16_t last_to)
{
	while (unread->first && unread->last != last) {
		struct pst_lwip_page *page = last ? last->next : unread->first;

		if (last)
			last->next = page->next;
		else
			unread->first = page->next;
		if (unread->last == page)
			unread->last = last;
		page_put(unread, page);
	}
	if (last)
		last->to = last_to;
}

/* --- bytes ---------------------------------------------------------------------------------- */

bool pst_lwip_unread_put(struct pst_lwip_unread *unread, const struct pbuf *packet)
{
	struct pst_lwip_page *last = unread->last;
	uint16_t last_to = last ? last->to : 0;
	uint16_t done = 0;

	while (done < packet->tot_len) {
		struct pst_lwip_page *page = page_tail(unread);
		uint16_t len;

		if (!page) {
			take_back(unread, last, last_to);
			return false;
		}
		len = (uint16_t)PST_MIN(packet->tot_len - done,
			(int)(sizeof(page->bytes) - page->to));
		pbuf_copy_partial(packet, page->bytes + page->to, len, done);
		page->to = (uint16_t)(page->to + len);
		done = (uint16_t)(done + len);
	}
	return true;
}

uint32_t pst_lwip_unread_take(struct pst_lwip_unread *unread, uint8_t *area, uint32_t size)
{
	uint32_t done = 0;

	while (unread->first && done < size) {
		struct pst_lwip_page *page = unread->first;
		uint32_t len = PST_MIN(size - done, (uint32_t)(page->to - page->from));

		memcpy(area + done, page->bytes + page->from, len);
		page->from = (uint16_t)(page->from + len);
		done += len;
		if (page->from == page->to)
			page_drop(unread);
	}
	return done;
}

void pst_lwip_unread_drop(struct pst_lwip_unread *unread)
{
	while (unread->first)
		page_drop(unread);
}

/* --- shares --------------------------------------------------------------------------------- */

bool pst_lwip_unread_fits(const struct pst_lwip_unread *unread, uint32_t len)
{
	uint32_t count = len / (uint32_t)sizeof(unread->last->bytes) + 1;

	return !unread->of_client || unread->page_count + count <= RIGHT ||
	       surplus(unread->lwip) >= count;
}

bool pst_lwip_unread_is_tight(const struct pst_lwip_unread *unread)
{
	const struct pst_lwip *lwip = unread->lwip;

	return unread->of_client &&
	       surplus(lwip) < lwip->accept_pages.count_max / (SURPLUS_PART + 1) / 2;
}

/* --- pools ---------------------------------------------------------------------------------- */

/* So that every first window can be filled. */
static uint32_t rights_of(const struct pst_lwip_limits *limits)
{
	return limits->accept_bytes_max / PST_LWIP_FIRST_WINDOW * RIGHT;
}

static uint32_t accept_pages_of(const struct pst_lwip_limits *limits)
{
	return rights_of(limits) + rights_of(limits) / SURPLUS_PART + RIGHT;
}

static uint32_t connect_pages_of(const struct pst_lwip_limits *limits)
{
	return limits->connect_bytes_max / PAGE_BYTES + 2;
}

void pst_lwip_unread_init(struct pst_lwip *lwip)
{
	pst_pool_init(&lwip->accept_pages, "lwip pages of clients", lwip->mem,
		sizeof(struct pst_lwip_page), accept_pages_of(&lwip->limits), 8);
	pst_pool_init(&lwip->connect_pages, "lwip pages of servers", lwip->mem,
		sizeof(struct pst_lwip_page), connect_pages_of(&lwip->limits), 4);
	lwip->claimed_count = (int32_t)rights_of(&lwip->limits);
}

void pst_lwip_unread_fini(struct pst_lwip *lwip)
{
	pst_pool_fini(&lwip->accept_pages);
	pst_pool_fini(&lwip->connect_pages);
}

uint64_t pst_lwip_unread_bound(const struct pst_lwip_limits *limits)
{
	return ((uint64_t)accept_pages_of(limits) + connect_pages_of(limits)) *
	       sizeof(struct pst_lwip_page);
}
