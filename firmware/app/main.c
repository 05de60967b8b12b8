/* app/main.c - the command line
 *
 * Two tables say what there is: subcommands and options. Parsing, --help and "did you mean" come
 * from them.
 */
#include <signal.h>
#include <unistd.h>

#include "app/app.h"
#include "app/heap.h"
#include "config/nearest.h"

enum {
	FOR_RUN = 1,
	FOR_CHECK = 2,
	FOR_SHOW = 4,
	FOR_SINK = 8,
	FOR_RULES = 16,
	FOR_EXPLAIN = 32,
	FOR_ASK = 64,
	FOR_STATUS = 128,
	FOR_CONFIG = FOR_RUN | FOR_CHECK | FOR_SHOW | FOR_ASK | FOR_STATUS,
};

struct command {
	const char *name;
	const char *summary;
	int (*run)(const struct pst_app_args *args);
	uint32_t bit;
	const char *words; /* what stands behind it besides options; NULL: nothing */
};

static const struct command commands[] = {
	{"run", "the proxy, in the foreground", pst_app_run, FOR_RUN, NULL},
	{"check", "say whether a configuration is good, and if not, why", pst_app_check, FOR_CHECK,
	 NULL},
	{"show", "print the effective configuration, defaults included", pst_app_show, FOR_SHOW, NULL},
	{"status", "how a running Postern is: servers, lists, counters, the last verdicts",
	 pst_app_status, FOR_STATUS, NULL},
#ifdef CONFIG_POSTERN_TOOLS
	{"ask", "what lists, DNS and SPF say of a client and a sender, and what it would score",
	 pst_app_ask, FOR_ASK, "ADDRESS"},
	{"sink", "an internal server for tests: takes every message", pst_app_sink, FOR_SINK, NULL},
#ifdef CONFIG_POSTERN_RULES
	{"rules", "say what rule files are good for, and which rules hit a message", pst_app_rules,
	 FOR_RULES, "lint PATH | hits FILE...|-"},
	{"explain", "the score of stored messages, rule by rule, and the verdict", pst_app_explain,
	 FOR_EXPLAIN, "FILE..."},
#endif
#endif
};

struct option {
	const char *name;
	const char *argument; /* NULL: it has none */
	const char *help;
	bool (*take)(struct pst_app_args *args, struct pst_span value);
	uint32_t commands;
};

static bool take_config(struct pst_app_args *args, struct pst_span value)
{
	args->config_path = value;
	return true;
}

static bool take_line(struct pst_app_args *args, struct pst_span value)
{
	if (args->line_count == PST_APP_LINES_MAX) {
		pst_app_complain("more than %d options -o; put the lines into a file\n",
				 PST_APP_LINES_MAX);
		return false;
	}
	args->lines[args->line_count++] = value;
	return true;
}

static bool take_listen(struct pst_app_args *args, struct pst_span value)
{
	args->sink_listen = value;
	return true;
}

static bool take_maildir(struct pst_app_args *args, struct pst_span value)
{
	args->sink_maildir = value;
	return true;
}

static bool take_count(struct pst_app_args *args, struct pst_span value)
{
	args->sink_count = value;
	return true;
}

static bool take_live(struct pst_app_args *args, struct pst_span value)
{
	(void)value;
	args->live = true;
	return true;
}

static bool take_control(struct pst_app_args *args, struct pst_span value)
{
	args->control_path = value;
	return true;
}

static bool take_json(struct pst_app_args *args, struct pst_span value)
{
	(void)value;
	args->as_json = true;
	return true;
}

static bool take_metrics(struct pst_app_args *args, struct pst_span value)
{
	(void)value;
	args->as_metrics = true;
	return true;
}

static bool take_rules(struct pst_app_args *args, struct pst_span value)
{
	args->rules_path = value;
	return true;
}

static bool take_names(struct pst_app_args *args, struct pst_span value)
{
	(void)value;
	args->names = true;
	return true;
}

static bool take_as_hits(struct pst_app_args *args, struct pst_span value)
{
	(void)value;
	args->as_hits = true;
	return true;
}

static bool take_client(struct pst_app_args *args, struct pst_span value)
{
	args->client = value;
	return true;
}

static bool take_helo(struct pst_app_args *args, struct pst_span value)
{
	args->helo = value;
	return true;
}

static bool take_from(struct pst_app_args *args, struct pst_span value)
{
	args->from = value;
	args->from_given = true;
	return true;
}

static bool take_to(struct pst_app_args *args, struct pst_span value)
{
	args->to = value;
	return true;
}

static bool take_fault(struct pst_app_args *args, struct pst_span value)
{
	if (args->fault_count == PST_APP_FAULTS_MAX) {
		pst_app_complain("more than %d faults\n", PST_APP_FAULTS_MAX);
		return false;
	}
	args->faults[args->fault_count++] = value;
	return true;
}

