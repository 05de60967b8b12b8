/* base/list.h - an intrusive doubly linked list
 *
 * Layer: base.
 * Memory: the node lies in its owner. A node is in one list or in none; a zeroed node is in none.
 */
#ifndef PST_BASE_LIST_H
#define PST_BASE_LIST_H

#include "base/base.h"

struct pst_node {
	struct pst_node *next;
	struct pst_node *prev;
};

/* A list head is a node that points at itself when empty. */
struct pst_list {
	struct pst_node head;
};

static inline void pst_list_init(struct pst_list *list)
{
	list->head.next = &list->head;
	list->head.prev = &list->head;
}

static inline bool pst_list_empty(const struct pst_list *list)
{
	return list->head.next == &list->head;
}

static inline bool pst_node_linked(const struct pst_node *node)
{
	return node->next != NULL;
}

static inline void pst_list_append(struct pst_list *list, struct pst_node *node)
{
	PST_BUG_ON(pst_node_linked(node));
	node->prev = list->head.prev;
	node->next = &list->head;
	list->head.prev->next = node;
	list->head.prev = node;
}

static inline void pst_list_prepend(struct pst_list *list, struct pst_node *node)
{
	PST_BUG_ON(pst_node_linked(node));
	node->next = list->head.next;
	node->prev = &list->head;
	list->head.next->prev = node;
	list->head.next = node;
}

/* Harmless on a node that is in no list. */
static inline void pst_list_remove(struct pst_node *node)
{
	if (!pst_node_linked(node))
		return;
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = NULL;
	node->prev = NULL;
}

static inline struct pst_node *pst_list_first(const struct pst_list *list)
{
	return pst_list_empty(list) ? NULL : list->head.next;
}

/* The node behind `node`, or NULL at the end. */
static inline struct pst_node *pst_list_next(const struct pst_list *list, struct pst_node *node)
{
	return node->next == &list->head ? NULL : node->next;
}

/* Moves all nodes of `source`, in order, to the end of `target`. */
static inline void pst_list_move(struct pst_list *target, struct pst_list *source)
{
	if (pst_list_empty(source))
		return;
	source->head.next->prev = target->head.prev;
	source->head.prev->next = &target->head;
	target->head.prev->next = source->head.next;
	target->head.prev = source->head.prev;
	pst_list_init(source);
}

/* Unlinks and returns the first node, or NULL. */
static inline struct pst_node *pst_list_pop(struct pst_list *list)
{
	struct pst_node *node = pst_list_first(list);

	if (node)
		pst_list_remove(node);
	return node;
}

#endif
