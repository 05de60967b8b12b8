/* net/net_choice.c - see net_choice.h */
#include "net/net_choice.h"

static struct pst_net *pick(struct pst_net *net, const struct pst_addr *addr)
{
	struct pst_net_choice *choice = PST_CONTAINER(net, struct pst_net_choice, net);

	return addr->via < PST_COUNT(choice->nets) ? choice->nets[addr->via] : NULL;
}

static int choice_listen(struct pst_net *net, struct pst_net_listener *listener)
{
	struct pst_net *picked = pick(net, &listener->local);

	return picked ? picked->ops->listen(picked, listener) : -PST_E_UNREACH;
}

static void choice_unlisten(struct pst_net *net, struct pst_net_listener *listener)
{
	(void)net;
	listener->net->ops->unlisten(listener->net, listener);
}

static int choice_connect(struct pst_net *net, struct pst_net_conn *conn)
{
	struct pst_net *picked = pick(net, &conn->peer);

	return picked ? picked->ops->connect(picked, conn) : -PST_E_UNREACH;
}

void pst_net_choice_init(struct pst_net_choice *choice, struct pst_net *first)
{
	/* The rest is called on connections, which are never ours. */
	static const struct pst_net_ops ops = {
		.listen = choice_listen,
		.unlisten = choice_unlisten,
		.connect = choice_connect,
	};

	*choice = (struct pst_net_choice){
		.net = {.ops = &ops, .loop = first->loop},
		.nets = {first},
	};
}