static const struct option options[] = {
	{"-c", "FILE", "the configuration file (/etc/postern/postern.conf)", take_config,
	 FOR_CONFIG},
	{"-o", "'LINE'", "one more line of configuration; replaces a value that FILE gives",
	 take_line, FOR_CONFIG},
	{"--live", NULL,
	 "talk to every internal server: is it there, does it take postmaster, would it relay\n"
	 "                      outward? No message is sent",
	 take_live, FOR_CHECK},
	{"--control", "PATH", "the socket of the running one, as `control` in its configuration",
	 take_control, FOR_STATUS},
	{"--json", NULL, "for programs", take_json, FOR_STATUS},
	{"--metrics", NULL, "in the text format of Prometheus", take_metrics, FOR_STATUS},
	{"--rules", "PATH", "a rule file, or a folder of .cf files (/usr/share/postern/rules)", take_rules,
	 FOR_RULES | FOR_EXPLAIN},
	{"--names", NULL, "lint: every rule with its place, and why it does not run",
	 take_names, FOR_RULES},
	{"--as-hits", NULL,
	 "lint: as `rules hits` runs them: no network, rules with a score of 0 too",
	 take_as_hits, FOR_RULES},
	{"--client", "ADDRESS", "as if it came from there; without it the Received fields tell",
	 take_client, FOR_EXPLAIN},
	{"--helo", "NAME", "what the client called itself", take_helo, FOR_EXPLAIN | FOR_ASK},
	{"--from", "ADDRESS", "the sender on the envelope", take_from, FOR_EXPLAIN | FOR_ASK},
	{"--to", "ADDRESS", "a recipient on the envelope", take_to, FOR_EXPLAIN},
	{"--listen", "ADDRESS:PORT", "where to listen (127.0.0.1:2526); port 0 takes any",
	 take_listen, FOR_SINK},
	{"--maildir", "DIR", "write each message into DIR/new; without it they are thrown away",
	 take_maildir, FOR_SINK},
	{"--count", "N", "end after N messages", take_count, FOR_SINK},
	{"--fault", "STAGE=ACTION",
	 "misbehave. STAGE: connect ehlo mail rcpt data eod quit.\n"
	 "                      ACTION: reply:TEXT close hang garbage; at data and eod also\n"
	 "                      slow:BYTES_PER_SECOND[/SECONDS]; at eod also lose (take the\n"
	 "                      message, but close instead of saying so). xN: in front of an\n"
	 "                      action: only the first N times",
	 take_fault, FOR_SINK},
};

static struct pst_span text_of(const char *text)
{
	return pst_span_text(text);
}

static bool same(const char *a, const char *b)
{
	return pst_span_eq(text_of(a), text_of(b));
}

static void help_options(uint32_t bits)
{
	for (uint32_t i = 0; i < PST_COUNT(options); i++) {
		const struct option *option = &options[i];
		const char *argument = option->argument ? option->argument : "";
		uint32_t len = text_of(option->name).len + text_of(argument).len + 1;

		if (option->commands & bits)
			pst_app_print(STDOUT_FILENO, "  %s %s%*s%s\n", option->name,
				      argument, len < 20 ? (int)(20 - len) : 1, "",
				      option->help);
	}
}

/* The options of some commands, as far as this build has those. */
static void help_group(uint32_t bits)
{
	uint32_t built = 0;

	for (uint32_t i = 0; i < PST_COUNT(commands); i++) {
		if (!(commands[i].bit & bits))
			continue;
		pst_app_print(STDOUT_FILENO, "%s%s", built ? ", " : "\n", commands[i].name);
		built |= commands[i].bit;
	}
	if (!built)
		return;
	pst_app_print(STDOUT_FILENO, ":\n");
	help_options(built);
}

static int help(const struct command *command)
{
	if (command) {
		pst_app_print(STDOUT_FILENO, "postern %s%s%s: %s\n\n", command->name,
			      command->words ? " " : "", command->words ? command->words : "",
			      command->summary);
		help_options(command->bit);
		return PST_EXIT_GOOD;
	}
	pst_app_print(STDOUT_FILENO, "Postern %s, a spam-filtering SMTP proxy\n\n", PST_VERSION);
	for (uint32_t i = 0; i < PST_COUNT(commands); i++)
		pst_app_print(STDOUT_FILENO, "  postern %-7s %s\n", commands[i].name,
			      commands[i].summary);
	help_group(FOR_CONFIG);
	help_group(FOR_RULES | FOR_EXPLAIN);
	help_group(FOR_SINK);
	pst_app_print(
		STDOUT_FILENO,
		"\n  --help, --version\n\n"
		"Signals to `run`: HUP reads the configuration again; TERM and INT let running\n"
		"transactions finish, a second one ends at once.\n");
	return PST_EXIT_GOOD;
}

