#include "app/maildir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int status_of(int error)
{
	if (error == EACCES || error == EPERM || error == EROFS)
		return -PST_E_ACCESS;
	return error == ENOENT ? -PST_E_NOENT : -PST_E_IO;
}

static int open_folder(int at_fd, const char *name, int *fd)
{
	if (mkdirat(at_fd, name, 0700) && errno != EEXIST)
		return status_of(errno);
	*fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *fd < 0 ? status_of(errno) : 0;
}

int pst_maildir_open(struct pst_maildir *maildir, struct pst_span path, uint64_t wall_s)
{
	int fd, cur_fd, status = open_folder(AT_FDCWD, (const char *)path.at, &fd);

	*maildir = (struct pst_maildir){
		.tmp_fd = -1, .new_fd = -1, .start_s = wall_s, .pid = getpid()};
	if (status)
		return status;
	status = open_folder(fd, "tmp", &maildir->tmp_fd);
	if (!status)
		status = open_folder(fd, "new", &maildir->new_fd);
	if (!status)
		status = open_folder(fd, "cur", &cur_fd);
	if (!status)
		close(cur_fd);
	close(fd);
	if (status)
		pst_maildir_close(maildir);
	return status;
}

void pst_maildir_close(struct pst_maildir *maildir)
{
	if (maildir->tmp_fd >= 0)
		close(maildir->tmp_fd);
	if (maildir->new_fd >= 0)
		close(maildir->new_fd);
	maildir->tmp_fd = -1;
	maildir->new_fd = -1;
}

int pst_maildir_begin(struct pst_maildir *maildir, struct pst_maildir_file *file)
{
	struct pst_buf name;

	pst_buf_init(&name, file->name, sizeof(file->name) - 1);
	/* Start, process and a count make it unique on this machine; the machine is always the
	 * same. */
	PST_BUG_ON(pst_buf_printf(&name, "%llu.P%dQ%llu.postern",
				  (unsigned long long)maildir->start_s, maildir->pid,
				  (unsigned long long)++maildir->next));
	file->name[name.len] = 0;
	file->fd =
		openat(maildir->tmp_fd, file->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return file->fd < 0 ? status_of(errno) : 0;
}

int pst_maildir_write(struct pst_maildir_file *file, struct pst_span bytes)
{
	while (bytes.len) {
		ssize_t done = write(file->fd, bytes.at, bytes.len);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return status_of(errno);
		bytes = pst_span_sub(bytes, (uint32_t)done, bytes.len);
	}
	return 0;
}

int pst_maildir_commit(struct pst_maildir *maildir, struct pst_maildir_file *file)
{
	if (renameat(maildir->tmp_fd, file->name, maildir->new_fd, file->name))
		return status_of(errno);
	close(file->fd);
	file->fd = -1;
	return 0;
}

void pst_maildir_abort(struct pst_maildir *maildir, struct pst_maildir_file *file)
{
	close(file->fd);
	file->fd = -1;
	unlinkat(maildir->tmp_fd, file->name, 0);
}
