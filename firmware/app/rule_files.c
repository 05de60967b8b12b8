/* app/rule_files.c - the file system under the commands about rules */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "app/rule_files.h"
#include "loop/stopwatch.h"

#define MESSAGE_BYTES_MAX (64u * 1024 * 1024)
#define NAMES_MAX 1000000u

static int status_of(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return -PST_E_NOENT;
	case EACCES:
	case EPERM:
		return -PST_E_ACCESS;
	case ENOMEM:
		return -PST_E_NOMEM;
	default:
		return -PST_E_IO;
	}
}

/* -------------------------------------------------------------------------------------- names */

static int add_name(struct pst_rule_names *names, struct pst_span folder, struct pst_span text)
{
	uint32_t slash = folder.len > 0 && folder.at[folder.len - 1] != '/';
	uint32_t len = folder.len + slash + text.len;
	char *name;

	if (names->count == names->size) {
		uint32_t size = names->size ? names->size * 2 : 256;
		char **more;

		if (size > NAMES_MAX)
			return -PST_E_FULL;
		more = pst_mem_alloc(names->mem, size * sizeof(*more));
		if (!more)
			return -PST_E_NOMEM;
		if (names->count)
			memcpy(more, names->names, names->count * sizeof(*more));
		pst_mem_free(names->mem, names->names, names->size * sizeof(*more));
		names->names = more;
		names->size = size;
	}
	name = pst_mem_alloc(names->mem, (size_t)len + 1);
	if (!name)
		return -PST_E_NOMEM;
	if (folder.len)
		memcpy(name, folder.at, folder.len);
	if (slash)
		name[folder.len] = '/';
	memcpy(name + folder.len + slash, text.at, text.len);
	names->names[names->count++] = name;
	return 0;
}

static void free_names(struct pst_rule_names *names)
{
	for (uint32_t i = 0; i < names->count; i++)
		pst_mem_free(names->mem, names->names[i],
			(size_t)pst_span_text(names->names[i]).len + 1);
	pst_mem_free(names->mem, names->names, names->size * sizeof(*names->names));
	names->names = NULL;
	names->count = names->size = 0;
}

static int by_name(const void *a, const void *b)
{
	struct pst_span left = pst_span_text(*(char *const *)a),
			right = pst_span_text(*(char *const *)b);
	int order = memcmp(left.at, right.at, PST_MIN(left.len, right.len));

	return order ? order : (left.len > right.len) - (left.len < right.len);
}

/* The files of a folder, sorted; only those that end in `suffix`. */
static int list_folder(struct pst_rule_names *names, struct pst_span folder, const char *suffix)
{
	DIR *dir = opendir((const char *)folder.at);
	uint32_t from = names->count;
	struct dirent *entry;
	int status = 0;

	if (!dir)
		return status_of(errno);
	while (!status && (entry = readdir(dir)) != NULL) {
		struct pst_span name = pst_span_text(entry->d_name);

		if (name.at[0] != '.' && pst_span_ends_nocase(name, pst_span_text(suffix)))
			status = add_name(names, folder, name);
	}
	closedir(dir);
	if (names->count > from)
		qsort(names->names + from, names->count - from, sizeof(*names->names), by_name);
	return status;
}

static bool is_folder(const char *name)
{
	struct stat about;

	return stat(name, &about) == 0 && S_ISDIR(about.st_mode);
}

/* The path with a NUL behind it, which a span need not have. */
static int with_nul(struct pst_span path, char *area, size_t size)
{
	if (path.len >= size)
		return -PST_E_RANGE;
	memcpy(area, path.at, path.len);
	area[path.len] = 0;
	return 0;
}

/* ------------------------------------------------------------------------------------- reading */