static const struct command *find_command(const char *name)
{
	struct pst_nearest nearest;

	pst_nearest_init(&nearest, text_of(name));
	for (uint32_t i = 0; i < PST_COUNT(commands); i++) {
		if (same(commands[i].name, name))
			return &commands[i];
		pst_nearest_offer(&nearest, commands[i].name);
	}
	if (nearest.best)
		pst_app_complain("unknown subcommand \"%s\"; did you mean \"%s\"?\n", name,
				 nearest.best);
	else
		pst_app_complain("unknown subcommand \"%s\"; `postern --help` lists them\n", name);
	return NULL;
}

/* "--name=value", "--name value", "-c value", "-cvalue".
 *  out value: empty with at == NULL if it is the next word */
static bool matches(const struct option *option, struct pst_span word, struct pst_span *value)
{
	struct pst_span name = text_of(option->name);
	struct pst_span rest = pst_span_sub(word, name.len, word.len);

	*value = PST_SPAN_NONE;
	if (!pst_span_eq(pst_span_sub(word, 0, name.len), name))
		return false;
	if (rest.len == 0)
		return true;
	if (name.len > 2) {
		*value = pst_span_sub(rest, 1, rest.len);
		return rest.at[0] == '=';
	}
	*value = rest;
	return true;
}

static int unknown_option(const struct command *command, struct pst_span word)
{
	struct pst_nearest nearest;
	int64_t equals = pst_span_find(word, '=');

	if (equals > 0)
		word = pst_span_sub(word, 0, (uint32_t)equals);
	pst_nearest_init(&nearest, word);
	for (uint32_t i = 0; i < PST_COUNT(options); i++)
		if (options[i].commands & command->bit && text_of(options[i].name).len > 2)
			pst_nearest_offer(&nearest, options[i].name);
	if (nearest.best)
		pst_app_complain("unknown option \"%.*s\"; did you mean \"%s\"?\n", (int)word.len,
				 (const char *)word.at, nearest.best);
	else
		pst_app_complain("unknown option \"%.*s\"; `postern %s --help` lists them\n",
				 (int)word.len, (const char *)word.at, command->name);
	return PST_EXIT_USAGE;
}

/* Words are gathered at the front of argv, where there is room for all of them. */
static bool take_word(const struct command *command, struct pst_app_args *args, char **argv,
		      int index)
{
	struct pst_span word = text_of(argv[index]);

	if (!command->words || (word.len > 1 && word.at[0] == '-'))
		return false;
	args->words = argv + 2;
	args->words[args->word_count++] = argv[index];
	return true;
}

/* One option with its value; *index is left at the last word used. */
static int take_option(const struct command *command, struct pst_app_args *args, int argc,
		       char **argv, int *index)
{
	struct pst_span word = text_of(argv[*index]), value;

	for (uint32_t i = 0; i < PST_COUNT(options); i++) {
		if (!(options[i].commands & command->bit) || !matches(&options[i], word, &value))
			continue;
		if (!value.at && options[i].argument) {
			if (*index + 1 == argc) {
				pst_app_complain("option %s needs %s behind it\n", options[i].name,
						 options[i].argument);
				return PST_EXIT_USAGE;
			}
			value = text_of(argv[++*index]);
		}
		return options[i].take(args, value) ? PST_EXIT_GOOD : PST_EXIT_USAGE;
	}
	return unknown_option(command, word);
}

int main(int argc, char **argv)
{
	struct pst_app_args args = {
		.config_path = PST_SPAN("/etc/postern/postern.conf"),
		.sink_listen = PST_SPAN("127.0.0.1:2526"),
		.rules_path = PST_SPAN("/usr/share/postern/rules"),
	};
	const struct command *command;

	pst_heap_tune();
	signal(SIGPIPE, SIG_IGN);
	if (argc < 2) {
		pst_app_complain("which subcommand? `postern --help` lists them\n");
		return PST_EXIT_USAGE;
	}
	if (same(argv[1], "--help") || same(argv[1], "-h") || same(argv[1], "help"))
		return help(NULL);
	if (same(argv[1], "--version") || same(argv[1], "-V")) {
		pst_app_print(STDOUT_FILENO, "postern %s\n", PST_VERSION);
		return PST_EXIT_GOOD;
	}
	command = find_command(argv[1]);
	if (!command)
		return PST_EXIT_USAGE;
	for (int i = 2; i < argc; i++) {
		int status;

		if (same(argv[i], "--help") || same(argv[i], "-h"))
			return help(command);
		if (take_word(command, &args, argv, i))
			continue;
		status = take_option(command, &args, argc, argv, &i);
		if (status)
			return status;
	}
	return command->run(&args);
}
