#include "proxy/report.h"

#include "proxy/proxy_priv.h"

static const char *mode_name(enum pst_mode mode)
{
	switch (mode) {
	case PST_MODE_ENFORCE:
		return "enforce";
	case PST_MODE_TAG:
		return "tag";
	case PST_MODE_OBSERVE:
		return "observe";
	}
	return "";
}

void pst_proxy_report(const struct pst_proxy *proxy, struct pst_proxy_report *report)
{
	const struct pst_proxy_conf *conf = proxy->conf;

	*report = (struct pst_proxy_report){
		.generation = conf->generation,
		.session_count = pst_proxy_session_count(proxy),
		.session_count_max = conf->session_count_max,
		.mode = mode_name(conf->policy.mode),
		.overloaded = proxy->overloaded,
		.draining = proxy->draining,
		.conf = conf,
		.relay = proxy->relay,
		.zones = conf->zones,
		.history = &proxy->history,
		.counters = proxy->env.counters,
		.now_ms = proxy->env.loop->now_ms,
		.wall_ms = proxy->env.loop->wall_ms,
	};
}