static int read_some(int fd, uint8_t *at, uint32_t size, uint32_t *len)
{
	*len = 0;
	while (*len < size) {
		ssize_t done = read(fd, at + *len, size - *len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return status_of(errno);
		if (done == 0)
			return 0;
		*len += (uint32_t)done;
	}
	return -PST_E_RANGE;
}

int pst_rule_files_add(struct pst_rule_files *files, struct pst_span path)
{
	char name[4096];
	int status = with_nul(path, name, sizeof(name));

	if (status)
		return status;
	files->listed = true;
	return is_folder(name) ? list_folder(&files->folder, pst_span_text(name), ".cf")
			       : add_name(&files->folder, PST_SPAN_NONE, path);
}

static int reader_list(
	struct pst_rules_reader *self, struct pst_span path, uint32_t index, struct pst_span *file)
{
	struct pst_rule_files *files = PST_CONTAINER(self, struct pst_rule_files, reader);
	int status = files->listed ? 0 : pst_rule_files_add(files, path);

	if (status)
		return status;
	if (index >= files->folder.count)
		return -PST_E_NOENT;
	*file = pst_span_text(files->folder.names[index]);
	return 0;
}

/* A file's text, behind its size: `done` gets the text alone. */
struct loaded {
	uint32_t size;
	_Alignas(16) uint8_t bytes[];
};

/* As large as the file says; a pipe may have as much as a file may. */
static uint32_t room_for(int fd)
{
	struct stat about;
	uint32_t most = PST_RULES_FILE_BYTES_MAX + 1;

	if (fstat(fd, &about) || !S_ISREG(about.st_mode) || about.st_size >= (off_t)most)
		return most;
	return (uint32_t)about.st_size + 1;
}

static int reader_read(struct pst_rules_reader *self, struct pst_span path, struct pst_span *text)
{
	struct pst_rule_files *files = PST_CONTAINER(self, struct pst_rule_files, reader);
	struct loaded *loaded;
	char name[4096];
	uint32_t len = 0, room;
	int status = with_nul(path, name, sizeof(name)), fd;

	if (status)
		return status;
	fd = open(name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return status_of(errno);
	room = room_for(fd);
	loaded = pst_mem_alloc(files->mem, sizeof(*loaded) + room);
	if (loaded) {
		loaded->size = (uint32_t)sizeof(*loaded) + room;
		status = read_some(fd, loaded->bytes, room, &len);
	} else {
		status = -PST_E_NOMEM;
	}
	close(fd);
	if (status) {
		pst_mem_free(files->mem, loaded, sizeof(*loaded) + room);
		return status;
	}
	*text = (struct pst_span){loaded->bytes, len};
	return 0;
}

static void reader_done(struct pst_rules_reader *self, struct pst_span text)
{
	struct pst_rule_files *files = PST_CONTAINER(self, struct pst_rule_files, reader);
	struct loaded *loaded = PST_CONTAINER((uintptr_t)text.at, struct loaded, bytes);

	pst_mem_free(files->mem, loaded, loaded->size);
}

void pst_rule_files_init(struct pst_rule_files *files, struct pst_mem *mem)
{
	*files = (struct pst_rule_files){
		.reader = {reader_list, reader_read, reader_done},
		.mem = mem,
		.folder = {.mem = mem},
	};
}

void pst_rule_files_fini(struct pst_rule_files *files)
{
	free_names(&files->folder);
}

/* ------------------------------------------------------------------------------------- loading */

/* Microseconds that `steps` take: the best of three, since others use the CPU, too. */
static int spin_us(struct pst_rules_engine *engine, bool jit, uint32_t steps, uint32_t *us)
{
	*us = UINT32_MAX;
	for (uint32_t i = 0; i < 3; i++) {
		uint64_t before = pst_loop_cpu_us();
		int status = pst_rules_engine_spin(engine, jit, steps);

		if (status)
			return status;
		*us = PST_MIN(*us, (uint32_t)(pst_loop_cpu_us() - before));
	}
	return 0;
}

int pst_rule_limits(struct pst_mem *mem, struct pst_rules_limits *limits)
{
	struct pst_rules_engine *engine;
	uint32_t us[2];
	int status;

	*limits = PST_RULES_LIMITS_DEFAULT;
	status = pst_rules_engine_open(mem, limits, PST_RULES_JIT, &engine);
	if (status)
		return status;
	status = spin_us(engine, false, limits->steps, &us[0]);
	if (!status)
		status = spin_us(engine, PST_RULES_JIT, limits->jit_steps, &us[1]);
	pst_rules_engine_close(engine);
	if (status)
		return status;
	limits->steps =
		(uint32_t)((uint64_t)limits->steps * PST_RULES_PATTERN_US / PST_MAX(us[0], 10u));
	limits->jit_steps = (uint32_t)((uint64_t)limits->jit_steps * PST_RULES_PATTERN_US /
				       PST_MAX(us[1], 10u));
	return 0;
}

static void to_stderr(struct pst_rules_report *self, const struct pst_rules_message *message)
{
	uint8_t area[2048];
	struct pst_buf line;

	(void)self;
	pst_buf_init(&line, area, sizeof(area));
	pst_buf_put_escaped(&line, message->file, 400);
	if (message->line && pst_buf_printf(&line, ":%u", (unsigned)message->line))
		pst_buf_clear(&line);
	if (pst_buf_put_text(&line, message->grade == PST_RULES_WARNING ? ": warning: " : ": "))
		pst_buf_clear(&line);
	if (message->rule.len) {
		pst_buf_put_escaped(&line, message->rule, PST_RULES_NAME_LEN_MAX);
		if (pst_buf_put_text(&line, ": "))
			pst_buf_clear(&line);
	}
	pst_buf_put_escaped(&line, message->text, 600);
	if (pst_buf_put_byte(&line, '\n') == 0)
		pst_app_write(STDERR_FILENO, pst_buf_span(&line));
}

static int load_all(struct pst_rule_job *job, struct pst_span path)
{
	struct pst_mem *mem = &job->memory.mem;
	int status = pst_rules_load_open(
		mem, &job->conf, &job->files.reader, &job->report, path, &job->load);

	if (status)
		job->load = NULL;
	else
		do
			status = pst_rules_load_step(job->load, 10000);
		while (status > 0);
	if (!status)
		job->set = pst_rules_load_take(job->load);
	return status;
}

int pst_rule_job_open(
	struct pst_rule_job *job, struct pst_span path, bool keep_all, uint8_t score_set)
{
	int status;

	memset(job, 0, sizeof(*job));
	pst_mem_system_init(&job->memory);
	pst_rule_files_init(&job->files, &job->memory.mem);
	job->report.on_message = to_stderr;
	job->conf = (struct pst_rules_conf){
		.score_set = score_set,
		.keep_all = keep_all,
		.jit = PST_RULES_JIT,
	};
	status = pst_rule_limits(&job->memory.mem, &job->conf.limits);
	if (!status)
		status = load_all(job, path);
	if (status == -PST_E_NOMEM)
		pst_app_complain("out of memory\n");
	return status;
}

void pst_rule_job_close(struct pst_rule_job *job)
{
	pst_rules_set_unref(job->set);
	pst_rules_load_close(job->load);
	pst_rule_files_fini(&job->files);
}

/* ------------------------------------------------------------------------------------ messages */

static int add_words(struct pst_messages *messages, struct pst_span text);

static int add_path(struct pst_messages *messages, struct pst_span path)
{
	char name[4096];
	int status = with_nul(path, name, sizeof(name));

	if (status)
		return status;
	return is_folder(name) ? list_folder(&messages->names, pst_span_text(name), "")
			       : add_name(&messages->names, PST_SPAN_NONE, path);
}

/* Standard input is a list if its first line names a file, else a message. */
static int add_stdin(struct pst_messages *messages)
{
	struct pst_span all;
	char name[4096];
	int64_t newline;
	int status =
		read_some(STDIN_FILENO, messages->text, messages->text_size, &messages->stdin_len);

	if (status)
		return status;
	all = (struct pst_span){messages->text, messages->stdin_len};
	newline = pst_span_find(all, '\n');
	if (with_nul(pst_span_sub(all, 0, newline < 0 ? all.len : (uint32_t)newline), name,
		    sizeof(name)) ||
		access(name, R_OK)) {
		messages->stdin_message = true;
		return add_name(&messages->names, PST_SPAN_NONE, PST_SPAN("-"));
	}
	return add_words(messages, all);
}

/* Names, one a line. */
static int add_words(struct pst_messages *messages, struct pst_span text)
{
	int status = 0;

	while (text.len && !status) {
		int64_t newline = pst_span_find(text, '\n');
		uint32_t len = newline < 0 ? text.len : (uint32_t)newline;

		if (len)
			status = add_path(messages, pst_span_sub(text, 0, len));
		text = pst_span_sub(text, len + 1, text.len);
	}
	return status;
}

static void find_common(struct pst_messages *messages)
{
	struct pst_span first = pst_span_text(messages->names.names[0]);
	int64_t slash = pst_span_rfind(first, '/');
	uint32_t common = slash < 0 ? 0 : (uint32_t)slash + 1;

	for (uint32_t i = 1; i < messages->names.count; i++) {
		struct pst_span name = pst_span_text(messages->names.names[i]);
		uint32_t same = 0, folder = 0;

		while (same < PST_MIN(name.len, common) && name.at[same] == first.at[same]) {
			same++;
			if (name.at[same - 1] == '/')
				folder = same;
		}
		common = folder;
	}
	messages->common_len = common;
}

int pst_messages_open(
	struct pst_messages *messages, struct pst_mem *mem, char *const *words, uint32_t word_count)
{
	int status = 0;

	*messages = (struct pst_messages){.names = {.mem = mem}, .text_size = MESSAGE_BYTES_MAX};
	messages->text = pst_mem_alloc(mem, messages->text_size);
	if (!messages->text)
		return -PST_E_NOMEM;
	for (uint32_t i = 0; i < word_count && !status; i++) {
		struct pst_span word = pst_span_text(words[i]);

		status = pst_span_eq(word, PST_SPAN("-")) ? add_stdin(messages)
							  : add_path(messages, word);
	}
	if (!status && messages->names.count)
		find_common(messages);
	return status;
}

int pst_messages_read(struct pst_messages *messages, uint32_t index, struct pst_span *name,
	struct pst_span *text, int64_t *wall_s)
{
	const char *path = messages->names.names[index];
	struct stat about;
	uint32_t len = 0;
	int fd, status;

	*name = pst_span_text(path + messages->common_len);
	if (messages->stdin_message && pst_span_eq(pst_span_text(path), PST_SPAN("-"))) {
		*text = (struct pst_span){messages->text, messages->stdin_len};
		*wall_s = (int64_t)pst_loop_wall_ms() / 1000;
		return 0;
	}
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return status_of(errno);
	status = fstat(fd, &about) ? status_of(errno)
				   : read_some(fd, messages->text, messages->text_size, &len);
	close(fd);
	*wall_s = status ? 0 : (int64_t)about.st_mtime;
	*text = (struct pst_span){messages->text, len};
	return status;
}

void pst_messages_close(struct pst_messages *messages)
{
	struct pst_mem *mem = messages->names.mem;

	free_names(&messages->names);
	pst_mem_free(mem, messages->text, messages->text_size);
}

/* ------------------------------------------------------------------------------------ progress */

void pst_progress_show(struct pst_progress *progress, const char *what, uint32_t done, uint32_t all)
{
	int64_t now = (int64_t)pst_loop_wall_ms();
	bool terminal;

	if (progress->started_ms == 0)
		progress->started_ms = progress->shown_ms = now;
	/* nobody wants to be told of what is over at once */
	if (now - progress->shown_ms < 2000)
		return;
	terminal = isatty(STDERR_FILENO);
	pst_app_print(STDERR_FILENO, "%s%s: %u of %u%s", terminal ? "\r" : "", what, (unsigned)done,
		(unsigned)all, terminal ? "  " : "\n");
	progress->shown_ms = terminal ? now - 1500 : now + 8000;
}

void pst_progress_end(struct pst_progress *progress)
{
	if (progress->shown_ms != progress->started_ms && isatty(STDERR_FILENO))
		pst_app_print(STDERR_FILENO, "\r\033[K");
}
